import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { RequestError } from '../../src/requests/messages.js';
import type { Selection } from '../../src/requests/messages.js';
import { requestsRig } from './requests-rig.js';

const named = (...keys: string[]): Selection[] => keys.map((key) => ({ key, exact: false }));
const warm = (...keys: string[]) =>
  ({ verb: 'warm', selections: named(...keys), filesAtOnceMax: 4 }) as const;
const pin = (...keys: string[]) => ({ ...warm(...keys), verb: 'pin', fill: true }) as const;

t.test('warm fills what was named, each object once, and tells of each', async (t) => {
  const rig = requestsRig();
  for (const key of ['a', 'a/1', 'a/2', 'a/sub/3', 'ab', 'b']) rig.put(key);
  rig.put('a/', 0);
  await rig.serve(warm('a', 'a/sub/'));
  t.same(rig.filled.toSorted(), ['a', 'a/1', 'a/2', 'a/sub/3']);
  t.match(rig.end, {
    event: 'end',
    files: 4,
    fetched: 4,
    cached: 0,
    failed: 0,
    bytes: 40,
    bytesFetched: 40,
    lost: 0,
  });
  t.same(
    rig.files.map(({ key, result }) => [key, result]),
    rig.filled.map((key) => [key, 'fetched']),
  );
});

t.test('warming again fetches only the rest', async (t) => {
  const rig = requestsRig();
  for (let n = 0; n < 50; n += 1) rig.put(`k${n}`);
  await rig.serve(warm('k1*'));
  t.equal(rig.filled.length, 11);
  await rig.serve(warm(''));
  t.equal(rig.filled.length, 50);
  t.match(rig.end, { fetched: 39, cached: 11, bytesFetched: 390, bytesCached: 110 });
});

t.test('no more are fetched at once than was asked for', async (t) => {
  const rig = requestsRig({ holds: true });
  for (let n = 0; n < 9; n += 1) rig.put(`k${n}`);
  const done = rig.serve(warm(''));
  let isDone = false;
  void done.then(() => (isDone = true));
  while (!isDone) {
    rig.letGo();
    await setImmediate();
  }
  t.equal(rig.atOnceMost, 4);
  t.match(rig.end, { fetched: 9 });
});

t.test('progress is told now and then: what is there, what is being fetched', async (t) => {
  const rig = requestsRig({ holds: true });
  for (let n = 0; n < 6; n += 1) rig.put(`k${n}`);
  const done = rig.serve(warm(''));
  while (rig.heldCount < 4) await setImmediate();
  rig.clock.advance(100);
  await setImmediate();
  t.match(rig.messages.at(-1), {
    event: 'progress',
    filesDone: 0,
    filesTotal: 6,
    bytesTotal: 60,
    bytesDone: 0,
    running: [{ name: 'k0', bytesDone: 0, size: 10 }, {}, {}, {}],
  });
  rig.letGo();
  while (rig.heldCount < 2) await setImmediate();
  rig.clock.advance(100);
  await setImmediate();
  t.match(rig.messages.at(-1), { event: 'progress', filesDone: 4, bytesDone: 40, bytesFetched: 40 });
  rig.letGo();
  await done;
  t.equal(rig.clock.pendingTimers, 0);
});

t.test('one that fails does not keep the others from being fetched', async (t) => {
  const rig = requestsRig();
  for (const key of ['a', 'b', 'c']) rig.put(key);
  rig.failures.set('b', new ContentError('denied', 'b may not be read'));
  await rig.serve(warm(''));
  t.same(rig.filled, ['a', 'c']);
  t.match(rig.end, { files: 3, fetched: 2, failed: 1 });
  t.match(
    rig.files.find(({ key }) => key === 'b'),
    { result: 'failed', problem: 'b may not be read' },
  );
});

