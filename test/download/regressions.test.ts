/** Named regressions of the downloader: each was seen to fail once. */
import t from 'tap';
import { Downloader } from '../../src/download/downloader.js';
import { PartScheduler } from '../../src/download/part-scheduler.js';
import type { DownloadTarget, PartTarget } from '../../src/download/target.js';
import { Availability } from '../../src/runtime/availability.js';
import { PartWriter } from '../../src/file/part-writer.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import type { ObjectVersion, PartOutcome } from '../../src/object-store/object-store.js';
import { silentLogger } from '../../src/observability/logger.js';
import { TransferMetrics } from '../../src/observability/metrics.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { rangesOverlap } from '../../src/runtime/range.js';
import type { ByteRange } from '../../src/runtime/range.js';
import { FaultyObjectStore } from '../support/faulty-object-store.js';
import type { PartCall, PartFault } from '../support/faulty-object-store.js';
import { HoleFile } from '../support/memory-file.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { createStores, NO_PROBE, settle } from '../support/store-harness.js';
import type { HarnessOptions } from '../support/store-harness.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const broken: PartOutcome = { kind: 'broken', cause: new Error('500') };

function world(
  size: number,
  script: ConstructorParameters<typeof FaultyObjectStore>[1],
  options: HarnessOptions = {},
) {
  const clock = new SimulatedClock();
  const objectStore = new MemoryObjectStore({ chunkBytes: 64 * KIB });
  const version = objectStore.put('model', { size, seed: 1 });
  const faulty = new FaultyObjectStore(objectStore, script);
  const createFile = () => new HoleFile();
  return { ...createStores(faulty, { createFile, ...options, clock }), clock, objectStore, version, faulty };
}

for (const [name, size, partBytesMax] of [
  ['--part-size-max that is no multiple of a page', 40 * MIB, 8_000_000],
  ['--part-size-max below a page of the availability', 3 * 1024 * GIB, 64 * KIB],
  ['an object over 64 GiB, whose pages are larger', 65 * GIB, 8 * MIB],
] as const) {
  t.test(`parts lie on pages: ${name}`, async (t) => {
    const { stores, version, objectStore } = world(size, {}, { partBytesMax, fillBytesMax: 0 });
    const content = stores.open(version);
    for (let at = 0; at < 30 * MIB; at += 128 * KIB) {
      const target = new Uint8Array(128 * KIB);
      t.equal(await content.read(target, at), 128 * KIB);
    }
    const { pageBytes } = Availability.create(size);
    for (const { start, end } of objectStore.requests) {
      if (start % pageBytes !== 0 || (end % pageBytes !== 0 && end !== size))
        t.fail(`[${start}, ${end}) cuts a page`);
    }
    content.close();
  });
}

t.test('objects that fail do not keep others from their connections', async (t) => {
  const script = { part: ({ key }: { key: string }) => (key === 'bad' ? { outcome: broken } : undefined) };
  const { stores, version, objectStore, clock } = world(MIB, script, { connectionsMax: 4 });
  const bad = stores.open(objectStore.put('bad', { size: 1000 * MIB, seed: 2 }));
  const failing = Array.from({ length: 40 }, (_, at) => bad.read(new Uint8Array(KIB), at * 20 * MIB));
  for (const read of failing) read.catch(() => {});
  await settle();
  clock.advance(10);
  const good = stores.open(version);
  t.equal(await good.read(new Uint8Array(KIB), 0), KIB, 'served while forty reads wait for their retries');
  good.close();
  bad.close();
  await Promise.allSettled(failing);
});

/** A local copy that only keeps account, with the readers that the test lets wait. */
class BookTarget implements DownloadTarget {
  readonly id = 's1';
  readonly isWindow = false;
  readonly availability: Availability;
  readonly waiting = new Set<ByteRange>();

  constructor(readonly version: ObjectVersion) {
    this.availability = Availability.create(version.size);
  }

  get pageBytes(): number {
    return this.availability.pageBytes;
  }

  firstMissing = (range: ByteRange) => this.availability.firstMissing(range);
  missing = (range: ByteRange) => this.availability.missing(range);
  wanted = (range: ByteRange) => [...this.waiting].some((wanted) => rangesOverlap(wanted, range));
  delayed = () => {};
  hasRoom = () => true;
  peek = () => Promise.reject(new Error('nothing is kept'));
  partFailed: () => void = () => {};
  expired = () => {};

  beginPart({ start }: ByteRange): PartTarget {
    return new PartWriter(new HoleFile(), start, (end) => void this.availability.publish({ start, end }));
  }
}

