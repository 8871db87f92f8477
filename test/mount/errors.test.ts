/**
 * What cannot be mounted: one line that says what happened and what to do, a non-zero exit, nothing left mounted. What a
 * driver finds is tried with each of them; the rest comes to light before there is one.
 */
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { ownersIn } from '../support/cache-folder.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, isMounted, startWorld } from '../support/mount-harness.js';
import type { World } from '../support/mount-harness.js';
import { run } from '../support/processes.js';
import type { Finished } from '../support/processes.js';

interface Attempt {
  readonly source?: string;
  readonly mountpoint?: string;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** Tries in the background and in the foreground; both must fail alike. */
async function assertRefused(t: Test, world: World, expected: RegExp, attempt: Attempt): Promise<void> {
  const { source = `s3://${BUCKET}`, mountpoint = world.folder('mount'), flags = [], env = {} } = attempt;
  const endpoint = flags.includes('--endpoint-url') ? [] : ['--endpoint-url', world.server.endpoint];
  const codes = new Set<number | null>();
  for (const mode of [[], ['--foreground']]) {
    const args = ['mount', ...mode, '--force-path-style', ...endpoint, ...flags, source, mountpoint];
    const result: Finished = await world.sluice(args, { env: { ...world.env, ...env }, timeoutMs: 45_000 });
    const what = `${mode[0] ?? 'background'}: ${result.stderr.trim()}`;
    t.notOk(result.hung, 'it ends');
    t.not(result.code, 0, 'it fails');
    t.match(result.stderr, expected, what);
    const lines = result.stderr.split('\n').filter((line) => line.startsWith('sluice: '));
    t.equal(lines.length, 1, 'one line of explanation');
    t.notMatch(result.stderr, / {4}at /, 'no stack');
    t.notMatch(result.stderr, /sluice-secret|wrong-secret/, 'no secret');
    t.notOk(isMounted(mountpoint), 'nothing is mounted');
    codes.add(result.code);
  }
  t.equal(codes.size, 1, 'the same exit code in the background and in the foreground');
}

t.test('wrong secret', async (t) => {
  const world = await startWorld(t);
  await assertRefused(t, world, /secret|signature|credentials/i, {
    env: { AWS_SECRET_ACCESS_KEY: 'wrong-secret' },
  });
});

t.test('unknown access key, and no credentials at all', async (t) => {
  const world = await startWorld(t);
  await assertRefused(t, world, /key|credentials/i, { env: { AWS_ACCESS_KEY_ID: 'NOBODY' } });
  const none = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined };
  await assertRefused(t, world, /--profile|--no-sign-request/, { env: none });
});

t.test('missing bucket', async (t) => {
  const world = await startWorld(t);
  await assertRefused(t, world, /nobucket/, { source: 's3://nobucket' });
});

t.test('unreachable endpoint: refused, unknown host, and one that accepts and never answers', async (t) => {
  const world = await startWorld(t);
  const silent = createServer();
  await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  t.teardown(() => silent.close());
  await assertRefused(t, world, /127\.0\.0\.1:1\b/, { flags: ['--endpoint-url', 'http://127.0.0.1:1'] });
  await assertRefused(t, world, /no-such-host\.invalid/, {
    flags: ['--endpoint-url', 'http://no-such-host.invalid'],
  });
  await assertRefused(t, world, /answer|time/, { flags: ['--endpoint-url', `http://127.0.0.1:${port}`] });
});

onEachDriver('mount point missing, not a directory, not empty', async (t, driver) => {
  const world = await startWorld(t, { driver });
  const file = join(world.scratch, 'file');
  writeFileSync(file, 'x');
  const full = world.folder('full');
  mkdirSync(join(full, 'something'));
  await assertRefused(t, world, /does not exist.*mkdir/, { mountpoint: join(world.scratch, 'nowhere') });
  await assertRefused(t, world, /not a directory/, { mountpoint: file });
  await assertRefused(t, world, /not empty/, { mountpoint: full });
  t.same(readdirSync(full), ['something']);
});

const NEEDS_ROOT = process.getuid?.() === 0 ? {} : { skip: 'needs root to mount a small tmpfs' };

onEachDriver(
  'a full disk under the cache directory',
  async (t, driver) => {
    const world = await startWorld(t, { driver });
    const small = world.folder('small');
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
    t.equal(mounted.code, 0, mounted.stderr);
    t.teardown(async () => void (await run('umount', [small])));
    await assertRefused(t, world, /full.*--cache-dir/, { flags: ['--cache-dir', join(small, 'cache')] });
    t.same(ownersIn(join(small, 'cache')), []);
  },
  NEEDS_ROOT,
);

t.test('a cache directory or log file that cannot be made', async (t) => {
  const world = await startWorld(t);
  const file = join(world.scratch, 'file');
  writeFileSync(file, 'x');
  chmodSync(file, 0o600);
  await assertRefused(t, world, /--cache-dir/, { flags: ['--cache-dir', join(file, 'cache')] });
  await assertRefused(t, world, /log/, { flags: ['--log-file', join(file, 'log')] });
});

t.test('unknown options, bad values and bad URLs are usage errors that say what was expected', async (t) => {
  const world = await startWorld(t);
  for (const [flags, source, expected] of [
    [['--metadata-tll', '3s'], undefined, /--metadata-ttl/],
    [['--metadata-ttl', 'soon'], undefined, /soon/],
    [['--connections-max', '0'], undefined, /0/],
    [['--no-sign-request', '--profile', 'x'], undefined, /--profile/],
    [[], 'bucket', /s3:\/\//],
    [[], 's3://Not_A_Bucket', /bucket/],
  ] as const) {
    await assertRefused(t, world, expected, { flags, ...(source === undefined ? {} : { source }) });
  }
});
