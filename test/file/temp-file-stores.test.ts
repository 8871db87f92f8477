/** Sharing, counting, keeping and evicting of stores; done-promise and progress of a single one. */
import t from 'tap';
import type { StoreProgress } from '../../src/file/temp-file-store.js';
import { TempFileStore } from '../../src/file/temp-file-store.js';
import { silentLogger } from '../../src/observability/logger.js';
import { ReadTracer } from '../../src/observability/read-trace.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { MemoryFile } from '../support/memory-file.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { checksumDeps, NO_SUMS, createStores, settle } from '../support/store-harness.js';

const KIB = 1024;

async function readAll(content: { read(target: Uint8Array, offset: number): Promise<number> }, size: number) {
  const target = new Uint8Array(size);
  await content.read(target, 0);
  return target;
}

t.test('one version is one store for all handles; another version, key or size is another', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores } = createStores(objectStore);
  const a = objectStore.put('a', { size: 10 * KIB, seed: 1 });
  const b = objectStore.put('b', { size: 10 * KIB, seed: 1 });
  const handles = [
    stores.open(a),
    stores.open({ ...a }),
    stores.open(b),
    stores.open({ ...a, size: 9 * KIB }),
  ];
  const ids = handles.map(({ storeId }) => storeId);
  t.equal(ids[0], ids[1]);
  t.equal(new Set(ids).size, 3);
  t.equal(stores.openCount, 3);
  for (const handle of handles) handle.close();
  handles[0]?.close();
  t.equal(stores.openCount, 0);
  t.equal(stores.idleCount, 3, 'closing twice counts once');
});

t.test('a store stays after its last close and serves the next open without a request', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores } = createStores(objectStore);
  const version = objectStore.put('a', { size: 100 * KIB, seed: 1 });
  const first = stores.open(version);
  await readAll(first, 100 * KIB);
  first.close();
  const requests = objectStore.requests.length;
  const second = stores.open(version);
  t.equal(findPatternMismatch(await readAll(second, 100 * KIB), 1, 0), -1);
  t.equal(objectStore.requests.length, requests);
  second.close();
});

t.test('a partial store goes on where it stopped', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores } = createStores(objectStore);
  const version = objectStore.put('a', { size: 3 * 1024 * KIB, seed: 1 });
  const first = stores.open(version);
  await first.read(new Uint8Array(KIB), 0);
  await settle();
  first.close();
  const fetched = objectStore.bytesFetched('a');
  t.ok(fetched < 3 * 1024 * KIB);
  const second = stores.open(version);
  await readAll(second, 3 * 1024 * KIB);
  t.equal(objectStore.bytesFetched('a'), 3 * 1024 * KIB);
  second.close();
});

t.test('idle stores are evicted oldest first to keep the budget; open ones are outside it', async (t) => {
  const objectStore = new MemoryObjectStore();
  const files: MemoryFile[] = [];
  const createFile = (_path: string, size: number) => {
    const file = new MemoryFile(size);
    files.push(file);
    return file;
  };
  const { stores } = createStores(objectStore, { cacheBytesMax: 150 * KIB, createFile });
  const open = stores.open(objectStore.put('open', { size: 1000 * KIB, seed: 0 }));
  await readAll(open, 1000 * KIB);
  for (const key of ['a', 'b', 'c']) {
    const content = stores.open(objectStore.put(key, { size: 70 * KIB, seed: 1 }));
    await readAll(content, 70 * KIB);
    content.close();
  }
  t.equal(stores.idleCount, 2);
  t.equal(stores.bytes, 1140 * KIB);
  t.same(
    files.map(({ removed }) => removed),
    [false, true, false, false],
  );
  t.equal(findPatternMismatch(await readAll(open, 1000 * KIB), 0, 0), -1);
  open.close();
  t.equal(stores.bytes, 140 * KIB, 'more than the whole budget: gone with its last close');
});

