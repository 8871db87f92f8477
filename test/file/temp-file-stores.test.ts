/** Sharing, counting, keeping and evicting of stores; done-promise and progress of a single one. */
import t from 'tap';
import type { StoreProgress } from '../../src/file/store-deps.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { MemoryFile } from '../support/memory-file.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { createStores, settle } from '../support/store-harness.js';
import { DirectReadsRig } from './direct-reads-rig.js';

const KIB = 1024;
const MIB = 1024 * KIB;

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
  t.equal(stores.openCount, 0, 'closing twice counts once');
  await settle();
  t.equal(stores.restingCount, 0, 'nobody uses them: they are gone');
});

t.test('a copy stays after its last close and serves the next open without a request', async (t) => {
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

t.test('a partial copy goes on where it stopped', async (t) => {
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

t.test('a copy that is closed while it is opened again goes on as it was', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores, copies } = createStores(objectStore);
  const version = objectStore.put('a', { size: 100 * KIB, seed: 1 });
  const first = stores.open(version);
  await readAll(first, 100 * KIB);
  first.close();
  const second = stores.open(version);
  t.equal(second.storeId, first.storeId);
  await settle();
  t.equal(copies.idleCount, 0, 'it is not given back');
  t.equal(findPatternMismatch(await readAll(second, 100 * KIB), 1, 0), -1);
  second.close();
  await settle();
  t.equal(copies.idleCount, 1);
});

t.test('what is closed makes room for what is open, least recently used first', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores, copies } = createStores(objectStore, { cacheBytesMax: 150 * KIB });
  for (const key of ['a', 'b', 'c']) {
    const content = stores.open(objectStore.put(key, { size: 70 * KIB, seed: 1 }));
    t.equal(findPatternMismatch(await readAll(content, 70 * KIB), 1, 0), -1);
    content.close();
    await settle();
  }
  t.equal(copies.idleCount, 2);
  const kept = stores.open(objectStore.version('c'));
  await readAll(kept, 70 * KIB);
  t.equal(objectStore.bytesFetched('c'), 70 * KIB);
  kept.close();
});

t.test('a write that ends after the last close is kept, and its failure leaves no broken copy', async (t) => {
  const objectStore = new MemoryObjectStore();
  const gate = new Deferred<void>();
  let fails = false;
  const step = async (operation: string) => {
    if (operation !== 'write') return;
    await gate.promise;
    if (fails) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  };
  const { stores, copies } = createStores(objectStore, {
    createFile: (_path, size) => new MemoryFile(size, { step }),
  });
  const version = objectStore.put('a', { size: 64 * KIB, seed: 1 });
  const content = stores.open(version);
  const pending = readAll(content, 64 * KIB);
  await settle();
  content.close();
  await t.rejects(pending);
  await settle();
  t.same([copies.bytes, stores.restingCount], [0, 1], 'it waits for the write');
  gate.resolve();
  await settle();
  t.same([copies.bytes, copies.idleCount], [64 * KIB, 1], 'it arrived after all');

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
});

t.test('an object larger than the budget is read right through a window, and then gone', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores, copies } = createStores(objectStore, {
    cacheBytesMax: 4 * MIB,
    partBytesMax: MIB,
    prefetchBytesMax: MIB,
    fillBytesMax: 4 * MIB,
  });
  const content = stores.open(objectStore.put('a', { size: 20 * MIB, seed: 1 }));
  const target = new Uint8Array(256 * KIB);
  let bytesMost = 0;
  for (let at = 0; at < 20 * MIB; at += target.length) {
    await content.read(target, at);
    if (findPatternMismatch(target, 1, at) !== -1) t.fail(`wrong bytes at ${at}`);
    bytesMost = Math.max(bytesMost, copies.bytes);
  }
  // The part that a reader waits for comes in any case.
  t.ok(bytesMost <= 5 * MIB, `${bytesMost} bytes lay on disk at once`);
  t.equal(objectStore.bytesFetched('a'), 20 * MIB, 'nothing was fetched twice');
  await content.read(target, 0);
  t.equal(findPatternMismatch(target, 1, 0), -1, 'what was given up is fetched again');
  content.close();
  await settle();
  t.same([copies.idleCount, copies.bytes], [0, 0]);
});

t.test(
  'a full disk evicts what is closed and tries again; with nothing left the reader gets no_space',
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
    const { stores, copies } = createStores(objectStore, {
      createFile: (_path, size) => new MemoryFile(size, { step }),
    });
    const idle = stores.open(objectStore.put('idle', { size: 10 * KIB, seed: 1 }));
    await readAll(idle, 10 * KIB);
    idle.close();
    await settle();
    failures = 1;
    const content = stores.open(objectStore.put('a', { size: 10 * KIB, seed: 2 }));
    t.equal(findPatternMismatch(await readAll(content, 10 * KIB), 2, 0), -1);
    t.equal(copies.idleCount, 0, 'the closed one made room');
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
  const { stores, copies } = createStores(objectStore, {
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
  await settle();
  t.equal(copies.idleCount, 1);
});

t.test('closing all ends every read and gives every copy back', async (t) => {
  const objectStore = new MemoryObjectStore({ beforeChunk: () => new Promise(() => {}) });
  const { stores, copies, reads } = createStores(objectStore);
  const idle = stores.open(objectStore.put('idle', ''));
  idle.close();
  const content = stores.open(objectStore.put('a', { size: 10 * KIB, seed: 1 }));
  const pending = readAll(content, 10 * KIB);
  const closed = stores.close();
  t.equal(stores.close(), closed);
  await t.rejects(pending, { code: 'closed' });
  await closed;
  t.equal(reads.inFlightCount, 0);
  t.same([copies.idleCount, copies.bytes, stores.openCount], [0, 0, 0]);
  content.close();
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
    const { store, target } = new DirectReadsRig({}, 20 * KIB);
    const seen: StoreProgress[] = [];
    const end = store.onProgress((progress) => seen.push(progress));
    const part = target.beginPart({ start: 8 * KIB, end: 20 * KIB });
    await part.write(new Uint8Array(12 * KIB));
    await part.flush();
    const head = target.beginPart({ start: 0, end: 8 * KIB });
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
    await store.close();
    t.same(await store.done, { kind: 'completed' }, 'closing later changes nothing');
    const closed = new DirectReadsRig();
    await closed.store.close();
    t.same(await closed.store.done, { kind: 'closed' });
    const stale = new DirectReadsRig();
    stale.target.expired('it was replaced on the server');
    await stale.store.close();
    t.match(await stale.store.done, { kind: 'failed', error: { code: 'stale' } });
  },
);
