import t from 'tap';
import { parseRequest } from '../../src/requests/parse.js';
import { select, selects } from '../../src/requests/select.js';
import type { Selection } from '../../src/requests/messages.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';

const { signal } = new AbortController();
const KEYS = ['a', 'a/1.bin', 'a/2.txt', 'a/sub/3.bin', 'ab.bin', 'w[1]', 'w1', '.hidden/x.bin', 'z*/y'];

function bucketOf(keys: readonly string[]): MemoryObjectStore {
  const store = new MemoryObjectStore();
  for (const key of keys) store.put(key, { seed: 1, size: 1 });
  return store;
}

async function selected(bucket: MemoryObjectStore, selection: Selection): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of select(selection, bucket, signal)) keys.push(key);
  return keys;
}

const CASES: readonly (readonly [name: string, keys: readonly string[]])[] = [
  ['a', ['a', 'a/1.bin', 'a/2.txt', 'a/sub/3.bin']],
  ['a/', ['a/1.bin', 'a/2.txt', 'a/sub/3.bin']],
  ['a/*', ['a/1.bin', 'a/2.txt']],
  ['**/*.bin', ['.hidden/x.bin', 'a/1.bin', 'a/sub/3.bin', 'ab.bin']],
  ['a/{1,2}.*', ['a/1.bin', 'a/2.txt']],
  ['w[1]', ['w[1]']],
  ['z*', ['z*/y']],
  ['', KEYS],
  ['nothing', []],
  ['nothing*', []],
];

t.test('a name that something has means that; only another one is a pattern', async (t) => {
  const bucket = bucketOf([...KEYS, 'a/']);
  for (const [key, keys] of CASES) {
    const found = await selected(bucket, { key, exact: false });
    t.same(found.toSorted(), keys.toSorted(), key);
  }
});

t.test('an exact name means itself', async (t) => {
  const bucket = bucketOf(KEYS);
  t.same(await selected(bucket, { key: 'a', exact: true }), ['a']);
  t.same(await selected(bucket, { key: 'a/*', exact: true }), []);
  t.same(await selected(bucket, { key: 'w[1]', exact: true }), ['w[1]']);
});

t.test('more than one page of a listing is read', async (t) => {
  const bucket = bucketOf(Array.from({ length: 2500 }, (_, n) => `k${n}`));
  t.equal((await selected(bucket, { key: 'k*', exact: false })).length, 2500);
});

t.test('without the bucket, what a name may mean', async (t) => {
  const chosen = (key: string) => KEYS.filter(selects({ key, exact: false })).toSorted();
  t.same(chosen('a'), ['a', 'a/1.bin', 'a/2.txt', 'a/sub/3.bin']);
  t.same(chosen('a/*'), ['a/1.bin', 'a/2.txt']);
  t.same(chosen('a/sub/'), ['a/sub/3.bin']);
  t.same(chosen('').length, KEYS.length);
  t.same(KEYS.filter(selects({ key: 'a', exact: true })), ['a']);
});

t.test('a request is taken as it stands, or refused with what is wrong', async (t) => {
  const selections = [{ key: 'p/a', exact: true }];
  const warm = { verb: 'warm', selections, filesAtOnceMax: 8 };
  t.strictSame(parseRequest(warm, 'p/'), warm);
  t.strictSame(parseRequest({ ...warm, verb: 'pin' }, ''), { ...warm, verb: 'pin', fill: true });
  t.strictSame(parseRequest({ verb: 'unpin', selections: [{ key: 'x' }] }, ''), {
    verb: 'unpin',
    selections: [{ key: 'x', exact: false }],
  });
  const refusals: readonly (readonly [request: unknown, reason: RegExp])[] = [
    [null, /expected a request/],
    [{ verb: 'dance' }, /warm, pin and unpin, and was asked for "dance"/],
    [{ verb: 'warm', filesAtOnceMax: 1 }, /list of selections/],
    [{ ...warm, selections: [{ key: 7 }] }, /selection with a key/],
    [
      { ...warm, selections: [{ key: 'q/a' }] },
      /q\/a is outside of what is mounted: expected a key below p\//,
    ],
    [{ ...warm, filesAtOnceMax: 0 }, /1 to 256 files at once, got 0/],
    [{ ...warm, filesAtOnceMax: 1.5 }, /got 1\.5/],
  ];
  for (const [request, reason] of refusals) t.throws(() => parseRequest(request, 'p/'), { message: reason });
});
