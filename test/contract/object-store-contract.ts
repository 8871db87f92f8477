/**
 * What every `ObjectStore` does alike: one suite for the store in memory, the S3 store on the embedded server, and
 * the S3 store on any endpoint. What a server cannot do is declared (`ContractException`), and the suite then checks
 * that it does not: an exception that no longer holds fails, so none is forgotten.
 */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import type {
  ListPage,
  ObjectInfo,
  ObjectStore,
  ObjectVersion,
} from '../../src/object-store/object-store.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { CollectingSink } from '../support/collecting-sink.js';

/** What some servers do not do: kinds of keys that they refuse or keep under another name, and a kind of listing. */
export type ContractException =
  /** `//`, a leading `/`. */
  | 'empty-segments'
  /** `.` and `..` between slashes. */
  | 'dot-segments'
  /** More than 255 bytes between two slashes. */
  | 'long-segments'
  /** U+0001 and the like. */
  | 'control-characters'
  /** A listing shows `x` and also `x/`. */
  | 'object-beside-prefix';

export interface ContractTarget {
  readonly store: ObjectStore;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** As one multipart upload, where there is such a thing. */
  putParts(key: string, parts: readonly Uint8Array[]): Promise<void>;
  delete(key: string): Promise<void>;
  readonly exceptions: readonly ContractException[];
  /** Releases the target, closed store included. */
  dispose(): Promise<void>;
}

interface OddKey {
  readonly title: string;
  readonly key: string;
  readonly exception?: ContractException;
}

const ODD_KEYS: readonly OddKey[] = [
  { title: 'spaces', key: ' a  b ' },
  { title: 'a plus sign', key: 'a+b +' },
  { title: 'percent signs and what looks like an escape', key: '100%/%41%zz%' },
  { title: 'characters with a meaning in URLs', key: "a?b#c&d=e;f:g@h,i$j!k*l'm(n)" },
  { title: 'characters with a meaning in XML', key: '<a>&amp;"b"]]>' },
  { title: 'backslashes and quotes', key: 'a\\b"c`d' },
  { title: 'a composed letter (NFC)', key: 'caf\u00e9' },
  { title: 'a decomposed letter (NFD)', key: 'cafe\u0301' },
  { title: 'characters beyond U+FFFF', key: '\u{1f600}/\u{10ffff}' },
  { title: 'control characters', key: 'a\u0001b\tc\nd\re\u007ff', exception: 'control-characters' },
  { title: 'an empty segment', key: 'a//b', exception: 'empty-segments' },
  { title: 'two slashes at its end', key: 'a//', exception: 'empty-segments' },
  { title: 'a dot segment', key: 'a/./b', exception: 'dot-segments' },
  { title: 'a dot-dot segment', key: 'a/../b', exception: 'dot-segments' },
  { title: 'a dot-dot at its end', key: 'a/..', exception: 'dot-segments' },
  { title: 'a segment of 256 bytes', key: 's'.repeat(256), exception: 'long-segments' },
];

const KEY_BYTES_MAX = 1024;

/** Runs the suite; `open` is called for each test and its target disposed of after it. */
export async function objectStoreContract(t: Test, open: () => Promise<ContractTarget>): Promise<void> {
  const tests = { ...listingTests, ...oddKeyTests(), ...headTests, ...fetchTests, ...endTests };
  for (const [title, run] of Object.entries(tests)) {
    await t.test(title, async (t) => {
      const target = await open();
      t.teardown(() => target.dispose());
      await run(t, target, `contract-${randomBytes(6).toString('hex')}/`);
    });
  }
}

type ContractTest = (t: Test, target: ContractTarget, prefix: string) => Promise<void>;

