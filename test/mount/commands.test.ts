/** The commands as a user meets them, through the kernel: mount, status, unmount, and what ends a daemon. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { StatusDocument } from '../../src/cli/status.js';
import { BUCKET, isMounted, read, SLUICE, startWorld } from '../support/mount-harness.js';
import type { World } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';
import { startProcess } from '../cli/live-process.js';

const MIB = 1024 * 1024;
/** The documented limit: a daemon ends this soon after its mount. */
const END_MS_MAX = 5000;

function connectionFlags({ server }: World): string[] {
  return ['--endpoint-url', server.endpoint, '--force-path-style'];
}

function mountInBackground(world: World, mountpoint: string, flags: readonly string[] = []) {
  return world.sluice(['mount', ...connectionFlags(world), ...flags, `s3://${BUCKET}`, mountpoint]);
}

async function statusOfAll(world: World): Promise<StatusDocument> {
  return JSON.parse((await world.sluice(['status', '--json'])).stdout.toString()) as StatusDocument;
}

/** Sockets and temp files of mounts; both must be gone when they are. */
function leftovers({ scratch }: World): string[] {
  return ['run', '.cache/sluice'].flatMap((name) => {
    const folder = join(scratch, name);
    return existsSync(folder) ? readdirSync(folder) : [];
  });
}

/** A reader whose bytes never come: it has the file open and a read under way. */
async function startStuckReader(world: World, mountpoint: string) {
  await world.server.putSynthetic(BUCKET, 'stuck', { size: 4 * MIB, seed: 1 });
  world.server.faults.add({ operation: 'GetObject', fault: { kind: 'stall', at: { atByte: 0 } } });
  const reader = run('cat', [join(mountpoint, 'stuck')]);
  const isReading = await eventually(async () => {
    const { mounts } = await statusOfAll(world);
    return mounts.some((mount) => mount.mountpoint === mountpoint && mount.readsInFlight.length > 0);
  });
  if (!isReading) throw new Error('the reader does not read');
  return reader;
}

t.test('mount returns when the mount answers; status shows it; unmount leaves nothing', async (t) => {
  const world = await startWorld(t);
  await world.server.putObject(BUCKET, 'hello', 'hello, world\n');
  const mountpoint = world.folder('mount');
  const mounted = await mountInBackground(world, mountpoint);
  t.equal(mounted.code, 0, mounted.stderr);
  t.equal(mounted.stderr, '');
  t.ok(isMounted(mountpoint));
  t.equal((await read(join(mountpoint, 'hello'), 0, 100)).stdout.toString(), 'hello, world\n');

  const { mounts, notAnswering, schema } = await statusOfAll(world);
  t.match({ schema, notAnswering }, { schema: 1, notAnswering: [] });
  t.equal(mounts.length, 1);
  const [report] = mounts;
  const logFile = report?.logFile ?? '';
  t.match(report, { mountpoint, source: `s3://${BUCKET}/`, endpoint: world.server.endpoint });
  t.ok(logFile.startsWith(join(world.scratch, '.local/state/sluice/')) && existsSync(logFile), logFile);
  const words = mounted.stdout.toString();
  for (const fact of [
    `at ${mountpoint} (pid ${report?.pid})`,
    `log     ${logFile}`,
    `sluice unmount ${mountpoint}`,
  ]) {
    t.match(words, fact);
  }
  t.match(
    (await world.sluice(['status', mountpoint])).stdout.toString(),
    `s3://${BUCKET}/ on ${mountpoint}\n`,
  );

  const again = await mountInBackground(world, mountpoint);
  t.equal(again.code, 3);
  t.match(again.stderr, /already mounted on .*: run sluice unmount/);

  const unmounted = await world.sluice(['unmount', mountpoint]);
  t.match(unmounted, { code: 0, stderr: '' });
  t.equal(unmounted.stdout.toString(), `Unmounted ${mountpoint}\n`);
  t.notOk(isMounted(mountpoint));
  t.notOk(existsSync(`/proc/${report?.pid}`), 'the daemon has ended');
  t.strictSame(leftovers(world), []);
  t.equal((await world.sluice(['unmount', mountpoint])).code, 7);
  t.equal((await world.sluice(['status', mountpoint])).code, 7);
});

