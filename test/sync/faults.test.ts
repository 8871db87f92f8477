import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createAborter } from '../../src/runtime/aborter.js';
import type { SyncConfig } from '../../src/sync/sync.js';
import { eventually } from '../support/processes.js';
import { BUCKET, contentOf, leftIn, MIB, ofKind, OWN, pattern, useSyncWorld } from './sync-rig.js';
import type { SyncWorld } from './sync-rig.js';

/** Ends a run with some blocks of `key` here, as a killed one would; returns how many bytes the server had sent. */
async function interrupt(
  world: SyncWorld,
  key: string,
  bytesMin: number,
  changes: Partial<SyncConfig> = {},
): Promise<number> {
  const aborter = createAborter();
  world.server.faults.connectionBytesPerSecond = 4 * MIB;
  const running = world.sync({ partBytesMax: MIB, ...changes }, { signal: aborter.signal });
  await eventually(() => world.sent(key) >= bytesMin);
  aborter.abort();
  const { summary } = await running;
  world.server.faults.clear();
  if (!summary.stopped || summary.succeeded > 0) throw new Error('it was too late to interrupt');
  return world.sent(key);
}

function partOf(world: SyncWorld): string {
  const parts = join(world.dir, OWN, 'parts');
  const [name] = readdirSync(parts).filter((file) => !file.endsWith('.map'));
  return join(parts, name ?? 'missing');
}

t.test('what was interrupted is resumed: blocks that have come are not asked for again', async (t) => {
  const world = await useSyncWorld(t);
  const body = pattern(16 * MIB + 5, 1);
  await world.put('large', body);
  await interrupt(world, 'large', 10 * MIB);
  t.notOk(existsSync(world.path('large')), 'nothing is at its name before it is complete');
  world.server.counters.reset();
  const { summary, events } = await world.sync();
  t.match(summary, { succeeded: 1, failed: 0 });
  t.ok(readFileSync(world.path('large')).equals(body));
  const [{ resumedBytes } = { resumedBytes: 0 }] = ofKind(events, 'fetched');
  t.ok(resumedBytes > 2 * MIB, `${resumedBytes} bytes were there`);
  t.equal(world.sent('large'), body.length - resumedBytes);
  t.strictSame(leftIn(world.dir), []);
});

t.test('bytes that do not come by the socket transport are resumed as well', async (t) => {
  const world = await useSyncWorld(t);
  const body = pattern(16 * MIB + 5, 1);
  await world.put('large', body);
  await interrupt(world, 'large', 10 * MIB, { transferThreads: 0 });
  world.server.counters.reset();
  const { events } = await world.sync({ transferThreads: 0 });
  t.ok(readFileSync(world.path('large')).equals(body));
  const [fetched] = ofKind(events, 'fetched');
  t.ok((fetched?.resumedBytes ?? 0) > 2 * MIB);
  t.equal(fetched?.checksum, 'matches');
  t.equal(world.sent('large'), body.length - (fetched?.resumedBytes ?? 0));
});

t.test('of an interrupted file only blocks with the noted checksum are believed', async (t) => {
  const world = await useSyncWorld(t);
  const body = pattern(16 * MIB, 2);
  // Nothing but the blocks' own checksums could find out.
  await world.put('large', body, null);
  await interrupt(world, 'large', 10 * MIB);
  const part = readFileSync(partOf(world));
  const [right = 0, wrong = 0] = Array.from({ length: 16 }, (_, block) => block * MIB).filter((at) =>
    part.subarray(at, at + MIB).equals(body.subarray(at, at + MIB)),
  );
  part[wrong + 77] = part[wrong + 77]! ^ 1;
  writeFileSync(partOf(world), part);
  world.server.counters.reset();
  const { events } = await world.sync();
  t.ok(readFileSync(world.path('large')).equals(body));
  const asked = world.server.counters.gets(BUCKET, 'large');
  const isAsked = (at: number) => asked.some(({ start, end }) => start <= at && at < end);
  t.ok(isAsked(wrong), 'the block with a flipped byte was fetched again');
  t.notOk(isAsked(right), 'one that was right was not');
  t.ok((ofKind(events, 'fetched')[0]?.resumedBytes ?? 0) >= MIB);
});

t.test('an interrupted file of another version, or of another length, is not resumed', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('replaced', pattern(12 * MIB, 3));
  await interrupt(world, 'replaced', 4 * MIB);
  const body = pattern(12 * MIB, 4);
  await world.put('replaced', body);
  const replaced = await world.sync();
  t.equal(ofKind(replaced.events, 'fetched')[0]?.resumedBytes, 0);
  t.ok(readFileSync(world.path('replaced')).equals(body));
  await world.put('replaced', pattern(12 * MIB, 5), null);
  world.server.counters.reset();
  await interrupt(world, 'replaced', 4 * MIB);
  truncateSync(partOf(world), 5 * MIB);
  await world.sync();
  t.ok(readFileSync(world.path('replaced')).equals(pattern(12 * MIB, 5)));
});