const listingTests: Readonly<Record<string, ContractTest>> = {
  'check passes for a bucket that can be listed': async (t, { store }, prefix) => {
    await t.resolves(store.check(prefix));
    await t.resolves(store.check(''));
  },

  'a prefix without keys lists nothing': async (t, { store }, prefix) => {
    const page = await store.list({ prefix });
    t.same(page, { objects: [], prefixes: [], continuation: undefined });
  },

  'keys come in UTF-8 order, whatever the size of the pages': async (t, target, prefix) => {
    // In UTF-16 code units the last two are the other way round.
    const names = ['!', 'A', 'B/c', 'Z', 'a', 'a!', 'a-b', 'b', '\u00e9', '\uffee', '\u{10000}'];
    for (const name of names.toReversed()) await target.put(prefix + name, Buffer.from(name));
    for (const entriesMax of [1, 3, names.length, 1000]) {
      const pages = await allPages(target.store, { prefix, entriesMax });
      t.same(
        keysOf(pages),
        names.map((name) => prefix + name),
      );
      for (const page of pages) t.ok(page.objects.length <= entriesMax, `pages of ${entriesMax}`);
    }
  },

  'a delimiter rolls up what lies deeper, each prefix once, over pages': async (t, target, prefix) => {
    for (const name of ['a/1', 'a/2', 'a/3', 'b', 'c/1', 'c/d/2', 'e', 'f/1']) {
      await target.put(prefix + name, Buffer.from(name));
    }
    for (const entriesMax of [1, 2, 3, 1000]) {
      const pages = await allPages(target.store, { prefix, delimiter: '/', entriesMax });
      t.same(keysOf(pages), [`${prefix}b`, `${prefix}e`], `objects by ${entriesMax}`);
      const prefixes = pages.flatMap((page) => page.prefixes);
      t.same(prefixes, [`${prefix}a/`, `${prefix}c/`, `${prefix}f/`], `prefixes by ${entriesMax}`);
      for (const page of pages) t.ok(page.objects.length + page.prefixes.length <= entriesMax);
    }
  },

  'a prefix need not end at a slash': async (t, target, prefix) => {
    for (const name of ['ab', 'abc/1', 'abd', 'b']) await target.put(prefix + name, Buffer.from(name));
    const page = await target.store.list({ prefix: `${prefix}ab`, delimiter: '/' });
    t.same(keysOf([page]), [`${prefix}ab`, `${prefix}abd`]);
    t.same(page.prefixes, [`${prefix}abc/`]);
  },

  'a marker object is listed under its own prefix': async (t, target, prefix) => {
    await target.put(`${prefix}dir/`, Buffer.alloc(0));
    await target.put(`${prefix}dir/file`, Buffer.from('x'));
    const above = await target.store.list({ prefix, delimiter: '/' });
    t.same([keysOf([above]), above.prefixes], [[], [`${prefix}dir/`]]);
    const inside = await target.store.list({ prefix: `${prefix}dir/`, delimiter: '/' });
    t.same(keysOf([inside]), [`${prefix}dir/`, `${prefix}dir/file`]);
  },

  'an object may stand beside the prefix of its name': async (t, target, prefix) => {
    await target.put(`${prefix}x/y`, Buffer.from('deep'));
    await target.put(`${prefix}x`, Buffer.from('flat'));
    const page = await target.store.list({ prefix, delimiter: '/' });
    const both = [[`${prefix}x`], [`${prefix}x/`]];
    if (target.exceptions.includes('object-beside-prefix')) {
      t.comment('EXCEPTION object-beside-prefix: this server does not list x/ beside x');
      t.notSame([keysOf([page]), page.prefixes], both);
    } else {
      t.same([keysOf([page]), page.prefixes], both);
    }
  },

  'a listing and a HEAD say the same of an object': async (t, target, prefix) => {
    await target.put(`${prefix}x`, pattern(1, 0, 1000));
    const [listed] = (await target.store.list({ prefix })).objects;
    const head = await target.store.head(`${prefix}x`);
    t.ok(listed && head);
    // HTTP dates have no fractions of a second.
    const seconds = (info: ObjectInfo) => Math.floor(info.lastModifiedMs / 1000);
    t.same({ ...listed!, lastModifiedMs: seconds(listed!) }, { ...head!, lastModifiedMs: seconds(head!) });
    t.match(head, { key: `${prefix}x`, size: 1000, etag: /^".+"$/, archived: false });
    t.ok(head!.lastModifiedMs > Date.UTC(2020, 0, 1));
  },
};