/** A downloader with one prefetch part [24 MiB, 32 MiB) under way, whose requests `fault` decides. */
async function withPrefetch(fault: (call: PartCall) => PartFault | undefined) {
  const part = (call: PartCall) =>
    call.start >= 24 * MIB && call.end === 32 * MIB ? fault(call) : undefined;
  const { faulty, clock, version } = world(400 * MIB, { part });
  const metrics = new TransferMetrics(clock);
  const target = new BookTarget(version);
  const scheduler = new PartScheduler({ clock }, { connectionsMax: 4 });
  const createProbe = () => NO_PROBE;
  const deps = { objectStore: faulty, clock, logger: silentLogger, metrics, scheduler, createProbe };
  const options = {
    partBytesMax: 8 * MIB,
    prefetchBytesMax: 32 * MIB,
    fillBytesMax: GIB,
    stallTimeoutMs: 1000,
  };
  const downloader = new Downloader(target, deps, options);
  target.availability.publish({ start: 0, end: 24 * MIB });
  downloader.observe({ start: 0, end: 24 * MIB });
  await settle(200);
  /** Requests for the part and what was cut off it. */
  const calls = () => faulty.calls.filter(({ start }) => start >= 24 * MIB && start < 32 * MIB);
  const wait = (range: ByteRange) => {
    target.waiting.add(range);
    downloader.observe(range);
    downloader.demand(range);
  };
  return { calls, clock, target, downloader, wait };
}

t.test('a reader far ahead in a prefetch part does not wait for it: the part is cut', async (t) => {
  const gate = new Deferred<void>();
  const { calls, target, wait, downloader } = await withPrefetch(() => ({ bytes: MIB, hold: gate.promise }));
  t.match(calls(), [{ start: 24 * MIB, end: 32 * MIB }]);
  const wanted = { start: 30 * MIB, end: 30 * MIB + 4 * KIB };
  wait(wanted);
  await settle();
  t.ok(target.availability.has(wanted), 'it has its bytes while the part still hangs');
  t.equal(calls()[1]?.start, 30 * MIB);
  gate.resolve();
  await settle(400);
  t.ok(target.availability.has({ start: 24 * MIB, end: 30 * MIB }), 'the part went on to where it was cut');
  t.equal(calls().filter(({ start }) => start < 30 * MIB).length, 1, 'with its one request');
  downloader.stop();
});

t.test('a reader close ahead in a prefetch part waits for it: one request', async (t) => {
  const gate = new Deferred<void>();
  const { calls, target, wait, downloader } = await withPrefetch(() => ({ bytes: MIB, hold: gate.promise }));
  wait({ start: 25 * MIB, end: 25 * MIB + 4 * KIB });
  await settle();
  t.equal(calls().length, 1);
  gate.resolve();
  await settle(400);
  t.ok(target.availability.has({ start: 24 * MIB, end: 32 * MIB }));
  downloader.stop();
});

t.test('a reader that comes while its part is ending is not forgotten', async (t) => {
  const gate = new Deferred<void>();
  const error = new ObjectStoreError('access_denied', 'no', { operation: 'GetObject' });
  let attempts = 0;
  const { calls, target, wait, downloader } = await withPrefetch(() =>
    attempts++ === 0 ? { before: gate.promise, outcome: { kind: 'denied', error } } : undefined,
  );
  const wanted = { start: 24 * MIB, end: 24 * MIB + 4 * KIB };
  // The very moment in which the part has failed and is still on the list of parts under way.
  target.partFailed = () => wait(wanted);
  gate.resolve();
  await settle(100);
  t.equal(calls().length, 2);
  t.ok(target.availability.has(wanted));
  downloader.stop();
});

t.test('a prefetch part that sleeps after a failure is woken by a reader', async (t) => {
  let calls = 0;
  const slow: PartOutcome = { kind: 'throttled', retryAfterMs: 4000 };
  const { clock, target, wait, downloader } = await withPrefetch(() =>
    calls++ === 0 ? { outcome: slow } : undefined,
  );
  const wanted = { start: 24 * MIB, end: 24 * MIB + 4 * KIB };
  wait(wanted);
  clock.advance(60);
  await settle(400);
  t.ok(target.availability.has(wanted), 'served after 60 ms, not after the 4 s that the server asked for');
  downloader.stop();
  t.equal(clock.pendingTimers, 0);
});

t.test('a part is under way until its last request has ended, though nobody wants it any more', async (t) => {
  const gate = new Deferred<void>();
  const { downloader } = await withPrefetch(() => ({ bytes: 100_000, hold: gate.promise }));
  const page = { start: 24 * MIB + 98_304, end: 24 * MIB + 102_400 };
  t.ok(downloader.isUnderWay(page));
  downloader.stop();
  t.equal(downloader.partsInFlight, 0);
  t.ok(downloader.isUnderWay(page), 'what came is perhaps not written yet');
  await settle();
  t.notOk(downloader.isUnderWay(page));
});

