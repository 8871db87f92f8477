/** Objects that somebody is likely to open: fetched ahead one at a time, within limits, and never twice. */
import t from 'tap';
import { EXPECTED_FOR_MS } from '../../src/file/expectation.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { createStores, settle } from '../support/store-harness.js';

const MIB = 1024 * 1024;
const SIZE = 8 * MIB;

/** Stores over objects whose bytes come while `gate` is open. */
function createRig(cacheBytesMax = 64 * MIB) {
  let gate: Deferred<void> | undefined;
  const objects = new MemoryObjectStore({ chunkBytes: MIB, beforeChunk: () => gate?.promise });
  const clock = new SimulatedClock();
  const { stores, copies } = createStores(objects, { clock, cacheBytesMax });
  return {
    objects,
    clock,
    stores,
    copies,
    put: (key: string, size = SIZE): ObjectVersion => objects.put(key, { seed: 1, size }),
    hold: () => void (gate = new Deferred()),
    letGo: async () => {
      gate?.resolve();
      gate = undefined;
      await settle(50);
    },
    readAndClose: async (version: ObjectVersion) => {
      const content = stores.open(version);
      await content.read(new Uint8Array(version.size), 0);
      content.close();
    },
  };
}

t.test('it is fetched whole, and whoever opens it then asks for nothing', async (t) => {
  const { stores, objects, clock, put, letGo, readAndClose } = createRig();
  const version = put('a');
  stores.expect(version);
  t.equal(stores.restingCount, 1);
  t.equal(stores.openCount, 0);
  await letGo();
  t.equal(objects.bytesFetched('a'), SIZE);
  t.equal(clock.pendingTimers, 0);
  const requests = objects.requests.length;
  await readAndClose(version);
  t.equal(objects.requests.length, requests);
});

t.test('one at a time: others are ignored until it is here', async (t) => {
  const { stores, objects, put, hold, letGo } = createRig();
  hold();
  stores.expect(put('a'));
  stores.expect(put('b'));
  await letGo();
  t.equal(objects.bytesFetched('a'), SIZE);
  t.equal(objects.bytesFetched('b'), 0);
  stores.expect(objects.version('b'));
  await letGo();
  t.equal(objects.bytesFetched('b'), SIZE);
});

t.test('not what is larger than the room for idle objects, open, complete, or empty', async (t) => {
  const { stores, objects, clock, put, readAndClose } = createRig(10 * MIB);
  stores.expect(put('large', 11 * MIB));
  stores.expect(put('empty', 0));
  const open = stores.open(put('open'));
  stores.expect(open.version);
  await readAndClose(put('complete'));
  const requests = objects.requests.length;
  stores.expect(objects.version('complete'));
  await settle(50);
  t.equal(objects.requests.length, requests);
  t.equal(clock.pendingTimers, 0);
  open.close();
});

t.test('it counts among the idle ones and is evicted like them', async (t) => {
  const { stores, copies, objects, put, letGo, readAndClose } = createRig(10 * MIB);
  stores.expect(put('a'));
  await letGo();
  await readAndClose(put('b'));
  await settle();
  t.equal(copies.idleCount, 1);
  await readAndClose(objects.version('a'));
  t.equal(objects.bytesFetched('a'), 2 * SIZE);
});

t.test('fetching ends when nobody opens it for a while; what arrived stays', async (t) => {
  const { stores, objects, clock, put, hold, letGo, readAndClose } = createRig();
  hold();
  const version = put('a');
  stores.expect(version);
  await settle();
  t.ok(objects.requests.length > 0);
  clock.advance(EXPECTED_FOR_MS);
  await letGo();
  t.ok(objects.bytesFetched('a') < SIZE);
  t.equal(clock.pendingTimers, 0);
  stores.expect(put('b'));
  await letGo();
  t.equal(objects.bytesFetched('b'), SIZE, 'there is room for another expectation');
  await readAndClose(version);
});

t.test('one whose object was replaced meanwhile goes at once', async (t) => {
  const { stores, copies, objects, clock, put } = createRig();
  const version = put('a');
  objects.put('a', { seed: 2, size: SIZE });
  stores.expect(version);
  await settle(50);
  t.ok(objects.requests.length > 0);
  t.same(stores.status(10).stores, []);
  t.same([stores.restingCount, copies.idleCount, clock.pendingTimers], [0, 0, 0]);
});

t.test('once it is open, time does not end it, and its last close does', async (t) => {
  const { stores, objects, clock, put, hold, letGo } = createRig();
  hold();
  const version = put('a');
  stores.expect(version);
  const content = stores.open(version);
  t.equal(clock.pendingTimers, 0);
  stores.expect(put('b'));
  content.close();
  t.equal(clock.pendingTimers, 1, 'that of the next one');
  clock.advance(EXPECTED_FOR_MS);
  await letGo();
  t.ok(objects.bytesFetched('a') < SIZE);
  t.ok(objects.bytesFetched('b') < SIZE);
});

t.test('the end of the mount ends it', async (t) => {
  const { stores, clock, objects, put, hold, letGo } = createRig();
  hold();
  stores.expect(put('a'));
  void stores.close();
  await letGo();
  t.equal(clock.pendingTimers, 0);
  t.equal(objects.bytesFetched('a'), 0);
  stores.expect(objects.version('a'));
  t.equal(stores.restingCount, 0);
});

t.test('that half of an object is here is said once: later, at once, or after a close never', async (t) => {
  const { stores, put, hold, letGo } = createRig();
  const version = put('a');
  hold();
  const told: string[] = [];
  const [first, second] = [stores.open(version), stores.open(version)];
  first.onceHalfHere(() => told.push('first'));
  second.onceHalfHere(() => told.push('second'));
  second.close();
  const half = first.read(new Uint8Array(SIZE / 2), 0);
  const rest = first.read(new Uint8Array(SIZE / 2), SIZE / 2);
  await settle();
  t.same(told, []);
  await letGo();
  await Promise.all([half, rest]);
  t.same(told, ['first']);
  first.onceHalfHere(() => told.push('at once'));
  t.same(told, ['first', 'at once']);
  first.close();
});