/** A test for each odd key: it is listed, found and read under exactly its name. */
function oddKeyTests(): Record<string, ContractTest> {
  const tests: Record<string, ContractTest> = {};
  for (const { title, key, exception } of ODD_KEYS) {
    tests[`a key may have ${title}`] = (t, target, prefix) =>
      roundTrip(t, target, prefix, prefix + key, exception);
  }
  tests['a key may begin with a slash'] = (t, target, prefix) =>
    roundTrip(t, target, `/${prefix}`, `/${prefix}a`, 'empty-segments');
  tests['a key may have 1024 bytes'] = async (t, target, prefix) => {
    const left = KEY_BYTES_MAX - prefix.length;
    await roundTrip(t, target, prefix, prefix + `${'k'.repeat(199)}/`.repeat(5).slice(0, left - 1) + 'k');
  };
  return tests;
}

const headTests: Readonly<Record<string, ContractTest>> = {
  'a key that is not there has no HEAD': async (t, { store }, prefix) => {
    t.equal(await store.head(`${prefix}nothing`), undefined);
  },

  'an empty object exists': async (t, target, prefix) => {
    await target.put(`${prefix}empty`, Buffer.alloc(0));
    t.match(await target.store.head(`${prefix}empty`), { size: 0, etag: /^".+"$/ });
    t.match((await target.store.list({ prefix })).objects, [{ key: `${prefix}empty`, size: 0 }]);
  },

  'a HEAD follows overwriting and deleting': async (t, target, prefix) => {
    const key = `${prefix}x`;
    await target.put(key, Buffer.from('one'));
    const first = await target.store.head(key);
    await target.put(key, Buffer.from('three'));
    const second = await target.store.head(key);
    t.not(second?.etag, first?.etag);
    t.equal(second?.size, 5);
    await target.delete(key);
    t.equal(await target.store.head(key), undefined);
  },
};

const MIB = 1024 * 1024;

