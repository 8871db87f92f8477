/** `sluice warm`, `pin` and `unpin` as users run them: beside a mount and without one, against the embedded server. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { callDaemon } from '../../src/observability/control.js';
import { findSockets } from '../../src/observability/status-socket.js';
import { startProcess } from '../cli/live-process.js';
import { BUCKET, read, SLUICE, startWorld } from '../support/mount-harness.js';
import type { World } from '../support/mount-harness.js';
import { assertPattern } from '../support/pattern-check.js';
import { eventually } from '../support/processes.js';

const KIB = 1024;
const MIB = 1024 * KIB;

interface Line {
  readonly event: string;
  readonly [field: string]: unknown;
}

function flagsOf({ server }: World, cacheDir: string): string[] {
  return ['--endpoint-url', server.endpoint, '--force-path-style', '--cache-dir', cacheDir];
}

/** Runs a command with --json; its last line is the summary. */
async function ask(world: World, args: readonly string[]) {
  const { code, stdout, stderr } = await world.sluice([...args, '--json'], { timeoutMs: 120_000 });
  const lines = stdout
    .toString()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
  return { code, stderr, lines, summary: lines.at(-1) };
}

async function putAll(world: World, keys: readonly string[], size: number): Promise<void> {
  for (const [seed, key] of keys.entries()) await world.server.putSynthetic(BUCKET, key, { size, seed });
}

/** GETs of objects that were answered since the counters were reset. */
function gets({ server }: World): number {
  return server.counters.operation('GetObject').requests;
}

t.test('a directory of a mount is warmed by its daemon, and then read without the bucket', async (t) => {
  const world = await startWorld(t);
  const keys = Array.from({ length: 12 }, (_, n) => `models/shard-${n}.bin`);
  await putAll(world, [...keys, 'other'], MIB + 17);
  const { mountpoint } = await world.mount();
  const { code, summary, lines } = await ask(world, ['warm', join(mountpoint, 'models')]);
  t.equal(code, 0);
  t.match(summary, {
    event: 'summary',
    complete: true,
    files: 12,
    fetched: 12,
    cached: 0,
    failed: 0,
    bytes: 12 * (MIB + 17),
    bytesFetched: 12 * (MIB + 17),
  });
  const told = lines.filter(({ event }) => event === 'file');
  t.strictSame(told.map(({ key }) => String(key)).toSorted(), keys.toSorted());
  t.match(told[0], { result: 'fetched', size: MIB + 17, bytesFetched: MIB + 17 });
  world.server.counters.reset();
  const { stdout } = await read(join(mountpoint, 'models/shard-3.bin'), 0, MIB + 17);
  assertPattern(t, stdout, 3, 0, 'shard-3');
  t.equal(gets(world), 0, 'nothing is fetched any more');
  const { cache } = await world.status(mountpoint);
  t.match(cache, {
    hits: 1,
    misses: 0,
    fills: 12,
    bytesFromBucket: 12 * (MIB + 17),
    verificationFailures: 0,
  });
  t.ok(Number(cache.fillMsAverage) > 0);
  const again = await world.sluice(['warm', join(mountpoint, 'models/shard-*.bin')]);
  t.equal(again.code, 0);
  t.match(again.stdout.toString(), '12 objects in the cache, 12.0 MiB: 0 B fetched, 12.0 MiB were there\n');
});

t.test('an interrupted warming of 1000 objects is continued, and fetches only the rest', async (t) => {
  const size = 16 * KIB;
  const world = await startWorld(t, { network: { roundTripMs: 5 } });
  await putAll(
    world,
    Array.from({ length: 1000 }, (_, n) => `k${n}`),
    size,
  );
  const cacheDir = join(world.scratch, 'cache');
  const args = ['warm', '--json', ...flagsOf(world, cacheDir), `s3://${BUCKET}/`];
  const first = startProcess(SLUICE, args, world.env);
  t.ok(await eventually(() => gets(world) >= 300));
  first.process.kill('SIGINT');
  const { code, stdout } = await first.ended;
  t.equal(code, 130);
  const fetched = Number((JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Line)['fetched']);
  t.ok(fetched >= 200 && fetched < 1000, `${fetched} were there`);
  const before = gets(world);
  const rest = await ask(world, ['warm', ...flagsOf(world, cacheDir), `s3://${BUCKET}/`]);
  t.equal(rest.code, 0);
  t.match(rest.summary, { complete: true, files: 1000, failed: 0, lost: 0 });
  t.ok(Number(rest.summary?.['cached']) >= fetched, 'what was there is not fetched again');
  t.ok(gets(world) - before <= 1000 - fetched, `${gets(world) - before} were fetched`);
  const third = await ask(world, ['warm', ...flagsOf(world, cacheDir), `s3://${BUCKET}/`]);
  t.match(third.summary, { cached: 1000, fetched: 0, bytesFetched: 0 });
});