t.test('relative paths count from where the command was typed', async (t) => {
  const world = await startWorld(t);
  const flags = [...connectionFlags(world), '--cache-dir', 'cache', '--log-file', 'logs/log'];
  mkdirSync(join(world.scratch, 'm'));
  const mounted = await world.sluice(['mount', ...flags, `s3://${BUCKET}`, 'm'], { cwd: world.scratch });
  t.equal(mounted.code, 0, mounted.stderr);
  const report = await world.status(join(world.scratch, 'm'));
  t.equal(report.logFile, join(world.scratch, 'logs/log'));
  t.ok(report.cache.directory.startsWith(join(world.scratch, 'cache/')));
  t.equal((await world.sluice(['unmount', './m/'], { cwd: world.scratch })).code, 0);
});

t.test('a mount in use is not removed, unless --lazy or --force says so', async (t) => {
  const world = await startWorld(t);
  for (const mode of ['--lazy', '--force']) {
    const mountpoint = world.folder('mount');
    t.equal((await mountInBackground(world, mountpoint)).code, 0);
    const { pid } = await world.status(mountpoint);
    const reader = await startStuckReader(world, mountpoint);
    const refused = await world.sluice(['unmount', mountpoint]);
    t.equal(refused.code, 8);
    t.match(refused.stderr, /^sluice: cannot unmount .*--lazy.*--force.*\n$/);
    t.ok(isMounted(mountpoint));
    t.equal((await world.sluice(['unmount', mode, mountpoint])).code, 0, mode);
    t.notOk(isMounted(mountpoint));
    t.notOk(existsSync(`/proc/${pid}`), 'the daemon has ended');
    t.match(await reader, { code: 1, hung: false }, 'the reader got an error');
    world.server.faults.clear();
  }
  t.strictSame(leftovers(world), []);
});

t.test('SIGTERM and SIGINT unmount cleanly, also with files open and a read under way', async (t) => {
  const world = await startWorld(t);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const daemon = await world.mount();
    const reader = await startStuckReader(world, daemon.mountpoint);
    daemon.process.kill(signal);
    t.equal(await daemon.exited, 0, daemon.output());
    t.notOk(isMounted(daemon.mountpoint));
    t.match(await reader, { code: 1, hung: false });
    world.server.faults.clear();
  }
  t.strictSame(leftovers(world), []);
});

t.test('a daemon whose mount somebody else removes aborts its transfers and ends with 0', async (t) => {
  const world = await startWorld(t);
  const daemon = await world.mount();
  const reader = await startStuckReader(world, daemon.mountpoint);
  t.equal((await run('umount', ['--lazy', daemon.mountpoint])).code, 0);
  let code: number | string | undefined;
  void daemon.exited.then((value) => (code = value));
  t.ok(await eventually(() => code !== undefined, END_MS_MAX), 'it ends in time');
  t.equal(code, 0, daemon.output());
  t.match(await reader, { hung: false });
  t.strictSame(leftovers(world), []);
});

t.test('after kill -9 in the middle of a read', async (t) => {
  const world = await startWorld(t);
  const kill = async () => {
    const daemon = await world.mount();
    const reader = await startStuckReader(world, daemon.mountpoint);
    daemon.process.kill('SIGKILL');
    await daemon.exited;
    t.match(await reader, { code: 1, hung: false });
    world.server.faults.clear();
    t.ok(isMounted(daemon.mountpoint), 'the kernel keeps the dead mount');
    t.match(await statusOfAll(world), { mounts: [], notAnswering: [] }, 'status does not');
    return daemon.mountpoint;
  };

  await t.test('the next mount at the same place works', async (t) => {
    await world.server.putObject(BUCKET, 'hello', 'hello');
    const mountpoint = await kill();
    t.match(await mountInBackground(world, mountpoint), { code: 0, stderr: '' });
    t.equal((await read(join(mountpoint, 'hello'), 0, 5)).stdout.toString(), 'hello');
    t.equal((await world.sluice(['unmount', mountpoint])).code, 0);
    t.strictSame(leftovers(world), [], 'the dead daemon left nothing either');
  });

  await t.test('unmount cleans up', async (t) => {
    const mountpoint = await kill();
    t.match(await world.sluice(['unmount', mountpoint]), { code: 0, stderr: '' });
    t.notOk(isMounted(mountpoint));
  });
});

