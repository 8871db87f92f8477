/** A store that another daemon's readers use: what that daemon is told of it. */
import t from 'tap';
import type { PeerStoreListener } from '../../src/cache/peers/peers.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import type { ByteRange } from '../../src/runtime/range.js';
import { FaultyObjectStore } from '../support/faulty-object-store.js';
import type { FaultScript } from '../support/faulty-object-store.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { createStores, settle } from '../support/store-harness.js';

const KIB = 1024;
const SIZE = 1000 * KIB;
const WHOLE = { start: 0, end: SIZE };
const DENIED = {
  outcome: {
    kind: 'denied',
    error: new ObjectStoreError('access_denied', 'no', { operation: 'GetObject' }),
  },
} as const;

/** An object that this process has open, and a follower has open with it. */
function useFollowed(script: FaultScript = {}) {
  const inner = new MemoryObjectStore();
  const version = inner.put('a', { size: SIZE, seed: 1 });
  const objectStore = new FaultyObjectStore(inner, script);
  const { stores, clock } = createStores(objectStore);
  const own = stores.open(version);
  const told: string[] = [];
  const tell =
    (kind: string) =>
    ({ start, end }: ByteRange, code = '') =>
      told.push(`${kind} ${start}-${end} ${code}`.trim());
  const listener: PeerStoreListener = {
    advanced: () => {},
    arrived: tell('arrived'),
    failed: tell('failed'),
    unfilled: (code) => told.push(`unfilled ${code}`),
    ended: (end) => told.push(`ended ${end}`),
    gaveUp: () => told.push('gave up'),
  };
  const follow = () => stores.peers.open(version, listener);
  return { own, stores, objectStore, follow, told, clock };
}

t.test('a fill that is denied is told of, as a demand is, and may be asked for again', async (t) => {
  const { follow, told } = useFollowed({ part: () => DENIED });
  const store = follow();
  store?.fill('as prefetch');
  await settle();
  t.same(told, ['unfilled denied']);
  store?.fill('as prefetch');
  store?.demand({ start: 0, end: KIB });
  await settle();
  t.same(told.toSorted(), ['failed 0-1024 denied', 'unfilled denied', 'unfilled denied']);
  store?.close();
});

t.test('a fill that ends well is the end of the copy', async (t) => {
  const { follow, told } = useFollowed();
  const store = follow();
  store?.fill('as prefetch');
  store?.fill('as prefetch');
  await settle();
  t.same(told, ['ended complete']);
  const late = follow();
  late?.fill('as prefetch');
  await settle();
  t.same(told, ['ended complete', 'ended complete'], 'what is there already has an end at once');
  store?.close();
  late?.close();
});

t.test('what is fetched below all else is waited for by nobody', async (t) => {
  const { follow, told } = useFollowed({ part: () => DENIED });
  const store = follow();
  store?.fill('gently');
  await settle();
  t.same(told, []);
  store?.close();
});

t.test('who closed it hears nothing more', async (t) => {
  const { follow, told, own } = useFollowed({ part: () => DENIED });
  const store = follow();
  store?.fill('as prefetch');
  store?.demand(WHOLE);
  store?.close();
  await own.read(new Uint8Array(KIB), 0).catch(() => {});
  await settle();
  t.same(told, []);
});
