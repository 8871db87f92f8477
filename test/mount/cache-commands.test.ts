/** `sluice cache …` as users run it, on a cache that mounts and warm filled. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BUCKET, read, startWorld } from '../support/mount-harness.js';
import type { World } from '../support/mount-harness.js';
import { assertPattern } from '../support/pattern-check.js';
import { eventually } from '../support/processes.js';
import { S3Writer } from '../support/s3-writer.js';

const MIB = 1024 ** 2;

interface Document {
  readonly copies: readonly { readonly key: string; readonly pinned: boolean; readonly state: string }[];
  readonly removed: readonly { readonly key: string }[];
  readonly [field: string]: unknown;
}

interface Rig extends World {
  readonly cacheDir: string;
  /** `sluice cache ARGS --json`, and what it said. */
  readonly cache: (...args: string[]) => Promise<Document>;
  readonly keys: () => Promise<string[]>;
}

/** A cache with `a/1`, `a/2` and `b`, of a MiB each. */
async function filledCache(t: Parameters<typeof startWorld>[0]): Promise<Rig> {
  const world = await startWorld(t);
  for (const [seed, key] of ['a/1', 'a/2', 'b'].entries()) {
    await world.server.putSynthetic(BUCKET, key, { size: MIB + 5, seed });
  }
  const cacheDir = join(world.scratch, 'cache');
  const flags = ['--endpoint-url', world.server.endpoint, '--force-path-style', '--cache-dir', cacheDir];
  for (const key of ['a/1', 'a/2', 'b']) {
    const { code, stderr } = await world.sluice(['warm', ...flags, `s3://${BUCKET}/${key}`]);
    if (code !== 0) throw new Error(stderr);
  }
  const cache = async (...args: string[]) => {
    const { stdout, stderr } = await world.sluice(['cache', ...args, '--json', '--cache-dir', cacheDir]);
    if (stdout.length === 0) throw new Error(stderr);
    return JSON.parse(stdout.toString()) as Document;
  };
  const keys = async () => (await cache('ls')).copies.map(({ key }) => key);
  return { ...world, cacheDir, cache, keys };
}

/** The data files of complete copies. */
function dataFiles({ cacheDir }: Rig): string[] {
  return readdirSync(join(cacheDir, 'data'), { recursive: true, encoding: 'utf8' })
    .map((name) => join(cacheDir, 'data', name))
    .filter((path) => !path.includes('.', cacheDir.length) && statSync(path).isFile());
}

function flipByte(path: string, at: number): void {
  const file = openSync(path, 'r+');
  const byte = new Uint8Array(1);
  readSync(file, byte, 0, 1, at);
  byte[0] = byte[0]! ^ 1;
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
}

t.test('ls lists the copies, for programs and for people', async (t) => {
  const rig = await filledCache(t);
  const { schema, directory, copies } = await rig.cache('ls');
  t.equal(schema, 1);
  t.equal(directory, rig.cacheDir);
  t.match(copies, [{ key: 'a/1' }, { key: 'a/2' }, { key: 'b' }]);
  t.match(copies[0], {
    endpoint: rig.server.endpoint,
    bucket: BUCKET,
    key: 'a/1',
    versionId: null,
    size: MIB + 5,
    state: 'complete',
    pinned: false,
    openCount: 0,
    useCount: 1,
    usedAt: /^20..-.*Z$/,
  });
  t.match((await rig.cache('ls', 'a/*')).copies, [{ key: 'a/1' }, { key: 'a/2' }]);
  t.match((await rig.cache('ls', `s3://${BUCKET}/b`)).copies, [{ key: 'b' }]);
  t.strictSame((await rig.cache('ls', 's3://another')).copies, []);
  const { stdout, code } = await rig.sluice(['cache', 'ls', '--cache-dir', rig.cacheDir]);
  t.equal(code, 0);
  const lines = stdout.toString().trimEnd().split('\n');
  t.match(lines[0], /^ +size +on disk +state +pin +open +uses +last use +object$/);
  t.match(
    lines[1],
    new RegExp(`^ ?1\\.00 MiB +1\\.01 MiB +complete +- +- +1 +20\\S+ \\S+Z +s3://${BUCKET}/a/1$`),
  );
  t.equal(lines.length, 4);
});

t.test('stats sums up, and names the mounts that use the cache', async (t) => {
  const rig = await filledCache(t);
  const { mountpoint } = await rig.mount(['--cache-dir', rig.cacheDir, '--cache-bytes-max', '64MiB']);
  const stats = await rig.cache('stats');
  t.match(stats, { schema: 1, directory: rig.cacheDir, copies: 3, complete: 3, pinned: 0, pinnedBytes: 0 });
  t.ok(Number(stats['bytes']) >= 3 * (MIB + 5));
  t.match(stats['users'], [{ mountpoint, bytesMax: 64 * MIB }]);
  const { stdout } = await rig.sluice(['cache', 'stats', '--cache-dir', rig.cacheDir]);
  t.match(stdout.toString(), /copies {2}3, of which 3 complete, 0 pinned, 0 open\n/);
  t.match(stdout.toString(), new RegExp(`user {4}${mountpoint} \\(pid \\d+\\), at most 64\\.0 MiB\\n`));
});

t.test('evict removes what was named and is not open', async (t) => {
  const rig = await filledCache(t);
  t.match((await rig.cache('evict', 'a/*')).removed, [{ key: 'a/1' }, { key: 'a/2' }]);
  t.strictSame(await rig.keys(), ['b']);
  t.equal(dataFiles(rig).length, 1);
  const refused = await rig.sluice(['cache', 'evict', '--cache-dir', rig.cacheDir]);
  t.equal(refused.code, 2);
  t.match(refused.stderr, /expected which copies to remove, or --bytes SIZE/);
});