t.test(
  'a write that ends after the last close is weighed, and its failure leaves no broken store',
  async (t) => {
    const objectStore = new MemoryObjectStore();
    const gate = new Deferred<void>();
    let fails = false;
    const step = async (operation: string) => {
      if (operation !== 'write') return;
      await gate.promise;
      if (fails) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
    };
    const { stores } = createStores(objectStore, {
      cacheBytesMax: 100 * KIB,
      createFile: (_path, size) => new MemoryFile(size, { step }),
    });
    const version = objectStore.put('a', { size: 64 * KIB, seed: 1 });
    const content = stores.open(version);
    const pending = readAll(content, 64 * KIB);
    await settle();
    content.close();
    await t.rejects(pending);
    t.equal(stores.bytes, 0);
    gate.resolve();
    await settle();
    t.equal(stores.bytes, 64 * KIB, 'it arrived after all');
    t.equal(stores.idleCount, 1);
    const next = stores.open(objectStore.put('c', { size: 64 * KIB, seed: 3 }));
    await readAll(next, 64 * KIB);
    next.close();
    t.equal(stores.bytes, 64 * KIB, 'and it counts: the budget holds one of the two');

    fails = true;
    const other = objectStore.put('b', { size: 64 * KIB, seed: 2 });
    const first = stores.open(other);
    const failing = readAll(first, 64 * KIB);
    first.close();
    await t.rejects(failing);
    await settle();
    fails = false;
    const second = stores.open(other);
    t.equal(findPatternMismatch(await readAll(second, 64 * KIB), 2, 0), -1);
    second.close();
  },
);

t.test('an object larger than the budget is read right, and gone after its last close', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores } = createStores(objectStore, { cacheBytesMax: 10 * KIB });
  const content = stores.open(objectStore.put('a', { size: 100 * KIB, seed: 1 }));
  t.equal(findPatternMismatch(await readAll(content, 100 * KIB), 1, 0), -1);
  content.close();
  t.equal(stores.idleCount, 0);
  t.equal(stores.bytes, 0);
});

t.test(
  'a full disk evicts idle stores and tries again; with nothing left the reader gets no_space',
  async (t) => {
    const objectStore = new MemoryObjectStore();
    const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    let failures = 0;
    const step = (operation: string) => {
      if (operation === 'write' && failures > 0) {
        failures -= 1;
        throw full;
      }
    };
    const { stores } = createStores(objectStore, {
      createFile: (_path, size) => new MemoryFile(size, { step }),
    });
    const idle = stores.open(objectStore.put('idle', { size: 10 * KIB, seed: 1 }));
    await readAll(idle, 10 * KIB);
    idle.close();
    failures = 1;
    const content = stores.open(objectStore.put('a', { size: 10 * KIB, seed: 2 }));
    t.equal(findPatternMismatch(await readAll(content, 10 * KIB), 2, 0), -1);
    t.equal(stores.idleCount, 0, 'the idle one made room');
    const other = stores.open(objectStore.put('b', { size: 10 * KIB, seed: 3 }));
    failures = 1;
    await t.rejects(readAll(other, 10 * KIB), { code: 'no_space' });
    t.equal(
      findPatternMismatch(await readAll(other, 10 * KIB), 3, 0),
      -1,
      'once there is space, reading goes on',
    );
    content.close();
    other.close();
  },
);

t.test('a failing disk fails the store for good, and a new open gets a new one', async (t) => {
  const objectStore = new MemoryObjectStore();
  let broken = true;
  const step = (operation: string) => {
    if (operation === 'write' && broken) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  };
  const { stores } = createStores(objectStore, {
    createFile: (_path, size) => new MemoryFile(size, { step }),
  });
  const version = objectStore.put('a', { size: 10 * KIB, seed: 1 });
  const content = stores.open(version);
  await t.rejects(readAll(content, 10 * KIB), { code: 'disk_failed' });
  broken = false;
  await t.rejects(
    readAll(content, 10 * KIB),
    { code: 'disk_failed' },
    'the error it failed with is answered from then on',
  );
  const again = stores.open(version);
  t.not(again.storeId, content.storeId);
  t.equal(findPatternMismatch(await readAll(again, 10 * KIB), 1, 0), -1);
  content.close();
  again.close();
  t.equal(stores.idleCount, 1);
});

