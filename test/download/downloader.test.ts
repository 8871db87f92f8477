/** What is asked of the object store, part by part, for the ways in which objects are read. */
import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import type { PartOutcome } from '../../src/object-store/object-store.js';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { FaultyObjectStore, inOrder } from '../support/faulty-object-store.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { createStores, settle } from '../support/store-harness.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const SEED = 3;

function world(size: number, script: ConstructorParameters<typeof FaultyObjectStore>[1] = {}, options = {}) {
  const clock = new SimulatedClock();
  const objectStore = new MemoryObjectStore({ chunkBytes: 256 * KIB });
  const version = objectStore.put('model', { size, seed: SEED });
  const faulty = new FaultyObjectStore(objectStore, script);
  return { ...createStores(faulty, { clock, ...options }), clock, objectStore, version, faulty };
}

/** Runs `work` while simulated time moves on, so that its backoffs and deadlines pass. */
async function withTime<T>(clock: SimulatedClock, work: Promise<T>): Promise<T> {
  let done = false;
  const finished = work.finally(() => {
    done = true;
  });
  finished.catch(() => {});
  while (!done) {
    await settle(3);
    clock.advance(20);
  }
  return finished;
}

const short: PartOutcome = { kind: 'short', cause: new Error('connection reset') };
const unreachable: PartOutcome = { kind: 'unreachable', cause: new Error('refused') };
const broken: PartOutcome = { kind: 'broken', cause: new Error('500') };

t.test('a 4 KiB read in the middle fetches its pages, and nothing after them', async (t) => {
  const { stores, version, objectStore } = world(1024 * MIB);
  const content = stores.open(version);
  const target = new Uint8Array(4 * KIB);
  t.equal(await content.read(target, 512 * MIB + 100), 4 * KIB);
  t.equal(findPatternMismatch(target, SEED, 512 * MIB + 100), -1);
  await settle();
  t.same(objectStore.requests, [{ key: 'model', start: 512 * MIB, end: 512 * MIB + 8 * KIB }]);
  content.close();
});

t.test('the tail of a large object comes with its own request only', async (t) => {
  const { stores, version, objectStore } = world(1024 * MIB);
  const content = stores.open(version);
  await content.read(new Uint8Array(64 * KIB), 1024 * MIB - 64 * KIB);
  t.same(objectStore.requests, [{ key: 'model', start: 1024 * MIB - 64 * KIB, end: 1024 * MIB }]);
  content.close();
});

t.test(
  'reading in order widens the window; after three parts the rest is fetched without further reads',
  async (t) => {
    const { stores, version, objectStore } = world(200 * MIB);
    const content = stores.open(version);
    for (let at = 0; at < 20 * MIB; at += 128 * KIB) await content.read(new Uint8Array(128 * KIB), at);
    await settle(600);
    const ahead = objectStore.bytesFetched('model');
    t.ok(ahead >= 40 * MIB && ahead < 80 * MIB, `${ahead} bytes fetched: a window ahead, not the object`);
    for (let at = 20 * MIB; at <= 24 * MIB; at += 128 * KIB)
      await content.read(new Uint8Array(128 * KIB), at);
    while (objectStore.bytesFetched('model') < 200 * MIB) await settle(50);
    await settle();
    t.equal(objectStore.bytesFetched('model'), 200 * MIB, 'each byte once');
    t.equal(stores.status(1).stores[0]?.state, 'complete');
    content.close();
  },
);

t.test('an object above the fill limit is only fetched ahead of its reader', async (t) => {
  const { stores, version, objectStore } = world(
    400 * MIB,
    {},
    { fillBytesMax: 100 * MIB, prefetchBytesMax: 16 * MIB },
  );
  const content = stores.open(version);
  for (let at = 0; at < 40 * MIB; at += 128 * KIB) await content.read(new Uint8Array(128 * KIB), at);
  await settle(600);
  t.ok(objectStore.bytesFetched('model') <= 64 * MIB, `${objectStore.bytesFetched('model')} bytes fetched`);
  content.close();
});

t.test('the last close ends background fill and prefetch at once', async (t) => {
  const { stores, version, objectStore, faulty, scheduler } = world(400 * MIB);
  const content = stores.open(version);
  for (let at = 0; at < 30 * MIB; at += MIB) await content.read(new Uint8Array(MIB), at);
  content.close();
  await settle();
  const requests = faulty.calls.length;
  const bytes = objectStore.bytesFetched('model');
  t.ok(bytes < 400 * MIB, 'it was under way');
  await settle(300);
  t.equal(faulty.calls.length, requests);
  t.equal(objectStore.bytesFetched('model'), bytes);
  t.equal(scheduler.running, 0);
});

for (const [name, outcome] of [
  ['short', short],
  ['unreachable', unreachable],
  ['broken', broken],
  ['missing', { kind: 'missing' }],
  ['throttled', { kind: 'throttled', retryAfterMs: undefined }],
] as const) {
  t.test(`three times ${name} in a row: the read gets its bytes, resumed behind the last one`, async (t) => {
    const fault = { bytes: name === 'short' ? 1000 : 0, outcome };
    const { clock, stores, version, faulty, metrics } = world(MIB, { part: inOrder(fault, fault, fault) });
    const content = stores.open(version);
    const target = new Uint8Array(MIB);
    t.equal(await withTime(clock, content.read(target, 0)), MIB);
    t.equal(findPatternMismatch(target, SEED, 0), -1);
    const step = name === 'short' ? 1000 : 0;
    t.same(
      faulty.calls.map(({ start }) => start),
      [0, step, 2 * step, 3 * step],
    );
    t.equal(metrics.totals.partRetries, 3);
    content.close();
  });
}