t.test('evict --bytes removes what was not used for longest, as much as that', async (t) => {
  const rig = await filledCache(t);
  t.match(await rig.cache('evict', '--bytes', '1MiB'), { removed: [{ key: 'a/1' }], kept: 0 });
  t.strictSame(await rig.keys(), ['a/2', 'b']);
  const pin = ['pin', '--no-fill', '--endpoint-url', rig.server.endpoint, '--force-path-style'];
  t.equal((await rig.sluice([...pin, '--cache-dir', rig.cacheDir, `s3://${BUCKET}/b`])).code, 0);
  t.match(await rig.cache('evict', '--bytes', '2MiB'), { removed: [{ key: 'a/2' }], kept: 1 });
});

t.test('pinned copies are removed only by those who say so', async (t) => {
  const rig = await filledCache(t);
  const flags = ['--endpoint-url', rig.server.endpoint, '--force-path-style', '--cache-dir', rig.cacheDir];
  t.equal((await rig.sluice(['pin', ...flags, `s3://${BUCKET}/b`])).code, 0);
  t.match(await rig.cache('evict', '**'), { removed: [{ key: 'a/1' }, { key: 'a/2' }], kept: 1 });
  t.match((await rig.cache('evict', '--pinned', '**')).removed, [{ key: 'b' }]);
  t.strictSame(await rig.keys(), []);
});

t.test('clear leaves what a reader has open', async (t) => {
  const rig = await filledCache(t);
  const { mountpoint } = await rig.mount(['--cache-dir', rig.cacheDir]);
  const file = join(mountpoint, 'a/1');
  const holder = startHolder(file);
  t.teardown(() => holder.kill());
  await once(holder.stdout, 'data');
  t.match(await rig.cache('clear'), { removed: [{ key: 'a/2' }, { key: 'b' }], kept: 1 });
  const { stdout } = await read(file, 0, MIB + 5);
  assertPattern(t, stdout, 0, 0, 'what is open');
  holder.kill();
  await once(holder, 'exit');
  const isClear = async () => {
    await rig.cache('clear');
    return dataFiles(rig).length === 0;
  };
  t.ok(await eventually(isClear), 'once it is closed, it goes as well');
  const again = await read(file, 0, MIB + 5);
  assertPattern(t, again.stdout, 0, 0, 'what is fetched again');
});

/** Has the file open until it is killed, and says so. */
function startHolder(file: string) {
  const script = 'exec 3<"$0"; echo open; exec sleep 600';
  return spawn('sh', ['-c', script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
}

t.test('verify finds a flipped byte, and removes the copy', async (t) => {
  const rig = await filledCache(t);
  const verify = async (...args: string[]) => {
    const { code, stdout, stderr } = await rig.sluice([
      'cache',
      'verify',
      '--cache-dir',
      rig.cacheDir,
      ...args,
    ]);
    return { code, stdout: stdout.toString(), stderr };
  };
  t.match(await verify(), { code: 0, stdout: /^3 objects right \(3\.00 MiB read\)\n$/ });
  const [path = ''] = dataFiles(rig);
  flipByte(path, MIB + 2);
  const found = await verify();
  t.equal(found.code, 9);
  t.match(found.stdout, /^2 objects right \(3\.00 MiB read\); 1 WRONG, removed\n$/);
  t.match(
    found.stderr,
    /sluice: s3:\/\/bucket\/\S+ was wrong and is removed: bytes 1048576 to 1048581 are not those that were fetched\n/,
  );
  t.equal((await rig.keys()).length, 2);
  t.match(await verify(), { code: 0, stdout: /^2 objects right/ });
  const { stdout } = await verify('--json');
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(lines.at(-1), { event: 'summary', right: 2, wrong: 0, unknown: 0, gone: 0 });
  t.match(
    lines.filter(({ event }) => event === 'file'),
    [{ result: 'right' }, { result: 'right' }],
  );
});

t.test('verify --full asks the server, and finds what only that knows', async (t) => {
  const world = await startWorld(t);
  const credentials = { accessKeyId: 'sluice', secretAccessKey: 'sluice-secret' };
  const writer = new S3Writer({ endpointUrl: world.server.endpoint, bucket: BUCKET, credentials });
  for (const key of ['good', 'wrong']) await writer.put(key, Buffer.alloc(MIB, key), 'sha256');
  writer.close();
  // Nothing that is compared by default tells: the server keeps a hash only.
  const fault = { kind: 'flipped-byte', atByte: 77 } as const;
  world.server.faults.add({ operation: 'GetObject', key: 'wrong', fault });
  const cacheDir = join(world.scratch, 'cache');
  const flags = ['--endpoint-url', world.server.endpoint, '--force-path-style', '--cache-dir', cacheDir];
  t.equal((await world.sluice(['warm', ...flags, `s3://${BUCKET}`])).code, 0);
  t.equal((await world.sluice(['cache', 'verify', '--cache-dir', cacheDir])).code, 0);
  const { code, stdout } = await world.sluice(['cache', 'verify', '--full', '--json', ...flags]);
  t.equal(code, 9);
  const lines = stdout.toString().trim().split('\n');
  t.match(
    lines.map((line) => JSON.parse(line) as object).filter((line) => 'result' in line),
    [
      { event: 'file', key: 'good', result: 'right', serverSays: 'matches' },
      { event: 'file', key: 'wrong', result: 'wrong', reason: /^its sha256 is not the one/ },
    ],
  );
});

t.test('a directory without a cache is said to be one', async (t) => {
  const world = await startWorld(t);
  const { code, stderr } = await world.sluice(['cache', 'ls', '--cache-dir', world.folder('empty')]);
  t.equal(code, 2);
  t.match(stderr, /there is no cache in .*empty.*--cache-dir/);
});
