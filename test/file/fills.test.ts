/** Objects that are filled though nobody reads them, as `warm` and `pin` have it: what they take, and when they give up. */
import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { FaultyObjectStore } from '../support/faulty-object-store.js';
import type { ControlCall } from '../support/faulty-object-store.js';
import { MemoryFile } from '../support/memory-file.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { createStores, settle } from '../support/store-harness.js';

const MIB = 1024 * 1024;
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
