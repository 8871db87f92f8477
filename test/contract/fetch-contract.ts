/** The contract of `fetchPart`, of aborts and of the end of a store. */
import type { Test } from 'tap';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { fetch, patient, pattern, putVersion, versionOf } from './contract-target.js';
import type { ContractTests } from './contract-target.js';

const MIB = 1024 * 1024;

export const fetchTests: ContractTests = {
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
      const { outcome, bytes } = await fetch(target, version, start, end);
      t.equal(outcome.kind, 'complete', `[${start}, ${end})`);
      t.ok(bytes.equals(pattern(7, start, end)), `bytes of [${start}, ${end})`);
    }
  },

  'a range may cross the parts of a multipart upload': async (t, target, prefix) => {
    const key = `${prefix}x`;
    const size = 5 * MIB + 1000;
    await target.putParts(key, [pattern(8, 0, 5 * MIB), pattern(8, 5 * MIB, size)]);
    const { outcome, bytes } = await fetch(target, await versionOf(target, key), 5 * MIB - 10, size);
    t.equal(outcome.kind, 'complete');
    t.ok(bytes.equals(pattern(8, 5 * MIB - 10, size)));
  },

  'several ranges may be fetched at once': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(9, 0, MIB));
    const starts = Array.from({ length: 16 }, (_, index) => index * 65536);
    const parts = await Promise.all(starts.map((start) => fetch(target, version, start, start + 65536)));
    t.ok(Buffer.concat(parts.map(({ bytes }) => bytes)).equals(pattern(9, 0, MIB)));
  },

  'an overwritten object is changed for those who know the old version': async (t, target, prefix) => {
    const key = `${prefix}x`;
    const old = await putVersion(target, key, pattern(1, 0, 1000));
    await target.put(key, pattern(2, 0, 1000));
    const { outcome, bytes } = await fetch(target, old, 0, 1000);
    t.same([outcome.kind, bytes.length], ['changed', 0]);
    t.equal((await fetch(target, await versionOf(target, key), 0, 1000)).outcome.kind, 'complete');
  },

  'an object that shrank is changed': async (t, target, prefix) => {
    const old = await putVersion(target, `${prefix}x`, pattern(1, 0, 1000));
    await target.put(`${prefix}x`, pattern(1, 0, 10));
    t.equal((await fetch(target, old, 500, 1000)).outcome.kind, 'changed');
  },

  'a deleted object is missing': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(1, 0, 1000));
    await target.delete(`${prefix}x`);
    const { outcome, bytes } = await fetch(target, version, 0, 1000);
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
    t.equal((await fetch(target, version, 0, MIB)).outcome.kind, 'complete');
  },
};

export const endTests: ContractTests = {
  'a call whose signal has aborted does nothing': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(5, 0, 1000));
    const signal = AbortSignal.abort();
    const sink = new CollectingSink();
    const range = { start: 0, end: 1000 };
    const outcome = await target.store.fetchPart(version, range, sink, { signal, stallTimeoutMs: 5000 });
    t.same([outcome.kind, sink.chunks.length], ['aborted', 0]);
    await rejectsAborted(t, target.store.list({ prefix, signal }));
    await rejectsAborted(t, target.store.head(`${prefix}x`, signal));
    await rejectsAborted(t, target.store.objectChecksums(version, signal));
    await rejectsAborted(t, target.store.partSizes(version, 2, signal));
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
    t.equal((await fetch(target, version, 0, 10)).outcome.kind, 'aborted');
    await rejectsAborted(t, target.store.list({ prefix }));
    await rejectsAborted(t, target.store.head(`${prefix}x`));
    t.doesNotThrow(() => target.store.close());
  },

  'the store counts calls and bytes': async (t, target, prefix) => {
    const version = await putVersion(target, `${prefix}x`, pattern(6, 0, 1000));
    const before = target.store.stats;
    await target.store.list({ prefix });
    await target.store.head(`${prefix}nothing`);
    await target.store.objectChecksums(version);
    await fetch(target, version, 10, 110);
    await fetch(target, version, 0, 7);
    const after = target.store.stats;
    t.equal(after.controlRequests - before.controlRequests, 3);
    t.equal(after.partRequests - before.partRequests, 2);
    t.equal(after.bytesFetched - before.bytesFetched, 107);
  },
};

async function rejectsAborted(t: Test, work: Promise<unknown>): Promise<void> {
  const error = await work.catch((error: unknown) => error);
  t.ok(error instanceof ObjectStoreError && error.code === 'aborted', `aborted, got ${String(error)}`);
}