t.test('what was warmed without a mount is there for the mount', async (t) => {
  const world = await startWorld(t);
  await putAll(world, ['a'], 3 * MIB);
  const cacheDir = join(world.scratch, 'cache');
  t.equal((await world.sluice(['warm', ...flagsOf(world, cacheDir), `s3://${BUCKET}/a`])).code, 0);
  world.server.counters.reset();
  const { mountpoint } = await world.mount(['--cache-dir', cacheDir]);
  const { stdout } = await read(join(mountpoint, 'a'), 0, 3 * MIB);
  assertPattern(t, stdout, 0, 0, 'a');
  t.equal(gets(world), 0);
  const { cache } = await world.status(mountpoint);
  t.match(cache, { hits: 1, misses: 0, fills: 0, bytesFromCache: 3 * MIB, bytesFromBucket: 0 });
});

t.test('patterns and lists say which', async (t) => {
  const world = await startWorld(t);
  await putAll(world, ['a/1.bin', 'a/2.txt', 'a/sub/3.bin', 'b [1].bin'], KIB);
  const flags = flagsOf(world, join(world.scratch, 'cache'));
  const keysOf = (lines: readonly Line[]) =>
    lines.flatMap(({ event, key }) => (event === 'file' ? [String(key)] : [])).toSorted();
  const globbed = await ask(world, ['warm', ...flags, `s3://${BUCKET}/**/*.bin`]);
  t.strictSame(keysOf(globbed.lines), ['a/1.bin', 'a/sub/3.bin', 'b [1].bin']);
  const list = join(world.scratch, 'list');
  writeFileSync(list, 'a/2.txt\r\nb [1].bin\n\na/sub/\n');
  const listed = await ask(world, ['warm', ...flags, '--list', list, `s3://${BUCKET}`]);
  t.equal(listed.code, 0);
  t.strictSame(keysOf(listed.lines), ['a/2.txt', 'a/sub/3.bin', 'b [1].bin']);
  const { mountpoint } = await world.mount();
  writeFileSync(list, `${join(mountpoint, 'a/2.txt')}\ns3://${BUCKET}/a/1.bin\n`);
  const paths = await ask(world, ['warm', '--list', list]);
  t.strictSame([paths.code, ...keysOf(paths.lines)], [0, 'a/1.bin', 'a/2.txt']);
});

t.test('the exit code says that something is missing, and the messages say what', async (t) => {
  const world = await startWorld(t);
  await putAll(world, ['good', 'forbidden'], KIB);
  const { mountpoint } = await world.mount();
  const fault = { kind: 'access-denied' } as const;
  world.server.faults.add({ operation: 'GetObject', key: 'forbidden', fault });
  const warmed = await world.sluice(['warm', mountpoint, join(mountpoint, 'no-such*')]);
  t.equal(warmed.code, 9);
  t.match(warmed.stderr, /sluice: forbidden: .*\n/);
  t.match(warmed.stderr, /sluice: no-such\*: there is no such object, directory or match\n/);
  t.match(warmed.stdout.toString(), /^1 object in the cache.*; 1 FAILED; 1 named in vain\n$/);
  const outside = await world.sluice(['warm', world.scratch]);
  t.equal(outside.code, 7);
  t.match(outside.stderr, /is not in a mount of yours: "sluice status" lists them/);
  const nothing = await world.sluice(['warm']);
  t.equal(nothing.code, 2);
  t.match(nothing.stderr, /expected a PATH or s3:\/\/BUCKET\/KEY, or --list FILE/);
  const bad = await world.sluice(['warm', '--concurrency', '0', mountpoint]);
  t.equal(bad.code, 2);
  t.match(bad.stderr, /--concurrency: expected a whole number from 1 to 256, got "0"/);
  const lost = await world.sluice(['warm', '--list', join(world.scratch, 'none'), mountpoint]);
  t.equal(lost.code, 2);
  t.match(lost.stderr, /--list: expected a file that can be read, got .*none \(ENOENT\)/);
});

