/** Every outcome of `fetchPart` over real HTTP: what the server does, what becomes of the attempt, which bytes stay. */
import t from 'tap';
import type { Test } from 'tap';
import type { ByteRange, ObjectStore, PartOutcome } from '../../src/object-store/object-store.js';
import { Deferred } from '../../src/runtime/deferred.js';
import type { Fault } from '../../src/s3-server/faults.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { LendingSink } from '../support/lending-sink.js';
import { assertPattern } from '../support/pattern-check.js';
import {
  BUCKET,
  currentVersion,
  useEnvironment,
  useServer,
  useServerCredentials,
  useStore,
} from '../support/s3-fixture.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const KEY = 'models/x.bin';
const SIZE = 1_000_000;
const SEED = 42;
/** Away from both ends, so that no server gets it right by accident. */
const RANGE: ByteRange = { start: 100_001, end: 900_003 };

useServerCredentials(t);
const server = await useServer(t);
await server.putSynthetic(BUCKET, KEY, { size: SIZE, seed: SEED });

interface FetchSettings {
  readonly stallTimeoutMs?: number;
  readonly range?: ByteRange;
  readonly transport?: Transport;
}

async function fetch(t: Test, store: ObjectStore, settings: FetchSettings = {}) {
  const { range = RANGE, stallTimeoutMs = 10_000, transport = 'sdk' } = settings;
  const sink = transport === 'socket' ? new LendingSink(SIZE, range.start) : new CollectingSink();
  t.teardown(() => sink.dispose());
  const version = await currentVersion(store, KEY);
  const outcome = await store.fetchPart(version, range, sink, {
    signal: new AbortController().signal,
    stallTimeoutMs,
  });
  return { outcome, sink };
}

/** Fetches once under `fault`, and once more after it, which must succeed on the same connections. */
async function fetchUnder(t: Test, fault: Fault, settings: FetchSettings): Promise<PartOutcome> {
  // One data connection: it would be lost if an answer were left unread.
  const store = await useStore(t, server, { connectionsMax: 2 });
  const remove = server.faults.add({ operation: 'GetObject', fault });
  const { outcome, sink } = await fetch(t, store, settings);
  remove();
  assertPattern(t, sink.bytes, SEED, RANGE.start, 'under the fault');
  t.equal(store.stats.bytesFetched, sink.bytes.length, 'bytes are counted');
  const { transport } = settings;
  const after = await fetch(t, store, transport === undefined ? {} : { transport });
  t.equal(after.outcome.kind, 'complete', 'the store goes on');
  assertPattern(t, after.sink.bytes, SEED, RANGE.start, 'after the fault');
  t.equal(after.sink.bytes.length, RANGE.end - RANGE.start);
  return outcome;
}

const AFTER_SOME_BYTES = { atByte: 300_000, of: 'body' } as const;

const TRANSPORTS = ['sdk', 'socket'] as const;
type Transport = (typeof TRANSPORTS)[number];

interface Case {
  readonly title: string;
  readonly fault: Fault;
  readonly outcome: object;
  /** Where the socket transport knows less of the cause. */
  readonly socketOutcome?: object;
}

