/** Objects that are filled though nobody reads them, as `warm` and `pin` have it: what they take, and when they give up. */
import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import type { PartOutcome } from '../../src/object-store/object-store.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { FaultyObjectStore, inOrder } from '../support/faulty-object-store.js';
import type { ControlCall } from '../support/faulty-object-store.js';
import { MemoryFile } from '../support/memory-file.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { createStores, settle } from '../support/store-harness.js';

const MIB = 1024 * 1024;
/** The harness's deadline of a read: requests may fail for so long. */
const IDLE_MS = 60_000;
const broken: PartOutcome = { kind: 'broken', cause: new Error('500') };
const never = new AbortController().signal;

/** What became of it: 'filled', or the code of its error. */
function outcomeOf(filling: Promise<void>): Promise<string> {
  return filling.then(
    () => 'filled',
    (error: unknown) => (error instanceof ContentError ? error.code : String(error)),
  );
}

t.test('on a disk that is full it ends, and what it fetched stays in the cache', async (t) => {
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  let isFull = false;
  const step = (operation: string, offset: number) => {
    if (isFull && operation === 'write' && offset >= 4 * MIB) throw full;
  };
  const objects = new MemoryObjectStore({ chunkBytes: MIB });
  const { stores, copies } = createStores(objects, {
    createFile: (_path, size) => new MemoryFile(size, { step }),
    partBytesMax: MIB,
    connectionsMax: 4,
  });
  const version = objects.put('a', { seed: 1, size: 32 * MIB });
  isFull = true;
  t.equal(await outcomeOf(stores.fill(version, { signal: never })), 'no_space');
  await settle(50);
  const keptBytes = copies.bytes;
  t.ok(keptBytes >= MIB, `${keptBytes} bytes`);
  t.equal(copies.idleCount, 1);
  isFull = false;
  const before = objects.bytesFetched('a');
  t.equal(await outcomeOf(stores.fill(version, { signal: never })), 'filled');
  t.equal(objects.bytesFetched('a') - before, 32 * MIB - keptBytes, 'only the rest was fetched');
});

t.test('it is no reader: none is said to wait', async (t) => {
  const gate = new Deferred<void>();
  const objects = new MemoryObjectStore({ chunkBytes: MIB, beforeChunk: () => gate.promise });
  const { stores } = createStores(objects, { partBytesMax: MIB, connectionsMax: 4 });
  const filling = outcomeOf(stores.fill(objects.put('a', { seed: 1, size: 32 * MIB }), { signal: never }));
  await settle();
  t.match(stores.status(1).stores, [{ state: 'filling', readsWaiting: 0, handles: 1 }]);
  gate.resolve();
  t.equal(await filling, 'filled');
});

t.test('it ends when a reader had the object leave the cache', async (t) => {
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  let fulls = 0;
  const step = (operation: string, offset: number) => {
    if (operation !== 'write' || offset < 16 * MIB || fulls > 0) return;
    fulls += 1;
    throw full;
  };
  const gate = new Deferred<void>();
  const beforeChunk = (_key: string, offset: number) =>
    offset >= 4 * MIB && offset < 16 * MIB ? gate.promise : undefined;
  const objects = new MemoryObjectStore({ chunkBytes: MIB, beforeChunk });
  const { stores, copies } = createStores(objects, {
    createFile: (_path, size) => new MemoryFile(size, { step }),
    partBytesMax: MIB,
    connectionsMax: 8,
  });
  const version = objects.put('a', { seed: 1, size: 32 * MIB });
  const filling = outcomeOf(stores.fill(version, { signal: never }));
  await settle(50);
  t.ok(copies.bytes >= 4 * MIB);
  const content = stores.open(version);
  t.equal(await content.read(new Uint8Array(4096), 20 * MIB), 4096);
  t.equal(fulls, 1);
  t.equal(await filling, 'no_space');
  gate.resolve();
  content.close();
});