t.test('without a mount, a bucket that is not there is said as everywhere', async (t) => {
  const world = await startWorld(t);
  const flags = flagsOf(world, join(world.scratch, 'cache'));
  const { code, stderr } = await world.sluice(['warm', ...flags, 's3://no-such-bucket/a']);
  t.equal(code, 5);
  t.match(stderr, /no-such-bucket/);
});

t.test('a daemon refuses what it does not know, and tells the exit code', async (t) => {
  const world = await startWorld(t);
  const { mountpoint } = await world.mount([], `s3://${BUCKET}/below`);
  const place = { environment: world.env, uid: process.getuid?.() ?? 0 };
  const [socket] = findSockets(place, mountpoint);
  for (const [request, message] of [
    [{ verb: 'dance' }, /knows the requests warm, pin and unpin/],
    [{ verb: 'unpin', selections: [{ key: 'above' }] }, /above is outside of what is mounted/],
  ] as const) {
    const messages: unknown[] = [];
    await callDaemon(socket?.path ?? '', request, { onMessage: (said) => messages.push(said) });
    t.match(messages, [{ event: 'refused', message, exitCode: 2 }]);
  }
});

t.test('what is pinned stays when room is needed, until it is unpinned', async (t) => {
  const world = await startWorld(t);
  const others = Array.from({ length: 10 }, (_, n) => `x${n}`);
  await putAll(world, ['pinned', ...others], 8 * MIB);
  const { mountpoint } = await world.mount(['--cache-bytes-max', '24MiB']);
  const pinned = await ask(world, ['pin', join(mountpoint, 'pinned')]);
  t.match(pinned, { code: 0, summary: { pinned: 1, fetched: 1 } });
  // Each once: what the kernel remembers of a file is not asked for again.
  const readOthers = async (from: number, to: number) => {
    for (const key of others.slice(from, to)) await read(join(mountpoint, key), 0, 8 * MIB);
  };
  await readOthers(0, 5);
  const left = async () => {
    const { stdout } = await world.sluice(['cache', 'ls', '--json']);
    const { copies } = JSON.parse(stdout.toString()) as { copies: { key: string; state: string }[] };
    return copies.filter(({ state }) => state === 'complete').map(({ key }) => key);
  };
  const kept = await left();
  t.ok(kept.includes('pinned'));
  t.notOk(kept.includes('x0'), 'others made room');
  const unpinned = await ask(world, ['unpin', join(mountpoint, 'pin*')]);
  t.match(unpinned, { code: 0, summary: { unpinned: 1 } });
  await readOthers(5, 10);
  t.notOk((await left()).includes('pinned'));
});

t.test('pins that do not fit are refused with numbers, and nothing is pinned', async (t) => {
  const world = await startWorld(t);
  await putAll(world, ['a', 'b', 'c'], 8 * MIB);
  const { mountpoint } = await world.mount(['--cache-bytes-max', '20MiB']);
  t.equal((await world.sluice(['pin', '--no-fill', join(mountpoint, 'a')])).code, 0);
  const { code, stderr } = await world.sluice(['pin', join(mountpoint, 'b'), join(mountpoint, 'c')]);
  t.equal(code, 2);
  t.match(stderr, /nothing was pinned: with the 8\.00 MiB that are pinned already it would be 24\.0 MiB/);
  const { stdout } = await world.sluice(['cache', 'ls', '--json']);
  t.match(JSON.parse(stdout.toString()), { copies: [{ key: 'a', pinned: true }] });
});