t.test(
  'a replaced object: what is local stays readable, the rest is stale, for this and later reads',
  async (t) => {
    const { copies, stores, version, objectStore } = world(100 * MIB);
    const content = stores.open(version);
    await content.read(new Uint8Array(KIB), 0);
    objectStore.put('model', { size: 100 * MIB, seed: 99 });
    await t.rejects(content.read(new Uint8Array(KIB), 50 * MIB), { code: 'stale' });
    const target = new Uint8Array(KIB);
    await content.read(target, 0);
    t.equal(findPatternMismatch(target, SEED, 0), -1, 'old bytes of the old version');
    const requests = objectStore.requests.length;
    await t.rejects(content.read(new Uint8Array(KIB), 50 * MIB), { code: 'stale' });
    t.equal(objectStore.requests.length, requests, 'known to be stale: no request');
    const fresh = stores.open(objectStore.version('model'));
    await fresh.read(target, 0);
    t.equal(findPatternMismatch(target, 99, 0), -1, 'a new open reads the new object');
    content.close();
    fresh.close();
    await settle();
    t.equal(copies.idleCount, 1, 'the stale store is gone, the new one is kept');
  },
);

t.test('a key that stays missing is taken for deleted: stale after five looks', async (t) => {
  const { clock, stores, version, objectStore, faulty } = world(MIB);
  const content = stores.open(version);
  objectStore.delete('model');
  await t.rejects(withTime(clock, content.read(new Uint8Array(KIB), 0)), {
    code: 'stale',
    message: /deleted/,
  });
  t.equal(faulty.calls.length, 5);
  content.close();
});

t.test('denied: the reader is told at once, and the next read asks again', async (t) => {
  const error = new ObjectStoreError('access_denied', 'policy says no', { operation: 'GetObject' });
  const { stores, version } = world(MIB, { part: inOrder({ outcome: { kind: 'denied', error } }) });
  const content = stores.open(version);
  await t.rejects(content.read(new Uint8Array(KIB), 0), { code: 'denied', message: 'policy says no' });
  t.equal(await content.read(new Uint8Array(KIB), 0), KIB);
  content.close();
});

t.test('a server that never answers rightly: the read ends at its deadline and says why', async (t) => {
  const { clock, stores, version, reads } = world(
    MIB,
    { part: () => ({ outcome: broken }) },
    { readDeadlineMs: 5000 },
  );
  const content = stores.open(version);
  await t.rejects(withTime(clock, content.read(new Uint8Array(KIB), 0)), {
    code: 'deadline',
    message: /bytes 0-1023 of model did not arrive within 5000 ms \(broken: 500\)/,
  });
  t.equal(reads.inFlightCount, 0);
  content.close();
});

t.test('after an outage the next read is served: nothing stays broken', async (t) => {
  let down = true;
  const script = { part: () => (down ? { outcome: unreachable } : undefined) };
  const { clock, stores, version } = world(MIB, script, { readDeadlineMs: 2000 });
  const content = stores.open(version);
  await t.rejects(withTime(clock, content.read(new Uint8Array(KIB), 0)), { code: 'deadline' });
  down = false;
  // A read that follows at once shares the end of the one before (file/expired-ranges.ts).
  clock.advance(101);
  t.equal(await withTime(clock, content.read(new Uint8Array(KIB), 0)), KIB);
  content.close();
});

t.test('demand goes ahead of prefetch that is queued, and runs beside prefetch under way', async (t) => {
  const gates: Deferred<void>[] = [];
  const hold = () => {
    const gate = new Deferred<void>();
    gates.push(gate);
    return { before: gate.promise };
  };
  let holding = false;
  const { stores, version, faulty } = world(
    400 * MIB,
    { part: () => (holding ? hold() : undefined) },
    { connectionsMax: 4 },
  );
  const content = stores.open(version);
  for (let at = 0; at < 8 * MIB; at += MIB) await content.read(new Uint8Array(MIB), at);
  await settle(300);
  holding = true;
  await content.read(new Uint8Array(MIB), 8 * MIB);
  await settle();
  const prefetching = faulty.calls.length;
  holding = false;
  t.equal(
    await content.read(new Uint8Array(KIB), 390 * MIB),
    KIB,
    'served while prefetch hangs on every one of its connections',
  );
  t.equal(faulty.calls.length, prefetching + 1);
  t.equal(faulty.calls.at(-1)?.start, 390 * MIB);
  for (const gate of gates) gate.resolve();
  content.close();
});

t.test('a closed handle refuses reads and ends those under way', async (t) => {
  const { stores, version } = world(MIB, { part: () => ({ hold: new Promise(() => {}), bytes: 0 }) });
  const content = stores.open(version);
  const pending = content.read(new Uint8Array(KIB), 0);
  content.close();
  await t.rejects(pending, ContentError);
  await t.rejects(content.read(new Uint8Array(KIB), 0), { code: 'closed' });
});
