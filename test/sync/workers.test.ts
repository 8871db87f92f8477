import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { EXIT } from '../../src/cli/exit-codes.js';
import { nativeAddonIfAny } from '../../src/native.js';
import { systemClock } from '../../src/runtime/clock.js';
import { lockPath } from '../../src/sync/kernel-lock.js';
import { SyncFolder } from '../../src/sync/sync-folder.js';
import type { Ended } from '../cli/live-process.js';
import { eventually } from '../support/processes.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { BUCKET, leftIn, MIB, OWN, pattern, useSyncWorld } from './sync-rig.js';
import type { SyncWorld } from './sync-rig.js';

const skip = nativeAddonIfAny() === undefined ? 'the addon was not built' : false;

/** So slow that nothing ends before the test has done what it wants to, and not so slow that it is taken for a stall. */
const CRAWL = 64 * 1024;

/** Small ones, some of several parts, one that takes a while. */
async function putObjects(world: SyncWorld): Promise<Map<string, Buffer>> {
  const bodies = new Map<string, Buffer>();
  for (let at = 0; at < 60; at += 1) bodies.set(`small/${at}.bin`, pattern(1000 + at, at));
  for (let at = 0; at < 6; at += 1) bodies.set(`medium/${at}.bin`, pattern(3 * MIB + at, 100 + at));
  for (const [key, body] of bodies) await world.put(key, body);
  return bodies;
}

function summaryOf({ stdout }: Ended): Record<string, number> {
  const last = stdout.trim().split('\n').at(-1) ?? '';
  return JSON.parse(last) as Record<string, number>;
}

t.test('two workers on one directory share the work: each object is fetched once', { skip }, async (t) => {
  const world = await useSyncWorld(t);
  const bodies = await putObjects(world);
  world.server.faults.roundTripMs = 5;
  const flags = ['--json', '--concurrency', '4'];
  const workers = [world.start(flags), world.start(flags)];
  const ends = await Promise.all(workers.map(({ ended }) => ended));
  for (const { code, stderr } of ends) {
    t.equal(code, EXIT.ok);
    t.equal(stderr, '', 'no error lines');
  }
  for (const [key, body] of bodies) {
    t.ok(readFileSync(world.path(key)).equals(body), key);
    t.equal(world.sent(key), body.length, `${key} was sent once`);
  }
  const [first, second] = ends.map(summaryOf);
  t.equal((first?.['succeeded'] ?? 0) + (second?.['succeeded'] ?? 0), bodies.size);
  t.equal((first?.['skipped'] ?? 0) + (second?.['skipped'] ?? 0), bodies.size, 'and each saw all of them');
  t.ok((first?.['succeeded'] ?? 0) > 0 && (second?.['succeeded'] ?? 0) > 0, 'both had their share');
  t.strictSame(leftIn(world.dir), []);
});

t.test('the work of a worker that is killed is taken over at once, where it was', { skip }, async (t) => {
  const world = await useSyncWorld(t);
  const body = pattern(24 * MIB, 7);
  await world.put('one', body);
  world.server.faults.connectionBytesPerSecond = 2 * MIB;
  const flags = ['--part-size-max', '1MiB', '--connections-max', '16'];
  const first = world.start(flags);
  t.ok(await eventually(() => world.sent('one') > 10 * MIB));
  world.server.faults.connectionBytesPerSecond = CRAWL;
  const second = world.start(flags);
  await second.says('1 file,');
  first.process.kill('SIGKILL');
  await first.ended;
  world.server.faults.clear();
  const { code, stderr } = await second.ended;
  t.equal(code, EXIT.ok);
  t.equal(stderr, '');
  t.ok(readFileSync(world.path('one')).equals(body));
  const again = world.sent('one') - body.length;
  t.ok(
    again <= 12 * MIB,
    `of what was there no more was sent again than twelve connections had under way: ${again}`,
  );
  t.strictSame(leftIn(world.dir), []);
});