t.test('what cannot be mounted is refused in one line, with its exit code, and leaves nothing', async (t) => {
  const world = await startWorld(t);
  const full = world.folder('full');
  writeFileSync(join(full, 'file'), '');
  const empty = world.folder('empty');
  const server = connectionFlags(world);
  const nowhere = ['--endpoint-url', 'http://127.0.0.1:1', '--force-path-style'];
  const bucket = `s3://${BUCKET}`;
  const known: [number, RegExp, string[], NodeJS.ProcessEnv?][] = [
    [3, /does not exist: create it/, [...server, bucket, join(world.scratch, 'missing')]],
    [3, /is not empty/, [...server, bucket, full]],
    [3, /is not a directory/, [...server, bucket, join(full, 'file')]],
    [
      3,
      /log file .* cannot be written.*--log-file/,
      [...server, '--log-file', join(full, 'file/log'), bucket, empty],
    ],
    [3, /--cache-dir/, [...server, '--cache-dir', join(full, 'file/cache'), bucket, empty]],
    [4, /secret/, [...server, bucket, empty], { AWS_SECRET_ACCESS_KEY: 'wrong' }],
    [4, /credentials/, [...server, bucket, empty], { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' }],
    [5, /no bucket missing-bucket/, [...server, 's3://missing-bucket', empty]],
    [6, /nothing listens at http:\/\/127\.0\.0\.1:1/, [...nowhere, bucket, empty]],
  ];
  for (const foreground of [[], ['--foreground', '--log-file', join(world.scratch, 'log')]]) {
    for (const [code, message, args, env = {}] of known) {
      const refused = await world.sluice(['mount', ...foreground, ...args], {
        env: { ...world.env, ...env },
      });
      const name = `${foreground.join(' ')} ${message.source}`;
      t.equal(refused.code, code, name);
      t.match(refused.stderr, /^sluice: [^\n]+\n$/, name);
      t.match(refused.stderr, message);
      t.equal(refused.stdout.toString(), '');
      t.notOk(isMounted(empty) || isMounted(full));
    }
  }
  t.strictSame(leftovers(world), []);
});

t.test(
  'a cache directory without room is refused',
  { skip: process.getuid?.() !== 0 && 'not root' },
  async (t) => {
    const world = await startWorld(t);
    const small = world.folder('small');
    t.equal((await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small])).code, 0);
    const mountpoint = world.folder('mount');
    const refused = await mountInBackground(world, mountpoint, ['--cache-dir', small]);
    await run('umount', [small]);
    t.equal(refused.code, 3);
    t.match(refused.stderr, /^sluice: [^\n]*full[^\n]*--cache-dir[^\n]*\n$/);
    t.notOk(isMounted(mountpoint));
  },
);

t.test('Ctrl-C while the server keeps the mount waiting gives up, and leaves nothing', async (t) => {
  const world = await startWorld(t);
  world.server.faults.add({ operation: '*', fault: { kind: 'stall', at: 'before-headers' } });
  const mountpoint = world.folder('mount');
  const args = ['mount', ...connectionFlags(world), `s3://${BUCKET}`, mountpoint];
  const mounting = startProcess(SLUICE, args, world.env);
  t.ok(await eventually(() => world.server.counters.requests > 0));
  mounting.process.kill('SIGINT');
  const { code, stderr } = await mounting.ended;
  t.equal(code, 130);
  t.equal(stderr, 'sluice: stopped before the mount was there\n');
  t.notOk(isMounted(mountpoint));
  t.match(await statusOfAll(world), { mounts: [], notAnswering: [] });
  t.strictSame(leftovers(world), []);
});