t.test('closing all deletes every file and ends every read', async (t) => {
  const objectStore = new MemoryObjectStore({ beforeChunk: () => new Promise(() => {}) });
  const files: MemoryFile[] = [];
  const createFile = (_path: string, size: number) => {
    const file = new MemoryFile(size);
    files.push(file);
    return file;
  };
  const { stores, reads } = createStores(objectStore, { createFile });
  const content = stores.open(objectStore.put('a', { size: 10 * KIB, seed: 1 }));
  const pending = readAll(content, 10 * KIB);
  stores.close();
  await t.rejects(pending, { code: 'closed' });
  t.ok(files.every(({ removed }) => removed));
  t.equal(reads.inFlightCount, 0);
});

t.test('an empty object is complete at once and reads as nothing', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores } = createStores(objectStore);
  const content = stores.open(objectStore.put('empty', ''));
  t.equal(await content.read(new Uint8Array(10), 0), 0);
  t.equal(await content.read(new Uint8Array(10), 5), 0);
  t.same(objectStore.requests, []);
  content.close();
});

t.test('reads at and over the end are cut there', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores } = createStores(objectStore);
  const content = stores.open(objectStore.put('a', 'hello'));
  const target = new Uint8Array(10);
  t.equal(await content.read(target, 3), 2);
  t.equal(Buffer.from(target.subarray(0, 2)).toString(), 'lo');
  t.equal(await content.read(target, 5), 0);
  content.close();
});

t.test(
  'progress is told after each advance, never back, and done settles once with the outcome',
  async (t) => {
    const objectStore = new MemoryObjectStore();
    const version = objectStore.put('a', { size: 20 * KIB, seed: 1 });
    const clock = new SimulatedClock();
    const reads = new ReadTracer({ clock, logger: silentLogger }, { traceReads: false });
    const create = () => {
      const deps = {
        clock,
        logger: silentLogger,
        reads,
        createFile: (_path: string, size: number) => new MemoryFile(size),
        createFetcher: () => ({ partsInFlight: 0, observe() {}, demand() {}, fillGently() {}, stop() {} }),
        makeRoom: () => false,
        onGrowth: () => {},
        onCorrupt: () => {},
        checksums: checksumDeps(NO_SUMS),
      };
      return new TempFileStore(version, deps, { id: 's1', directory: 'unused', readDeadlineMs: 1000 });
    };
    const store = create();
    const seen: StoreProgress[] = [];
    const end = store.onProgress((progress) => seen.push(progress));
    const part = store.beginPart({ start: 8 * KIB, end: 20 * KIB });
    await part.write(new Uint8Array(12 * KIB));
    await part.flush();
    const head = store.beginPart({ start: 0, end: 8 * KIB });
    await head.write(new Uint8Array(5 * KIB));
    await head.flush();
    end();
    await head.write(new Uint8Array(3 * KIB));
    await head.flush();
    t.same(seen, [
      { contiguousBytes: 0, arrivedBytes: 12 * KIB },
      { contiguousBytes: 5 * KIB, arrivedBytes: 16 * KIB },
    ]);
    t.same(await store.done, { kind: 'completed' });
    store.close();
    t.same(await store.done, { kind: 'completed' }, 'closing later changes nothing');
    const closed = create();
    closed.close();
    t.same(await closed.done, { kind: 'closed' });
    const stale = create();
    stale.expired('it was replaced on the server');
    stale.close();
    t.match(await stale.done, { kind: 'failed', error: { code: 'stale' } });
  },
);