t.test('a worker that ends in peace leaves the rest to the others', { skip }, async (t) => {
  const world = await useSyncWorld(t);
  const body = pattern(8 * MIB, 8);
  await world.put('one', body);
  world.server.faults.connectionBytesPerSecond = CRAWL;
  const first = world.start(['--part-size-max', '1MiB']);
  t.ok(await eventually(() => world.sent('one') > 0));
  const second = world.start();
  await second.says('1 file,');
  first.process.kill('SIGTERM');
  const stopped = await first.ended;
  t.equal(stopped.code, 128 + 15);
  t.match(stopped.stdout, /^Stopped synchronising /m);
  t.equal(stopped.stderr, '');
  world.server.faults.clear();
  const { code, stderr } = await second.ended;
  t.equal(code, EXIT.ok);
  t.equal(stderr, '');
  t.ok(readFileSync(world.path('one')).equals(body));
});

t.test('a killed worker leaves nothing that keeps the next one from its work', { skip }, async (t) => {
  const world = await useSyncWorld(t);
  await world.put('one', pattern(4 * MIB, 9));
  world.server.faults.connectionBytesPerSecond = CRAWL;
  const first = world.start();
  t.ok(await eventually(() => world.sent('one') > 0));
  first.process.kill('SIGKILL');
  await first.ended;
  t.ok(
    leftIn(world.dir).some((name) => name.startsWith('workers/')),
    'its traces are there',
  );
  world.server.faults.clear();
  t.match((await world.sync()).summary, { succeeded: 1, failed: 0 });
  t.strictSame(leftIn(world.dir), []);
});

t.test('whoever holds a file and cannot be asked is waited for, too', { skip }, async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a', 'a');
  await world.put('b', 'b');
  await world.sync();
  await world.put('b', 'new');
  const folder = SyncFolder.find(world.dir);
  const addon = nativeAddonIfAny();
  const held = lockPath(
    folder?.pathsOf('b').lock ?? '',
    (descriptor) => addon?.lockFile(descriptor) ?? false,
  );
  t.ok(held);
  const clock = new SimulatedClock();
  const running = world.sync({}, { clock: { ...systemClock, after: (ms, fire) => clock.after(ms, fire) } });
  t.ok(await eventually(() => clock.pendingTimers > 0), 'it will look again');
  clock.advance(1000);
  t.ok(await eventually(() => clock.pendingTimers > 0), 'and again');
  t.equal(readFileSync(world.path('b'), 'utf8'), 'b');
  held?.release();
  clock.advance(1000);
  t.match((await running).summary, { succeeded: 1, skipped: 1 });
  t.equal(readFileSync(world.path('b'), 'utf8'), 'new');
});

t.test('without the addon a second worker is refused, and one that died is not in the way', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('one', 'one');
  const workers = join(world.dir, OWN, 'workers');
  mkdirSync(workers, { recursive: true });
  // The process of this test holds it, and is alive.
  writeFileSync(join(workers, 'alone'), JSON.stringify({ pid: process.pid }));
  const refused = /cannot be shared without the native addon/;
  await t.rejects(world.sync({}, { addon: undefined }), { name: 'WorkersError', message: refused });
  if (skip === false) await t.rejects(world.sync(), { name: 'WorkersError', message: refused });
  writeFileSync(join(workers, 'alone'), JSON.stringify({ pid: process.pid, startedAt: 'another time' }));
  t.match((await world.sync({}, { addon: undefined })).summary, { succeeded: 1 });
  t.notOk(existsSync(join(workers, 'alone')));
});

t.test('without the addon a worker does not work beside those that share', { skip }, async (t) => {
  const world = await useSyncWorld(t);
  await world.put('one', pattern(2 * MIB, 1));
  world.server.faults.add({ operation: 'GetObject', bucket: BUCKET, fault: { kind: 'latency', ms: 60_000 } });
  const first = world.start(['--read-deadline', '5m']);
  await first.says('1 file,');
  await t.rejects(world.sync({}, { addon: undefined }), { name: 'WorkersError', message: /other workers/ });
  first.process.kill('SIGKILL');
  await first.ended;
  world.server.faults.clear();
  t.match((await world.sync({}, { addon: undefined })).summary, { succeeded: 1 });
});
