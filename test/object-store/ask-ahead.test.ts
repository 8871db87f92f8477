/** Requests sent ahead, by an S3 store on a real server: what they cost, and that nobody waits for their connection. */
import t from 'tap';
import type { Test } from 'tap';
import type { ObjectStore, ObjectVersion } from '../../src/object-store/object-store.js';
import { systemClock } from '../../src/runtime/clock.js';
import type { Clock } from '../../src/runtime/clock.js';
import type { S3Server } from '../../src/s3-server/server.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { LendingSink } from '../support/lending-sink.js';
import { createPrivateCa } from '../support/private-ca.js';
import { eventually } from '../support/processes.js';
import { BUCKET, useFolder, useServer, useServerCredentials, useStore } from '../support/s3-fixture.js';

useServerCredentials(t);

const KIB = 1024;
const SIZE = 4096 * KIB;
const FIRST = { start: 0, end: 1024 * KIB };
const OTHER = { start: 2048 * KIB, end: 2304 * KIB };
const STALL_MS = 10_000;
/** With which nothing is given up because this machine is busy. */
const clock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => (delayMs === 3000 ? () => {} : systemClock.after(delayMs, callback)),
};

async function put(server: S3Server, store: ObjectStore, key: string, seed: number): Promise<ObjectVersion> {
  await server.putSynthetic(BUCKET, key, { size: SIZE, seed });
  const object = await store.head(key);
  if (object === undefined) throw new Error('it was put');
  return { endpoint: store.endpoint, bucket: BUCKET, key, etag: object.etag, size: SIZE };
}

async function fetch(t: Test, store: ObjectStore, version: ObjectVersion, range: typeof FIRST, seed: number) {
  const sink = new LendingSink(SIZE, range.start);
  t.teardown(() => sink.dispose());
  const options = { signal: new AbortController().signal, stallTimeoutMs: STALL_MS };
  const { kind } = await store.fetchPart(version, range, sink, options);
  const right = fillPattern(new Uint8Array(range.end - range.start), seed, range.start);
  return { kind, isRight: sink.bytes.equals(right) };
}

const RIGHT = { kind: 'complete', isRight: true };

for (const way of ['plain', 'TLS']) {
  t.test(`${way}: the fetch takes the request that was sent ahead, however late it comes`, async (t) => {
    const ca = way === 'TLS' ? await createPrivateCa(await useFolder(t)) : undefined;
    const server = await useServer(t, ca && { tls: ca });
    const store = await useStore(t, server, ca && { caBundle: ca.bundle }, { clock });
    const version = await put(server, store, 'a', 1);
    for (const isLate of [false, true]) {
      const before = server.counters.key(BUCKET, 'a').bytesSent;
      store.askAhead(version, FIRST, STALL_MS);
      const isSent = () => server.counters.key(BUCKET, 'a').bytesSent > before;
      if (isLate) t.ok(await eventually(isSent));
      t.match(await fetch(t, store, version, FIRST, 1), RIGHT);
    }
    const { requests, bytesSent } = server.counters.key(BUCKET, 'a');
    t.equal(bytesSent, 2 * FIRST.end);
    // With the HEAD.
    t.equal(requests, 3);
    t.equal(store.stats.partRequests, 2);
  });
}

t.test('nobody waits for a connection that a request sent ahead has', async (t) => {
  const server = await useServer(t);
  const store = await useStore(t, server, { connectionsMax: 2 }, { clock });
  const [a, b] = [await put(server, store, 'a', 1), await put(server, store, 'b', 2)];
  store.askAhead(a, FIRST, STALL_MS);
  t.ok(await eventually(() => server.counters.key(BUCKET, 'a').requests === 2));
  t.match(await fetch(t, store, a, FIRST, 1), RIGHT, 'who takes it over');
  server.faults.roundTripMs = 200;
  for (const [version, seed] of [
    [a, 1],
    [b, 2],
  ] as const) {
    store.askAhead(a, FIRST, STALL_MS);
    t.match(
      await fetch(t, store, version, OTHER, seed),
      RIGHT,
      `who reads something else, of ${version.key}`,
    );
  }
  t.equal(store.stats.partRequests, 5, 'those in vain among them');
});

t.test('where parts come by the SDK alone nothing is sent ahead', async (t) => {
  const server = await useServer(t);
  const store = await useStore(t, server, { transferThreads: 0 });
  const version = await put(server, store, 'a', 1);
  store.askAhead(version, FIRST, STALL_MS);
  t.match(await fetch(t, store, version, FIRST, 1), { kind: 'complete' });
  t.equal(server.counters.key(BUCKET, 'a').requests, 2);
});