t.test('random reads are not amplified by windows', async (t) => {
  for (const [kernelReads, limit] of [
    [2, 1.05],
    [8, 1.3],
  ] as const) {
    const { stores, version, objectStore } = world(10 * GIB, {});
    const content = stores.open(version);
    let read = 0;
    for (let jump = 1; jump <= 40; jump += 1) {
      const base = jump * 200 * MIB + 4 * KIB;
      for (let at = 0; at < kernelReads; at += 1) {
        read += await content.read(new Uint8Array(128 * KIB), base + at * 128 * KIB);
      }
    }
    await settle();
    const amplification = objectStore.bytesFetched('model') / read;
    t.ok(amplification <= limit, `${kernelReads} × 128 KiB: ${amplification.toFixed(2)}`);
    content.close();
  }
});

t.test('a window that slides sends parts, not slivers', async (t) => {
  const { stores, version, objectStore } = world(300 * MIB, {}, { fillBytesMax: 0 });
  const content = stores.open(version);
  for (let at = 0; at < 200 * MIB; at += 128 * KIB) {
    await content.read(new Uint8Array(128 * KIB), at);
    await settle(1);
  }
  const requests = objectStore.requests.length;
  t.ok(requests < 80, `${requests} requests for 200 MiB and a window ahead`);
  content.close();
});

t.test('thirty-two readers in order each get their window', async (t) => {
  const { stores, version, objectStore } = world(32 * 64 * MIB, {}, { fillBytesMax: 0 });
  const content = stores.open(version);
  for (let at = 0; at < 4 * MIB; at += 128 * KIB) {
    for (let reader = 0; reader < 32; reader += 1) {
      await content.read(new Uint8Array(128 * KIB), reader * 64 * MIB + at);
    }
  }
  const mean = objectStore.bytesFetched('model') / objectStore.requests.length;
  t.ok(mean > 512 * KIB, `${Math.round(mean / KIB)} KiB a request`);
  content.close();
});

t.test('a transport that says complete and brings nothing is retried with pauses', async (t) => {
  const { stores, version, faulty, clock } = world(
    MIB,
    { part: () => ({ outcome: { kind: 'complete' } }) },
    { readDeadlineMs: 1000 },
  );
  const content = stores.open(version);
  const read = content.read(new Uint8Array(KIB), 0);
  read.catch(() => {});
  for (let step = 0; step < 60; step += 1) {
    await settle(2);
    clock.advance(20);
  }
  await t.rejects(read, { code: 'deadline' });
  t.ok(faulty.calls.length < 15, `${faulty.calls.length} requests in a second`);
  content.close();
});

t.test('a transport that throws is reported as a bug, not as a full or broken disk', async (t) => {
  const memory = new MemoryObjectStore();
  const version = memory.put('a', { size: KIB, seed: 1 });
  const throwing = { fetchPart: () => Promise.reject(new Error('bug in the transport')) };
  const { stores } = createStores(Object.assign(memory, throwing));
  const content = stores.open(version);
  await t.rejects(content.read(new Uint8Array(10), 0), { message: /failed by a bug: bug in the transport/ });
  content.close();
});

t.test('of an object that nobody reads any more nothing is looked at', async (t) => {
  const { faulty, clock, version } = world(400 * MIB, {});
  const target = new BookTarget(version);
  const scheduler = new PartScheduler({ clock }, { connectionsMax: 4 });
  const plan = {
    format: 'safetensors',
    first: [{ start: 100 * MIB, end: 101 * MIB }],
    dataStart: 0,
  } as const;
  const downloader = new Downloader(
    target,
    {
      objectStore: faulty,
      clock,
      logger: silentLogger,
      metrics: new TransferMetrics(clock),
      scheduler,
      createProbe: () => ({ ...NO_PROBE, plan }),
    },
    { partBytesMax: 8 * MIB, prefetchBytesMax: 32 * MIB, fillBytesMax: GIB, stallTimeoutMs: 1000 },
  );
  target.availability.publish({ start: 0, end: MIB });
  downloader.observe({ start: 0, end: MIB });
  downloader.stop();
  // As of memory that was given back.
  target.firstMissing = () => {
    throw new Error('it is closed');
  };
  await settle(5);
  const other = { readersWait: false, nextPrefetch: () => undefined, nextGentle: () => undefined };
  scheduler.openLane(other).offer();
  t.same(faulty.calls, []);
});