const CASES: readonly Case[] = [
  { title: 'a reset in the body', fault: { kind: 'reset', at: AFTER_SOME_BYTES }, outcome: { kind: 'short', cause: Error } },
  { title: 'a reset after the headers', fault: { kind: 'reset', at: 'after-headers' }, outcome: { kind: 'short' } },
  { title: 'an early end', fault: { kind: 'early-end', ...AFTER_SOME_BYTES }, outcome: { kind: 'short', cause: Error } },
  { title: 'an end before the first byte', fault: { kind: 'early-end', atByte: 0 }, outcome: { kind: 'short' } },
  { title: 'a reset before the headers', fault: { kind: 'reset', at: 'before-headers' }, outcome: { kind: 'unreachable', cause: { code: 'unreachable' } } },
  { title: 'a failed precondition', fault: { kind: 'precondition-failed' }, outcome: { kind: 'changed' } },
  { title: 'another ETag', fault: { kind: 'changed-etag' }, outcome: { kind: 'changed' } },
  { title: 'another ETag from a server that ignores If-Match', fault: { kind: 'changed-etag', ignoreIfMatch: true }, outcome: { kind: 'changed' } },
  { title: 'a range behind the end', fault: { kind: 'invalid-range' }, outcome: { kind: 'changed' } },
  { title: 'no such key', fault: { kind: 'not-found' }, outcome: { kind: 'missing' } },
  { title: 'a server that is busy', fault: { kind: 'slow-down' }, outcome: { kind: 'throttled', retryAfterMs: undefined } },
  { title: 'a server that is busy for 7 s', fault: { kind: 'slow-down', retryAfterSeconds: 7 }, outcome: { kind: 'throttled', retryAfterMs: 7000 } },
  { title: 'an internal error', fault: { kind: 'internal-error' }, outcome: { kind: 'broken', cause: { code: 'server_error' } }, socketOutcome: { kind: 'broken', cause: Error } },
  { title: 'a wrong Content-Range', fault: { kind: 'wrong-content-range' }, outcome: { kind: 'broken', cause: Error } },
  { title: 'a forbidden object', fault: { kind: 'access-denied' }, outcome: { kind: 'denied', error: { code: 'access_denied' } } },
  { title: 'an archived object', fault: { kind: 'invalid-object-state' }, outcome: { kind: 'denied', error: { code: 'archived' } } },
  { title: 'expired credentials', fault: { kind: 'expired-token' }, outcome: { kind: 'denied', error: { code: 'credentials_rejected' } } },
  { title: 'a clock that is off', fault: { kind: 'request-time-too-skewed' }, outcome: { kind: 'denied', error: { code: 'clock_skew' } } },
  { title: 'a redirect to nowhere', fault: { kind: 'redirect', status: 301 }, outcome: { kind: 'denied', error: { code: 'wrong_region' } } },
]; // prettier-ignore

for (const transport of TRANSPORTS) {
  for (const { title, fault, outcome, socketOutcome } of CASES) {
    t.test(`${title} makes the part ${(outcome as PartOutcome).kind} (${transport})`, async (t) => {
      const expected = transport === 'socket' ? (socketOutcome ?? outcome) : outcome;
      t.match(await fetchUnder(t, fault, { transport }), expected);
    });
  }

  t.test(`bytes that came before a fault stay (${transport})`, async (t) => {
    const store = await useStore(t, server);
    t.teardown(
      server.faults.add({ operation: 'GetObject', fault: { kind: 'early-end', ...AFTER_SOME_BYTES } }),
    );
    const { outcome, sink } = await fetch(t, store, { transport });
    t.same([outcome.kind, sink.bytes.length], ['short', 300_000]);
    assertPattern(t, sink.bytes, SEED, RANGE.start, 'before the early end');
  });

  t.test(`silence before the headers makes the part unreachable (${transport})`, async (t) => {
    const settings = { transport, stallTimeoutMs: 300 };
    t.match(await fetchUnder(t, { kind: 'stall', at: 'before-headers' }, settings), {
      kind: 'unreachable',
      cause: Error,
    });
  });
}

t.test('silence in the body makes the part short', async (t) => {
  const clock = new SimulatedClock();
  const store = await useStore(t, server, {}, { clock });
  t.teardown(server.faults.add({ operation: 'GetObject', fault: { kind: 'stall', at: AFTER_SOME_BYTES } }));
  const received = new Deferred<void>();
  const sink = new CollectingSink((bytes) => {
    if (bytes === 300_000) received.resolve();
  });
  const version = await currentVersion(store, KEY);
  const options = { signal: new AbortController().signal, stallTimeoutMs: 4000 };
  const fetched = store.fetchPart(version, RANGE, sink, options);
  await received.promise;
  clock.advance(4000);
  t.match(await fetched, { kind: 'short', cause: Error });
  assertPattern(t, sink.bytes, SEED, RANGE.start, 'before the stall');
});

t.test('a slow sink is no stall', async (t) => {
  const clock = new SimulatedClock();
  const store = await useStore(t, server, {}, { clock });
  const version = await currentVersion(store, KEY);
  const writing = new Deferred<void>();
  const slow = new Deferred<void>();
  const sink = new CollectingSink(() => {
    if (sink.chunks.length > 1) return undefined;
    writing.resolve();
    return slow.promise;
  });
  const options = { signal: new AbortController().signal, stallTimeoutMs: 4000 };
  const fetched = store.fetchPart(version, RANGE, sink, options);
  await writing.promise;
  clock.advance(60_000);
  slow.resolve();
  t.match(await fetched, { kind: 'complete' });
  assertPattern(t, sink.bytes, SEED, RANGE.start, 'through a slow sink');
  t.equal(clock.pendingTimers, 0, 'no timer is left');
});

