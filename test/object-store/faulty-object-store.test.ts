/** The decorator that tests of upper layers script: each fault does what it says, and the bytes stay true. */
import t from 'tap';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { FaultyObjectStore, inOrder } from '../support/faulty-object-store.js';
import type { FaultScript } from '../support/faulty-object-store.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { assertPattern } from '../support/pattern-check.js';

function setUp(script: FaultScript) {
  const inner = new MemoryObjectStore({ chunkBytes: 100 });
  const version = inner.put('x', { seed: 1, size: 1000 });
  const store = new FaultyObjectStore(inner, script);
  const sink = new CollectingSink();
  const controller = new AbortController();
  const fetch = () =>
    store.fetchPart(version, { start: 0, end: 1000 }, sink, {
      signal: controller.signal,
      stallTimeoutMs: 1000,
    });
  return { inner, store, sink, controller, fetch };
}

t.test('outcomes come in the order of the script, then all goes well', async (t) => {
  const short = { kind: 'short', cause: new Error('cut') } as const;
  const { store, sink, fetch } = setUp({
    part: inOrder({ outcome: { kind: 'missing' } }, undefined, { bytes: 250, outcome: short }),
  });
  t.same(await fetch(), { kind: 'missing' });
  t.equal(sink.bytes.length, 0);
  t.same(await fetch(), { kind: 'complete' });
  t.equal(await fetch(), short);
  t.equal(sink.bytes.length, 1250);
  t.same(await fetch(), { kind: 'complete' });
  t.same(
    store.calls.map(({ attempt, start, end }) => [attempt, start, end]),
    [1, 2, 3, 4].map((n) => [n, 0, 1000]),
  );
});

t.test('a stall after some bytes ends when the test says so', async (t) => {
  const hold = new Deferred<void>();
  const { sink, fetch } = setUp({ part: () => ({ bytes: 250, hold: hold.promise }) });
  const fetched = fetch();
  while (sink.bytes.length < 250) await new Promise((resolve) => setImmediate(resolve));
  hold.resolve();
  t.same(await fetched, { kind: 'complete' });
  assertPattern(t, sink.bytes, 1, 0, 'through the stall');
  t.equal(sink.bytes.length, 1000);
});

t.test('an abort or close ends every wait', async (t) => {
  for (const fault of [
    { before: new Deferred<void>().promise },
    { bytes: 250, hold: new Deferred<void>().promise },
  ]) {
    const one = setUp({ part: () => fault });
    const aborted = one.fetch();
    one.controller.abort();
    t.same(await aborted, { kind: 'aborted' });
    const other = setUp({ part: () => fault });
    const closed = other.fetch();
    other.store.close();
    t.same(await closed, { kind: 'aborted' });
  }
});

t.test('control calls wait and fail by script', async (t) => {
  const error = new ObjectStoreError('throttled', 'busy', { operation: 'list' });
  const { store, inner } = setUp({
    control: ({ operation }) => (operation === 'list' ? { error } : undefined),
  });
  t.equal(await store.list({ prefix: '' }).catch((caught: unknown) => caught), error);
  t.equal(inner.stats.controlRequests, 0);
  t.match(await store.head('x'), { size: 1000 });
});