const fetchTests: Readonly<Record<string, ContractTest>> = {
  'ranges of an object are exactly the bytes asked for': async (t, target, prefix) => {
    const size = 3 * MIB + 17;
    const version = await putVersion(target, `${prefix}x`, pattern(7, 0, size));
    const ranges = [
      [0, 1],
      [size - 1, size],
      [0, size],
      [1, 2 * MIB],
      [MIB - 1, MIB + 1],
      [size - 18, size],
    ] as const;
    for (const [start, end] of ranges) {
      const { outcome, bytes } = await fetch(target.store, version, start, end);
      t.equal(outcome.kind, 'complete', `[${start}, ${end})`);
      t.ok(bytes.equals(pattern(7, start, end)), `bytes of [${start}, ${end})`);
    }
  },

  'a range may cross the parts of a multipart upload': async (t, target, prefix) => {
    const key = `${prefix}x`;
    const size = 5 * MIB + 1000;
    await target.putParts(key, [pattern(8, 0, 5 * MIB), pattern(8, 5 * MIB, size)]);
    const { outcome, bytes } = await fetch(target.store, await versionOf(target, key), 5 * MIB - 10, size);
    t.equal(outcome.kind, 'complete');
    t.ok(bytes.equals(pattern(8, 5 * MIB - 10, size)));
  },

  'several ranges may be fetched at once': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(9, 0, MIB));
    const starts = Array.from({ length: 16 }, (_, index) => index * 65536);
    const parts = await Promise.all(
      starts.map((start) => fetch(target.store, version, start, start + 65536)),
    );
    t.ok(Buffer.concat(parts.map(({ bytes }) => bytes)).equals(pattern(9, 0, MIB)));
  },

  'an overwritten object is changed for those who know the old version': async (t, target, prefix) => {
    const key = `${prefix}x`;
    const old = await putVersion(target, key, pattern(1, 0, 1000));
    await target.put(key, pattern(2, 0, 1000));
    const { outcome, bytes } = await fetch(target.store, old, 0, 1000);
    t.same([outcome.kind, bytes.length], ['changed', 0]);
    t.equal((await fetch(target.store, await versionOf(target, key), 0, 1000)).outcome.kind, 'complete');
  },

  'an object that shrank is changed': async (t, target, prefix) => {
    const old = await putVersion(target, `${prefix}x`, pattern(1, 0, 1000));
    await target.put(`${prefix}x`, pattern(1, 0, 10));
    t.equal((await fetch(target.store, old, 500, 1000)).outcome.kind, 'changed');
  },

  'a deleted object is missing': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(1, 0, 1000));
    await target.delete(`${prefix}x`);
    const { outcome, bytes } = await fetch(target.store, version, 0, 1000);
    t.same([outcome.kind, bytes.length], ['missing', 0]);
  },

  'a sink that returns promises is waited for': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(3, 0, 2 * MIB));
    let writing = false;
    let overlaps = 0;
    const sink = new CollectingSink(async () => {
      if (writing) overlaps++;
      writing = true;
      await new Promise((resolve) => setImmediate(resolve));
      writing = false;
    });
    const outcome = await target.store.fetchPart(version, { start: 0, end: 2 * MIB }, sink, patient());
    t.same([outcome.kind, overlaps, writing], ['complete', 0, false]);
    t.ok(sink.bytes.equals(pattern(3, 0, 2 * MIB)));
  },

  'what the sink throws is thrown, and the store goes on': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(4, 0, MIB));
    const full = new Error('disk full');
    const thrower = new CollectingSink(() => {
      throw full;
    });
    const rejecter = new CollectingSink(() => Promise.reject(full));
    for (const sink of [thrower, rejecter]) {
      const fetched = target.store.fetchPart(version, { start: 0, end: MIB }, sink, patient());
      t.equal(await fetched.catch((error: unknown) => error), full);
      t.equal(sink.chunks.length, 1);
    }
    t.equal((await fetch(target.store, version, 0, MIB)).outcome.kind, 'complete');
  },
};

const endTests: Readonly<Record<string, ContractTest>> = {
  'a call whose signal has aborted does nothing': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(5, 0, 1000));
    const signal = AbortSignal.abort();
    const sink = new CollectingSink();
    const range = { start: 0, end: 1000 };
    const outcome = await target.store.fetchPart(version, range, sink, { signal, stallTimeoutMs: 5000 });
    t.same([outcome.kind, sink.chunks.length], ['aborted', 0]);
    await rejectsAborted(t, target.store.list({ prefix, signal }));
    await rejectsAborted(t, target.store.head(`${prefix}x`, signal));
    await rejectsAborted(t, target.store.check(prefix, signal));
  },

  'an abort ends a fetch between two chunks': async (t, target, prefix) => {
    const size = 8 * MIB;
    const version = await putVersion(target, `${prefix}x`, pattern(6, 0, size));
    const controller = new AbortController();
    const sink = new CollectingSink(() => controller.abort());
    const options = { signal: controller.signal, stallTimeoutMs: 5000 };
    const outcome = await target.store.fetchPart(version, { start: 0, end: size }, sink, options);
    t.same([outcome.kind, sink.chunks.length], ['aborted', 1]);
  },

  'close ends calls under way and refuses new ones': async (t, target, prefix) => {
    const size = 8 * MIB;
    const version = await putVersion(target, `${prefix}x`, pattern(6, 0, size));
    const sink = new CollectingSink(() => target.store.close());
    const outcome = await target.store.fetchPart(version, { start: 0, end: size }, sink, patient());
    t.equal(outcome.kind, 'aborted');
    t.equal((await fetch(target.store, version, 0, 10)).outcome.kind, 'aborted');
    await rejectsAborted(t, target.store.list({ prefix }));
    await rejectsAborted(t, target.store.head(`${prefix}x`));
    t.doesNotThrow(() => target.store.close());
  },

  'the store counts calls and bytes': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(6, 0, 1000));
    const before = target.store.stats;
    await target.store.list({ prefix });
    await target.store.head(`${prefix}nothing`);
    await fetch(target.store, version, 10, 110);
    await fetch(target.store, version, 0, 7);
    const after = target.store.stats;
    t.equal(after.controlRequests - before.controlRequests, 2);
    t.equal(after.partRequests - before.partRequests, 2);
    t.equal(after.bytesFetched - before.bytesFetched, 107);
  },
};