t.test('nobody listening makes the part unreachable', async (t) => {
  const gone = await useServer(t);
  await gone.putSynthetic(BUCKET, KEY, { size: SIZE, seed: SEED });
  const store = await useStore(t, gone);
  const version = await currentVersion(store, KEY);
  await gone.close();
  const sink = new CollectingSink();
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  t.match(await store.fetchPart(version, RANGE, sink, options), {
    kind: 'unreachable',
    cause: { code: 'unreachable', facts: { key: KEY, bucket: BUCKET } },
  });
});

t.test('a bucket that is gone is denied, not missing', async (t) => {
  const store = await useStore(t, server, { bucket: 'no-such-bucket' });
  const version = { ...(await currentVersion(await useStore(t, server), KEY)), bucket: 'no-such-bucket' };
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  const outcome = await store.fetchPart(version, RANGE, new CollectingSink(), options);
  t.match(outcome, { kind: 'denied', error: { code: 'no_such_bucket' } });
});

t.test('no credentials, and wrong ones, make the part denied', async (t) => {
  const version = await currentVersion(await useStore(t, server), KEY);
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  for (const [secret, code] of [
    [undefined, 'credentials_missing'],
    ['wrong', 'credentials_rejected'],
  ] as const) {
    await t.test(code, async (t) => {
      useEnvironment(t, secret ? { AWS_ACCESS_KEY_ID: 'sluice', AWS_SECRET_ACCESS_KEY: secret } : {});
      const store = await useStore(t, server);
      t.match(await store.fetchPart(version, RANGE, new CollectingSink(), options), {
        kind: 'denied',
        error: { code },
      });
    });
  }
});

t.test('an abort ends the wait for headers', async (t) => {
  const store = await useStore(t, server, { connectionsMax: 2 });
  const version = await currentVersion(store, KEY);
  const remove = server.faults.add({
    operation: 'GetObject',
    fault: { kind: 'stall', at: 'before-headers' },
  });
  const controller = new AbortController();
  const options = { signal: controller.signal, stallTimeoutMs: 60_000 };
  const sink = new CollectingSink();
  const requests = () => server.counters.key(BUCKET, KEY).requests;
  const before = requests();
  const waiting = store.fetchPart(version, RANGE, sink, options);
  // The only data connection is taken: the second waits for it.
  const queued = store.fetchPart(version, RANGE, sink, options);
  while (requests() === before) await turn();
  controller.abort();
  t.same([await waiting, await queued, sink.chunks.length], [{ kind: 'aborted' }, { kind: 'aborted' }, 0]);
  remove();
  t.equal((await fetch(t, store)).outcome.kind, 'complete', 'the connection is free again');
});

t.test('an aborted fetch ends only when its sink is at rest', async (t) => {
  const store = await useStore(t, server);
  const version = await currentVersion(store, KEY);
  const controller = new AbortController();
  const slow = new Deferred<void>();
  const events: string[] = [];
  const sink = new CollectingSink(() => {
    controller.abort();
    return slow.promise.then(() => void events.push('written'));
  });
  const options = { signal: controller.signal, stallTimeoutMs: 60_000 };
  const fetched = store.fetchPart(version, RANGE, sink, options).then(({ kind }) => events.push(kind));
  while (sink.chunks.length === 0) await turn();
  slow.resolve();
  await fetched;
  t.same([events, sink.chunks.length], [['written', 'aborted'], 1]);
});

t.test('listings and HEADs do not wait behind object bytes', async (t) => {
  const store = await useStore(t, server, { connectionsMax: 4 });
  const version = await currentVersion(store, KEY);
  const release = new Deferred<void>();
  const sinks = Array.from({ length: 6 }, () => new CollectingSink(() => release.promise));
  const options = { signal: new AbortController().signal, stallTimeoutMs: 60_000 };
  const parts = sinks.map((sink) => store.fetchPart(version, RANGE, sink, options));
  while (sinks.filter((sink) => sink.chunks.length > 0).length < 3) await turn();
  t.equal((await store.list({ prefix: '' })).objects.length, 1);
  t.ok(await store.head(KEY));
  release.resolve();
  t.same(new Set((await Promise.all(parts)).map(({ kind }) => kind)), new Set(['complete']));
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