t.test('an object that was replaced after it was listed is fetched as it is now', async (t) => {
  const rig = requestsRig({ holds: true });
  rig.put('a', 10);
  const done = rig.serve(warm('a'));
  while (rig.heldCount < 1) await setImmediate();
  rig.put('a', 20);
  rig.letGo();
  while (rig.heldCount < 1) await setImmediate();
  rig.letGo();
  await done;
  t.match(rig.files, [{ key: 'a', size: 20, result: 'fetched', bytesFetched: 25 }]);
  t.match(rig.end, { bytesFetched: 25, bytesCached: 0 }, 'half of the old one, and all of the new one');
});

t.test('an object that was deleted after it was listed has failed', async (t) => {
  const rig = requestsRig({ holds: true });
  rig.put('a');
  const done = rig.serve(warm('a'));
  while (rig.heldCount < 1) await setImmediate();
  rig.store.delete('a');
  rig.letGo();
  await done;
  t.match(rig.files, [{ key: 'a', result: 'failed', problem: 'a has changed' }]);
});

t.test('what is there of the new version of an object counts as such', async (t) => {
  const rig = requestsRig({ holds: true });
  rig.put('a', 10);
  const done = rig.serve(warm('a'));
  while (rig.heldCount < 1) await setImmediate();
  rig.cache.complete(rig.put('a', 20));
  rig.letGo();
  await done;
  t.match(rig.end, { bytesFetched: 5, bytesCached: 20 });
});

t.test('an object whose replacement may not be read has failed, alone', async (t) => {
  const rig = requestsRig();
  for (const key of ['a', 'b']) rig.put(key);
  rig.failures.set('a', new ContentError('stale', 'a has changed'));
  const head = rig.store.head.bind(rig.store);
  rig.store.head = async (key, signal) => {
    if (key !== 'a') return head(key, signal);
    throw new ObjectStoreError('access_denied', 'a may not be read', { operation: 'HeadObject' });
  };
  await rig.serve(warm(''));
  t.match(rig.end, { event: 'end', files: 2, fetched: 1, failed: 1 });
  t.match(rig.files, [{ key: 'a', result: 'failed', problem: 'a may not be read' }, { key: 'b' }]);
});

t.test('what nobody expects ends the work at once, though the listing hangs', async (t) => {
  const rig = requestsRig();
  rig.put('a');
  rig.failures.set('a', new TypeError('a bug'));
  const list = rig.store.list.bind(rig.store);
  rig.store.list = async (request) => {
    if (request.continuation === undefined) return { ...(await list(request)), continuation: 'more' };
    return new Promise(() => {});
  };
  await t.rejects(rig.serve(warm('')), new TypeError('a bug'));
});

t.test('names that nothing has are told, and the others are fetched', async (t) => {
  const rig = requestsRig();
  rig.put('a');
  await rig.serve(warm('nothing', 'a', 'no*'));
  t.match(rig.messages[0], { event: 'unmatched', selection: 'nothing' });
  t.match(rig.end, { unmatched: 2, fetched: 1, failed: 0 });
});

t.test('whoever goes away ends the work; what was being fetched is no failure', async (t) => {
  const rig = requestsRig({ holds: true });
  for (let n = 0; n < 9; n += 1) rig.put(`k${n}`);
  const done = rig.serve(warm(''));
  while (rig.heldCount < 4) await setImmediate();
  rig.aborter.abort();
  await done;
  t.match(rig.end, { event: 'end', fetched: 0, failed: 0 });
  t.equal(rig.clock.pendingTimers, 0);
});

t.test('more than the cache may hold is refused with numbers', async (t) => {
  const rig = requestsRig({ bytesMax: 2048 });
  rig.put('a', 1024);
  rig.put('b', 1025);
  await t.rejects(
    rig.serve(warm('')),
    new RequestError(
      'what was named is more than the cache may hold (2.00 KiB): name less, or mount with a larger --cache-bytes-max',
    ),
  );
});

t.test('what was evicted again before the end is told', async (t) => {
  const rig = requestsRig({ holds: true });
  for (const key of ['a', 'b']) rig.put(key);
  const done = rig.serve({ ...warm(''), filesAtOnceMax: 1 });
  while (rig.heldCount < 1) await setImmediate();
  rig.letGo();
  while (rig.heldCount < 1) await setImmediate();
  rig.cache.evict('a');
  rig.letGo();
  await done;
  t.match(rig.end, { fetched: 2, lost: 1 });
});