async function roundTrip(
  t: Test,
  target: ContractTarget,
  prefix: string,
  key: string,
  exception?: ContractException,
): Promise<void> {
  if (exception && (await notKeptAsDeclared(t, target, exception, key))) return;
  const content = Buffer.from(`content of ${key}`);
  await target.put(key, content);
  t.teardown(() => target.delete(key));
  t.same(keysOf(await allPages(target.store, { prefix })), [key]);
  const version = await versionOf(target, key);
  t.equal(version.size, content.length);
  t.ok((await fetch(target.store, version, 0, version.size)).bytes.equals(content));
}

/** True when the target declares the exception; then it must not keep the key, or the declaration is out of date. */
async function notKeptAsDeclared(
  t: Test,
  target: ContractTarget,
  exception: ContractException,
  key: string,
): Promise<boolean> {
  if (!target.exceptions.includes(exception)) return false;
  t.comment(`EXCEPTION ${exception}: this server does not keep ${JSON.stringify(key)}`);
  const refused = await target.put(key, Buffer.from('x')).then(
    () => false,
    () => true,
  );
  const kept = !refused && keysOf(await allPages(target.store, { prefix: key })).includes(key);
  t.notOk(kept, `${exception} is not kept, as declared`);
  return true;
}

async function allPages(
  store: ObjectStore,
  request: { readonly prefix: string; readonly delimiter?: '/'; readonly entriesMax?: number },
): Promise<readonly ListPage[]> {
  const pages: ListPage[] = [];
  let continuation;
  do {
    const page: ListPage = await store.list({ ...request, continuation });
    pages.push(page);
    ({ continuation } = page);
  } while (continuation !== undefined);
  return pages;
}

function keysOf(pages: readonly ListPage[]): readonly string[] {
  return pages.flatMap((page) => page.objects.map(({ key }) => key));
}

function pattern(seed: number, start: number, end: number): Uint8Array {
  return fillPattern(new Uint8Array(end - start), seed, start);
}

async function putVersion(target: ContractTarget, key: string, bytes: Uint8Array): Promise<ObjectVersion> {
  await target.put(key, bytes);
  return versionOf(target, key);
}

async function versionOf({ store }: ContractTarget, key: string): Promise<ObjectVersion> {
  const info = await store.head(key);
  if (!info) throw new Error(`no HEAD of ${JSON.stringify(key)}`);
  return { endpoint: store.endpoint, bucket: store.bucket, key, etag: info.etag, size: info.size };
}

async function fetch(store: ObjectStore, version: ObjectVersion, start: number, end: number) {
  const sink = new CollectingSink();
  const outcome = await store.fetchPart(version, { start, end }, sink, patient());
  return { outcome, bytes: sink.bytes };
}

/** Options of a fetch that nobody aborts. */
function patient() {
  return { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
}

async function rejectsAborted(t: Test, work: Promise<unknown>): Promise<void> {
  const error = await work.catch((error: unknown) => error);
  t.ok(error instanceof ObjectStoreError && error.code === 'aborted', `aborted, got ${String(error)}`);
}