t.test(
  'what is left of an object that is not there any more is cleared away, and nothing else',
  async (t) => {
    const world = await useSyncWorld(t);
    await world.put('a/going', pattern(12 * MIB, 1));
    await world.put('a/staying', 'a');
    await world.put('b/other', 'b');
    await interrupt(world, 'a/going', 6 * MIB, { prefix: 'a/', concurrency: 1 });
    const parts = leftIn(world.dir).filter((name) => name.startsWith('parts/'));
    t.equal(parts.length, 2, 'a part and its map');
    await world.sync({ prefix: 'b/' });
    t.strictSame(leftIn(world.dir), parts, 'another prefix has nothing to do with it');
    await world.server.deleteObject(BUCKET, 'a/going');
    await world.sync({ prefix: 'a/' });
    t.strictSame(leftIn(world.dir), []);
  },
);

t.test('a byte that is wrong in flight is found, and the object is fetched again', async (t) => {
  const world = await useSyncWorld(t);
  const body = pattern(5 * MIB, 6);
  await world.put('once', body);
  await world.put('small', 'small', 'CRC32C');
  for (const key of ['once', 'small']) {
    world.server.faults.add({
      operation: 'GetObject',
      key,
      attempts: 1,
      fault: { kind: 'flipped-byte', atByte: 3 },
    });
  }
  const { summary, events } = await world.sync();
  t.match(summary, { succeeded: 2, retried: 2, failed: 0 });
  t.strictSame(
    ofKind(events, 'retried')
      .map(({ name, reason }) => `${name}: ${reason}`)
      .toSorted(),
    ['once: its checksum differs', 'small: its checksum differs'],
  );
  t.ok(readFileSync(world.path('once')).equals(body));
  t.equal(readFileSync(world.path('small'), 'utf8'), 'small');
});

t.test('an object that arrives wrong twice fails, and the file of before stays', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('bad', 'old');
  await world.put('good', 'good');
  await world.sync();
  await world.put('bad', 'new');
  world.server.faults.add({ operation: 'GetObject', key: 'bad', fault: { kind: 'flipped-byte', atByte: 1 } });
  const { summary, events } = await world.sync({ deletes: 'strays' });
  t.match(summary, { succeeded: 0, skipped: 1, failed: 1 });
  t.match(ofKind(events, 'failed'), [{ name: 'bad', code: 'corrupt', message: /for the second time/ }]);
  t.strictSame(contentOf(world.dir), { bad: 'old', good: 'good' });
  t.strictSame(leftIn(world.dir), [], 'nothing of the wrong one is kept');
});

t.test('an object that is replaced while it is fetched arrives in its new version', async (t) => {
  const world = await useSyncWorld(t);
  const body = pattern(8 * MIB, 8);
  await world.put('moving', pattern(6 * MIB, 7));
  world.server.faults.connectionBytesPerSecond = 4 * MIB;
  const running = world.sync({ partBytesMax: MIB, connectionsMax: 2 });
  t.ok(await eventually(() => world.sent('moving') > MIB));
  await world.put('moving', body);
  world.server.faults.clear();
  const { summary, events } = await running;
  t.match(summary, { succeeded: 1, retried: 1, failed: 0, bytes: body.length });
  t.match(ofKind(events, 'retried'), [{ name: 'moving', reason: /replaced/ }]);
  t.ok(readFileSync(world.path('moving')).equals(body));
});

t.test('an object that is deleted while it is fetched is no failure', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('going', pattern(6 * MIB, 7));
  world.server.faults.connectionBytesPerSecond = 4 * MIB;
  const running = world.sync({ partBytesMax: MIB, connectionsMax: 2 });
  t.ok(await eventually(() => world.sent('going') > MIB));
  await world.server.deleteObject(BUCKET, 'going');
  world.server.faults.clear();
  const { summary, events } = await running;
  t.match(summary, { succeeded: 0, skipped: 1, failed: 0 });
  t.match(ofKind(events, 'skipped'), [{ name: 'going', reason: 'deleted on the server' }]);
  t.strictSame(contentOf(world.dir), {});
  t.strictSame(leftIn(world.dir), []);
});

