/** The store of made-up objects: their bytes come by the real transport, and the bucket's server hears of nothing. */
import t from 'tap';
import type { Test } from 'tap';
import type { ObjectStore } from '../../src/object-store/object-store.js';
import { createS3ObjectStore } from '../../src/object-store/s3-object-store.js';
import type { S3ObjectStore, S3ObjectStoreOptions } from '../../src/object-store/s3-object-store.js';
import { silentLogger } from '../../src/observability/logger.js';
import { systemClock } from '../../src/runtime/clock.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { LendingSink } from '../support/lending-sink.js';
import { currentVersion, storeOptions, useServer, useServerCredentials } from '../support/s3-fixture.js';

async function useRealStore(t: Test, endpoint: string, options: Partial<S3ObjectStoreOptions> = {}) {
  const dependencies = { logger: silentLogger, clock: systemClock };
  const store = await createS3ObjectStore({ ...storeOptions(endpoint), ...options }, dependencies);
  t.teardown(() => store.close());
  return store;
}

async function useRehearsal(t: Test, store: S3ObjectStore): Promise<ObjectStore> {
  const rehearsal = await store.openRehearsal();
  if (rehearsal === undefined) throw new Error('it can be rehearsed');
  t.teardown(() => rehearsal.close());
  return rehearsal;
}

const options = () => ({ signal: new AbortController().signal, stallTimeoutMs: 5000 });

t.test('every key has an object, which arrives in the file without a request to the server', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  const store = await useRealStore(t, server.endpoint);
  const rehearsal = await useRehearsal(t, store);
  for (const key of ['1', '2', '3']) {
    const version = await currentVersion(rehearsal, key);
    const range = key === '3' ? { start: 0, end: version.size } : { start: 4096, end: 12_288 };
    const sink = new LendingSink(version.size, range.start);
    t.teardown(() => sink.dispose());
    t.same(await rehearsal.fetchPart(version, range, sink, options()), { kind: 'complete' });
    t.ok(sink.availability.has(range));
    t.equal(sink.released, 1);
  }
  t.equal(server.counters.requests, 0);
  t.same(store.stats, { controlRequests: 0, partRequests: 0, bytesFetched: 0 });
});

t.test('what the socket transport does not carry is given up, not asked of the server', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  const rehearsal = await useRehearsal(t, await useRealStore(t, server.endpoint));
  const version = await currentVersion(rehearsal, '1');
  const noFile = new CollectingSink();
  t.match(await rehearsal.fetchPart(version, { start: 0, end: 1 }, noFile, options()), { kind: 'denied' });
  const beyond = { ...version, size: 2 ** 40 };
  const sink = new LendingSink(8192, 0);
  t.teardown(() => sink.dispose());
  const range = { start: 0, end: 2 ** 30 };
  t.match(await rehearsal.fetchPart(beyond, range, sink, options()), { kind: 'denied' });
  t.equal(server.counters.requests, 0);
});

t.test('nothing listens any more after close', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  const store = await useRealStore(t, server.endpoint);
  const rehearsal = await useRehearsal(t, store);
  rehearsal.close();
  rehearsal.close();
  const version = await currentVersion(rehearsal, '1');
  const sink = new LendingSink(version.size, 0);
  t.teardown(() => sink.dispose());
  t.match(await rehearsal.fetchPart(version, { start: 0, end: 4096 }, sink, options()), { kind: 'denied' });
  t.equal(server.counters.requests, 0);
});

t.test('there is nothing to rehearse without the socket transport, or after the end', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  t.equal(await (await useRealStore(t, server.endpoint, { transferThreads: 0 })).openRehearsal(), undefined);
  const store = await useRealStore(t, server.endpoint);
  store.close();
  t.equal(await store.openRehearsal(), undefined);
});
