/** Which transport a part comes by, and how a server that only the SDK's path can deal with is noticed. */
import type { ServerResponse } from 'node:http';
import t from 'tap';
import type { Test } from 'tap';
import type { ObjectStore } from '../../src/object-store/object-store.js';
import { LendingSink } from '../support/lending-sink.js';
import { useRawServer } from '../support/raw-server.js';
import { BUCKET, useServerCredentials, useStore } from '../support/s3-fixture.js';
import { SimulatedClock } from '../support/simulated-clock.js';

useServerCredentials(t);

const HEAD = { etag: '"e1"', 'content-range': 'bytes 2-4/10' };
const MINUTE_MS = 60_000;

/** Fetches three bytes; says how many of them the SDK's path brought. */
async function fetch(t: Test, store: ObjectStore) {
  const version = { endpoint: store.endpoint, bucket: BUCKET, key: 'x', etag: '"e1"', size: 10 };
  const sink = new LendingSink(10, 2);
  t.teardown(() => sink.dispose());
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  const { kind } = await store.fetchPart(version, { start: 2, end: 5 }, sink, options);
  return { kind, bySdk: sink.handedOver };
}

async function useStoreAnswering(t: Test, answer: (response: ServerResponse) => void) {
  const server = await useRawServer(t, (_request, response) => answer(response));
  const clock = new SimulatedClock();
  const warnings: string[] = [];
  const logger = { ...silent, warn: (_facts: object, message: string) => void warnings.push(message) };
  const store = await useStore(t, server, {}, { clock, logger: logger as never });
  return { server, clock, store, warnings };
}

const silent = { trace() {}, debug() {}, info() {}, error() {} };

t.test(
  'a server whose bodies are always chunked is soon asked once per part, and tried again later',
  async (t) => {
    const { server, clock, store, warnings } = await useStoreAnswering(t, (response) => {
      response.writeHead(206, { ...HEAD, 'transfer-encoding': 'chunked' }).end('234');
    });
    for (let part = 0; part < 5; part++) t.same(await fetch(t, store), { kind: 'complete', bySdk: 3 });
    t.equal(server.requests.length, 3 * 2 + 2);
    t.same(warnings, ['objects arrive by the slower transport for a minute']);
    clock.advance(MINUTE_MS);
    await fetch(t, store);
    t.equal(server.requests.length, 3 * 2 + 2 + 2);
  },
);

t.test('an accident now and then changes nothing', async (t) => {
  let answers = 0;
  const { server, store, warnings } = await useStoreAnswering(t, (response) => {
    // Every other part: chunked by socket, and right by the SDK's path; then right at once.
    const chunked = answers++ % 3 === 0;
    const how = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': '3' };
    response.writeHead(206, { ...HEAD, ...how }).end('234');
  });
  for (let part = 0; part < 10; part++) t.match(await fetch(t, store), { kind: 'complete' });
  t.equal(server.requests.length, 15);
  t.same(warnings, []);
});

t.test('objects that may not be read say nothing against the socket transport', async (t) => {
  let isForbidden = true;
  const { store, warnings } = await useStoreAnswering(t, (response) => {
    if (isForbidden) response.writeHead(403, { 'content-length': '0' }).end();
    else response.writeHead(206, { ...HEAD, 'content-length': '3' }).end('234');
  });
  for (let part = 0; part < 5; part++) t.match(await fetch(t, store), { kind: 'denied' });
  isForbidden = false;
  t.same(await fetch(t, store), { kind: 'complete', bySdk: 0 });
  t.same(warnings, []);
});