t.test('requests that fail are tried again, and counted', async (t) => {
  const world = await useSyncWorld(t);
  const body = pattern(3 * MIB, 9);
  await world.put('a', body);
  await world.put('b', 'b');
  const faults = [
    { kind: 'slow-down' },
    { kind: 'internal-error' },
    { kind: 'reset', at: { atByte: 1000 } },
  ] as const;
  for (const fault of faults)
    world.server.faults.add({ operation: 'GetObject', key: 'a', attempts: 2, fault });
  const { summary } = await world.sync();
  t.match(summary, { succeeded: 2, retried: 1, failed: 0 });
  t.ok(readFileSync(world.path('a')).equals(body));
});

t.test('a refusal concerns the one object; a server that is gone ends the rest', async (t) => {
  const world = await useSyncWorld(t);
  for (const key of ['a', 'b', 'c']) await world.put(key, key);
  world.server.faults.add({ operation: 'GetObject', key: 'b', fault: { kind: 'access-denied' } });
  const denied = await world.sync();
  t.match(denied.summary, { succeeded: 2, failed: 1 });
  t.match(ofKind(denied.events, 'failed'), [{ name: 'b', code: 'denied', message: /denied/ }]);
  const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const key of keys) await world.put(key, `new ${key}`);
  world.server.faults.clear();
  world.server.faults.add({ operation: 'GetObject', fault: { kind: 'internal-error' } });
  const gone = await world.sync({ concurrency: 2, readDeadlineMs: 300, stallTimeoutMs: 100 });
  t.match(gone.summary, { succeeded: 0, failed: keys.length });
  const failed = ofKind(gone.events, 'failed');
  t.strictSame(new Set(failed.map(({ code }) => code)), new Set(['unreachable']));
  t.match(ofKind(gone.events, 'given-up'), [
    { files: keys.length - failed.length, reason: 'the server does not answer any more' },
  ]);
});

const isRoot = process.getuid?.() === 0;

t.test(
  'what the local disk refuses fails file by file',
  { skip: isRoot && 'root is refused nothing' },
  async (t) => {
    const world = await useSyncWorld(t);
    await world.put('locked/a', 'a');
    await world.put('b', 'b');
    mkdirSync(world.path('locked'), { recursive: true });
    chmodSync(world.path('locked'), 0o500);
    const { summary, events } = await world.sync();
    chmodSync(world.path('locked'), 0o700);
    t.match(summary, { succeeded: 1, failed: 1 });
    t.match(ofKind(events, 'failed'), [{ name: 'locked/a', code: 'disk_failed', message: /EACCES/ }]);
  },
);

const canMount = process.platform === 'linux' && isRoot;

t.test('a full disk ends it; with room again it goes on', { skip: !canMount && 'needs root' }, async (t) => {
  const world = await useSyncWorld(t);
  const mountDisk = (path: string, size: number) => {
    mkdirSync(path, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path]);
    t.teardown(() => void execFileSync('umount', ['--lazy', path]));
  };
  mountDisk(world.dir, 8 * MIB);
  await world.put('elsewhere/a', 'a');
  mountDisk(world.path('elsewhere'), MIB);
  const moved = await world.sync();
  t.match(ofKind(moved.events, 'failed'), [{ name: 'elsewhere/a', code: 'disk_failed', message: /EXDEV/ }]);
  await world.server.deleteObject(BUCKET, 'elsewhere/a');

  const bodies = [pattern(3 * MIB, 1), pattern(3 * MIB, 2), pattern(3 * MIB, 3), pattern(3 * MIB, 4)];
  for (const [at, body] of bodies.entries()) await world.put(`${at}`, body);
  writeFileSync(world.path('ballast'), Buffer.alloc(MIB));
  const full = await world.sync({ concurrency: 1 });
  t.match(full.summary, { succeeded: 2, failed: 2, stopped: false });
  t.match(ofKind(full.events, 'failed'), [{ name: '2', code: 'disk_full', message: /ENOSPC/ }]);
  t.strictSame(ofKind(full.events, 'given-up'), [
    { event: 'given-up', files: 1, reason: 'the disk is full' },
  ]);
  execFileSync('mount', ['-o', `remount,size=${20 * MIB}`, world.dir]);
  t.match((await world.sync()).summary, { succeeded: 2, skipped: 2, failed: 0 });
  for (const [at, body] of bodies.entries()) t.ok(readFileSync(world.path(`${at}`)).equals(body));
});

t.test('a directory that cannot be used is said before anything is asked for', async (t) => {
  const world = await useSyncWorld(t);
  writeFileSync(world.dir, 'a file');
  await t.rejects(world.sync(), { name: 'SyncFolderError', message: /cannot be used/ });
  await t.rejects(world.sync({ dryRun: true }), { name: 'SyncFolderError', message: /is not a directory/ });
  t.equal(world.server.counters.requests, 0);
});