t.test('who gives it up does not wait for a comparison that is under way', async (t) => {
  const gate = new Deferred<void>();
  const objects = new MemoryObjectStore({ chunkBytes: MIB });
  const control = ({ operation }: ControlCall) =>
    operation === 'checksum' ? { before: gate.promise } : undefined;
  const { stores } = createStores(new FaultyObjectStore(objects, { control }));
  const version = objects.put('a', { seed: 1, size: 2 * MIB });
  const giving = new AbortController();
  const filling = outcomeOf(stores.fill(version, { signal: giving.signal }));
  await settle(50);
  t.match(stores.status(1).stores, [{ state: 'complete', checksum: 'unknown' }]);
  giving.abort();
  t.equal(await filling, 'aborted');
  gate.resolve();
  await settle();
  t.equal(stores.restingCount, 0);
  t.equal(await outcomeOf(stores.fill(version, { signal: never })), 'filled');
});

t.test('one that waits for its turn behind others waits as long as it takes', async (t) => {
  const clock = new SimulatedClock();
  const gate = new Deferred<void>();
  const objects = new MemoryObjectStore({ chunkBytes: MIB, beforeChunk: () => gate.promise });
  const { stores } = createStores(objects, { clock, connectionsMax: 1 });
  const fill = (key: string) =>
    outcomeOf(stores.fill(objects.put(key, { seed: 1, size: 2 * MIB }), { signal: never }));
  const filling = Promise.all([fill('a'), fill('b')]);
  await settle();
  clock.advance(10 * IDLE_MS);
  await settle();
  t.same(new Set(objects.requests.map(({ key }) => key)).size, 1, 'there is one connection');
  gate.resolve();
  t.same(await filling, ['filled', 'filled']);
  await settle();
  t.equal(clock.pendingTimers, 0);
});

t.test('it gives up when requests failed for so long and nothing came', async (t) => {
  const clock = new SimulatedClock();
  const objects = new MemoryObjectStore({ chunkBytes: MIB });
  let fails = true;
  const part = () => (fails ? { outcome: broken } : undefined);
  const { stores } = createStores(new FaultyObjectStore(objects, { part }), { clock });
  const version = objects.put('a', { seed: 1, size: 2 * MIB });
  let error: unknown;
  const filling = stores.fill(version, { signal: never }).catch((thrown: unknown) => {
    error = thrown;
  });
  const run = async (ms: number) => {
    for (let at = 0; at < ms; at += 1000) {
      clock.advance(1000);
      await settle(5);
    }
  };
  await run(IDLE_MS - 5000);
  t.equal(error, undefined);
  await run(15_000);
  await filling;
  t.match(error, { code: 'deadline', message: /^nothing of a arrived for 60000 ms \(broken: 500\)$/ });
  fails = false;
  await run(3000);
  t.equal(await outcomeOf(stores.fill(version, { signal: never })), 'filled');
});

t.test('what failed before it began does not count', async (t) => {
  const clock = new SimulatedClock();
  const objects = new MemoryObjectStore({ chunkBytes: MIB });
  let fails = 0;
  const part = () => (fails-- > 0 ? { outcome: broken } : undefined);
  const { stores } = createStores(new FaultyObjectStore(objects, { part }), { clock });
  const version = objects.put('a', { seed: 1, size: 2 * MIB });
  const content = stores.open(version);
  fails = 1;
  const closing = new AbortController();
  const read = outcomeOf(content.read(new Uint8Array(4096), 0, closing.signal).then(() => {}));
  await settle();
  closing.abort();
  t.equal(await read, 'aborted');
  content.close();
  const again = stores.open(version);
  clock.advance(2 * IDLE_MS);
  await settle();
  fails = 1;
  const filling = outcomeOf(stores.fill(version, { signal: never }));
  await settle();
  clock.advance(1000);
  t.equal(await filling, 'filled');
  again.close();
});

t.test('one that failed once and then waits for its turn is not given up', async (t) => {
  const clock = new SimulatedClock();
  const objects = new MemoryObjectStore({ chunkBytes: MIB });
  const throttled: PartOutcome = { kind: 'throttled', retryAfterMs: 10 * IDLE_MS };
  const part = inOrder({ outcome: throttled });
  const { stores } = createStores(new FaultyObjectStore(objects, { part }), { clock, partBytesMax: 4 * MIB });
  const filling = outcomeOf(stores.fill(objects.put('a', { seed: 1, size: 2 * MIB }), { signal: never }));
  for (let at = 0; at < 30; at += 1) {
    clock.advance(IDLE_MS);
    await settle(5);
  }
  t.equal(await filling, 'filled');
});
