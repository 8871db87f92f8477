/** Stores whose files a session reads by itself: sharing, reopening, and the whole way of a direct read. */
import t from 'tap';
import type { Content } from '../../src/file/content.js';
import { MemoryDirectReads } from '../support/memory-direct-reads.js';
import { MemoryFile } from '../support/memory-file.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { createStores, settle } from '../support/store-harness.js';

const KIB = 1024;

function createDirectStores(objectStore: MemoryObjectStore) {
  const session = new MemoryDirectReads();
  const createFile = (_path: string, size: number) => new MemoryFile(size, { descriptor: () => 77 });
  return { session, ...createStores(objectStore, { directReads: session, createFile }) };
}

async function readFirst(content: Content, bytes: number): Promise<void> {
  await content.read(new Uint8Array(bytes), 0);
}

t.test('all handles of a version share its direct file, for as long as one is open', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores, session } = createDirectStores(objectStore);
  const version = objectStore.put('a', { size: 10 * KIB, seed: 1 });
  const first = stores.open(version);
  const second = stores.open(version);
  t.equal(first.direct, session.file);
  t.equal(second.direct, session.file);
  t.notOk(first.complete);
  first.close();
  await readFirst(second, 10 * KIB);
  await settle();
  t.ok(second.complete);
  second.close();
  t.notOk(session.file.isOpen);
  const again = stores.open(version);
  t.equal(again.direct, session.file);
  t.equal(session.files.length, 2);
  t.equal(session.file.descriptor, 77);
  t.ok(again.complete);
  void stores.close();
  t.notOk(session.file.isOpen);
  t.equal(again.direct, undefined);
  t.same(session.violations, []);
});

t.test('an empty object has no file that the kernel could read', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores, session } = createDirectStores(objectStore);
  const content = stores.open(objectStore.put('empty', ''));
  t.equal(session.file.descriptor, undefined);
  t.notOk(content.complete);
  content.close();
});

t.test('a direct read is fetched as any other, and hears of an object that was replaced', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores, session, reads } = createDirectStores(objectStore);
  const size = 30 * 1024 * KIB;
  const content = stores.open(objectStore.put('a', { size, seed: 1 }));
  const served = session.file.read(20 * 1024 * KIB, 20 * 1024 * KIB + 10);
  session.file.tell();
  await settle();
  t.equal(session.file.ends.get(served)?.result, 'ok');
  t.notOk(content.complete);
  objectStore.put('a', { size, seed: 2 });
  const stale = session.file.read(10 * 1024 * KIB, 10 * 1024 * KIB + 10);
  session.file.tell();
  await settle();
  t.match(session.file.ends.get(stale), { result: 'failed', error: { code: 'stale' } });
  session.file.tell();
  content.close();
  t.equal(reads.inFlightCount, 0);
  await settle();
  t.equal(stores.openCount + stores.restingCount, 0);
  t.same(session.violations, []);
});

t.test('reads that do not come through the session have ids of their own', async (t) => {
  const objectStore = new MemoryObjectStore();
  const { stores, session, reads } = createDirectStores(objectStore);
  const content = stores.open(objectStore.put('a', { size: 10 * KIB, seed: 1 }));
  session.file.read(0, KIB);
  session.file.tell();
  await readFirst(content, KIB);
  session.file.tell();
  content.close();
  const events = new Set(reads.recent().map(({ event, id }) => `${event} ${id}`));
  t.same(events, new Set(['ENTER i1', 'ENTER r1', 'EXIT i1', 'EXIT r1']));
});