t.test('a bucket that cannot be listed ends it', async (t) => {
  const rig = requestsRig();
  rig.store.list = async () => Promise.reject(new Error('unreachable'));
  await t.rejects(rig.serve(warm('')), new Error('unreachable'));
  t.equal(rig.clock.pendingTimers, 0);
});

t.test('pin pins the versions there are, and fetches them', async (t) => {
  const rig = requestsRig();
  for (const key of ['a/1', 'a/2', 'b']) rig.put(key);
  await rig.serve(pin('a'));
  t.same(rig.cache.pinnedKeys, ['a/1', 'a/2']);
  t.same(rig.filled, ['a/1', 'a/2']);
  t.match(rig.end, { files: 2, pinned: 2, fetched: 2 });
});

t.test('pin without filling fetches nothing', async (t) => {
  const rig = requestsRig();
  rig.put('a');
  await rig.serve({ ...pin('a'), fill: false });
  t.same(rig.cache.pinnedKeys, ['a']);
  t.same(rig.filled, []);
  t.same(rig.messages[0], { event: 'pinned', key: 'a', size: 10 });
  t.match(rig.end, { files: 1, pinned: 1, fetched: 0 });
});

t.test('pins that do not fit beside the others are refused, all of them', async (t) => {
  const rig = requestsRig({ bytesMax: 3072 });
  rig.put('a', 1024);
  rig.put('b', 2048);
  rig.put('c', 1);
  await rig.serve(pin('a'));
  await t.rejects(
    rig.serve(pin('b', 'c')),
    new RequestError(
      "nothing was pinned: with the 1.00 KiB that are pinned already it would be 3.00 KiB, and the cache's budget is 3.00 KiB; unpin something, or mount with a larger --cache-bytes-max",
    ),
  );
  t.same(rig.cache.pinnedKeys, ['a']);
  await rig.serve(pin('a', 'b'));
  t.same(rig.cache.pinnedKeys, ['a', 'b'], 'what is pinned already counts once');
});

t.test('unpin asks nothing of the bucket', async (t) => {
  const rig = requestsRig();
  for (const key of ['a/1', 'a/2', 'b/1', 'c']) rig.put(key);
  await rig.serve(pin(''));
  rig.store.delete('a/1');
  await rig.serve({ verb: 'unpin', selections: named('a', 'b/*', 'x') });
  t.same(rig.cache.pinnedKeys, ['c']);
  t.match(rig.end, { unpinned: 3, unmatched: 1 });
  await rig.serve({ verb: 'unpin', selections: named('') });
  t.same(rig.cache.pinnedKeys, []);
});

t.test('a long list is looked up several at a time', async (t) => {
  const rig = requestsRig();
  const keys = Array.from({ length: 40 }, (_, n) => `k${n}`);
  for (const key of keys) rig.put(key);
  const head = rig.store.head.bind(rig.store);
  let atOnce = 0;
  let atOnceMost = 0;
  rig.store.head = async (key, signal) => {
    atOnceMost = Math.max(atOnceMost, (atOnce += 1));
    await setImmediate();
    atOnce -= 1;
    return head(key, signal);
  };
  const selections = [...keys, ...keys, 'none'].map((key) => ({ key, exact: true }));
  await rig.serve({ verb: 'pin', selections, filesAtOnceMax: 1, fill: false });
  t.equal(atOnceMost, 4);
  t.match(rig.end, { files: 40, pinned: 40, unmatched: 1 });
});

t.test('whatever ends the work ends the listing', async (t) => {
  const rig = requestsRig({ bytesMax: 25 });
  for (const key of ['a', 'b', 'c', 'd']) rig.put(key);
  let listed = 0;
  const list = rig.store.list.bind(rig.store);
  rig.store.list = async (request) => {
    listed += 1;
    return list({ ...request, entriesMax: 1 });
  };
  await t.rejects(rig.serve(warm('')), RequestError);
  await setImmediate();
  t.equal(listed, 3, 'no page is asked for after the third');
});
