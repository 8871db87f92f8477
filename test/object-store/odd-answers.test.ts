/** Answers that a conforming server does not give, or rarely: each is understood, or refused before it is believed. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import t from 'tap';
import type { Test } from 'tap';
import type { ObjectStore, ObjectVersion, PartOutcome } from '../../src/object-store/object-store.js';
import { systemClock } from '../../src/runtime/clock.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { LendingSink } from '../support/lending-sink.js';
import { useRawServer } from '../support/raw-server.js';
import { BUCKET, useServerCredentials, useStore } from '../support/s3-fixture.js';
import { hurriedClock } from '../support/clocks.js';

useServerCredentials(t);

const OBJECT = Buffer.from('0123456789');
const ETAG = '"e1"';

async function fetch(store: ObjectStore, start: number, end: number, lendsFile = false) {
  const version: ObjectVersion = {
    endpoint: store.endpoint,
    bucket: BUCKET,
    key: 'x',
    etag: ETAG,
    size: OBJECT.length,
  };
  const sink = lendsFile ? new LendingSink(OBJECT.length, start) : new CollectingSink();
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  const outcome = await store.fetchPart(version, { start, end }, sink, options);
  const text = sink.bytes.toString();
  sink.dispose();
  return { outcome, text };
}

async function storeAnswering(t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = await useRawServer(t, answer);
  const { clock } = hurriedClock();
  return { server, store: await useStore(t, server), hurried: await useStore(t, server, {}, { clock }) };
}

interface PartCase {
  readonly title: string;
  readonly range: readonly [number, number];
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly outcome: PartOutcome['kind'];
  readonly text?: string;
}

const PART_CASES: readonly PartCase[] = [
  { title: 'the whole object with 200', range: [0, 10], status: 200, headers: { etag: ETAG }, body: '0123456789', outcome: 'complete', text: '0123456789' },
  { title: 'the whole object when a part was asked for', range: [2, 5], status: 200, headers: { etag: ETAG }, body: '0123456789', outcome: 'broken' },
  { title: 'no ETag', range: [2, 5], status: 206, headers: { 'content-range': 'bytes 2-4/10' }, body: '234', outcome: 'broken' },
  { title: 'an ETag without quotes', range: [2, 5], status: 206, headers: { etag: 'e1', 'content-range': 'bytes 2-4/10' }, body: '234', outcome: 'complete', text: '234' },
  { title: 'no Content-Range', range: [2, 5], status: 206, headers: { etag: ETAG }, body: '234', outcome: 'broken' },
  { title: 'a Content-Range without a total', range: [2, 5], status: 206, headers: { etag: ETAG, 'content-range': 'bytes 2-4/*' }, body: '234', outcome: 'broken' },
  { title: 'another total size', range: [2, 5], status: 206, headers: { etag: ETAG, 'content-range': 'bytes 2-4/11' }, body: '234', outcome: 'changed' },
  { title: 'fewer bytes than asked for', range: [2, 5], status: 206, headers: { etag: ETAG, 'content-range': 'bytes 2-3/10' }, body: '23', outcome: 'broken' },
  { title: 'a Content-Length that is not the range', range: [2, 5], status: 206, headers: { etag: ETAG, 'content-range': 'bytes 2-4/10' }, body: '2345', outcome: 'broken' },
  { title: 'a chunked body', range: [2, 5], status: 206, headers: { etag: ETAG, 'content-range': 'bytes 2-4/10', 'transfer-encoding': 'chunked' }, body: '234', outcome: 'complete', text: '234' },
  { title: 'a chunked body that is too long', range: [2, 5], status: 206, headers: { etag: ETAG, 'content-range': 'bytes 2-4/10', 'transfer-encoding': 'chunked' }, body: '23456789', outcome: 'complete', text: '234' },
  { title: 'a chunked body that ends cleanly, but early', range: [2, 5], status: 206, headers: { etag: ETAG, 'content-range': 'bytes 2-4/10', 'transfer-encoding': 'chunked' }, body: '23', outcome: 'short', text: '23' },
  { title: 'bytes of a stored Content-Encoding', range: [2, 5], status: 206, headers: { etag: ETAG, 'content-range': 'bytes 2-4/10', 'content-encoding': 'gzip' }, body: '234', outcome: 'complete', text: '234' },
  { title: 'no content', range: [2, 5], status: 204, headers: { etag: ETAG }, body: '', outcome: 'broken' },
  { title: 'a client error without an error document', range: [2, 5], status: 418, headers: {}, body: '', outcome: 'broken' },
  { title: 'a 404 without an error document', range: [2, 5], status: 404, headers: {}, body: '', outcome: 'missing' },
  { title: 'a 412 without an error document', range: [2, 5], status: 412, headers: {}, body: '', outcome: 'changed' },
  { title: 'a 416 without an error document', range: [2, 5], status: 416, headers: {}, body: '', outcome: 'changed' },
  { title: 'a 429', range: [2, 5], status: 429, headers: {}, body: '', outcome: 'throttled' },
  { title: 'a 502 with a page of HTML', range: [2, 5], status: 502, headers: { 'content-type': 'text/html' }, body: '<html><p>Bad gateway', outcome: 'broken' },
  { title: 'a 307 without a region', range: [2, 5], status: 307, headers: { location: 'http://127.0.0.1:1/' }, body: '', outcome: 'denied' },
]; // prettier-ignore

for (const { title, range, status, headers, body, outcome, text = '' } of PART_CASES) {
  t.test(`${title} makes the part ${outcome}, on each transport`, async (t) => {
    const { store } = await storeAnswering(t, (_request, response) => {
      const length = 'transfer-encoding' in headers ? {} : { 'content-length': String(body.length) };
      response.writeHead(status, { ...headers, ...length }).end(body);
    });
    const got = await fetch(store, ...range);
    t.same([got.outcome.kind, got.text], [outcome, text]);
    t.equal((await fetch(store, ...range)).outcome.kind, outcome, 'and so again');
    for (const which of ['first', 'second']) {
      const lent = await fetch(store, ...range, true);
      t.same([lent.outcome.kind, lent.text], [outcome, text], `${which} by socket`);
    }
  });
}

t.test('bytes that are no HTTP make the part broken', async (t) => {
  const { store } = await storeAnswering(t, (request) => request.socket.end('SSH-2.0-OpenSSH\r\n'));
  t.equal((await fetch(store, 2, 5)).outcome.kind, 'broken');
});

t.test('Retry-After may be an HTTP date', async (t) => {
  const { store } = await storeAnswering(t, (_request, response) => {
    const soon = new Date(Math.ceil(systemClock.wallTimeMs() / 1000) * 1000 + 30_000).toUTCString();
    response.writeHead(503, { 'retry-after': soon, 'content-length': '0' }).end();
  });
  const { outcome } = await fetch(store, 2, 5);
  t.ok(outcome.kind === 'throttled' && outcome.retryAfterMs !== undefined);
  const { retryAfterMs } = outcome as { readonly retryAfterMs: number };
  t.ok(retryAfterMs > 20_000 && retryAfterMs <= 31_000, `about 30 s, got ${retryAfterMs}`);
});

function listing(inner: string): string {
  return `<?xml version="1.0"?><ListBucketResult><Name>b</Name>${inner}</ListBucketResult>`;
}

function object(key: string, more = ''): string {
  return `<Contents><Key>${key}</Key><Size>1</Size><ETag>e1</ETag>${more}</Contents>`;
}

t.test('keys that are encoded are decoded, whatever they hold', async (t) => {
  const body = listing(
    '<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>' +
      object('a+b%20c%2Bd') + object('caf%C3%A9%00%0A') + object('100%zz%') + object('bad%ff') +
      '<CommonPrefixes><Prefix>p+q%2F</Prefix></CommonPrefixes>',
  ); // prettier-ignore
  const { store, server } = await storeAnswering(t, (_request, response) => response.end(body));
  const page = await store.list({ prefix: 'x y', delimiter: '/' });
  t.same(
    page.objects.map(({ key }) => key),
    ['a b c+d', 'caf\u00e9\u0000\n', '100%zz%', 'bad\ufffd'],
  );
  t.same(page.prefixes, ['p q/']);
  t.match(page.objects[0], { etag: '"e1"', size: 1, lastModifiedMs: 0, archived: false });
  t.match(server.requests[0]?.url, /[?&]encoding-type=url(&|$)/);
});

t.test('keys of a server that does not encode are left as they are', async (t) => {
  const body = listing(`<IsTruncated>false</IsTruncated>${object('a+b%41')}`);
  const { store } = await storeAnswering(t, (_request, response) => response.end(body));
  t.same(
    (await store.list({ prefix: '' })).objects.map(({ key }) => key),
    ['a+b%41'],
  );
});

const NO_LISTINGS = {
  'a page of HTML': '<!doctype html><html><body><p>Welcome</body></html>',
  'an empty page': '',
  'a truncated listing without a token': listing('<IsTruncated>true</IsTruncated>'),
  'a listing cut off in the middle': listing('<IsTruncated>false</IsTruncated>').slice(0, -20),
  'an object without a size': listing('<IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>'),
};

for (const [title, body] of Object.entries(NO_LISTINGS)) {
  t.test(`${title} is an error, not an empty directory`, async (t) => {
    const { hurried } = await storeAnswering(t, (_request, response) => response.end(body));
    await t.rejects(hurried.list({ prefix: '' }), { code: 'server_error' });
  });
}

t.test('archive classes are told from those that can be read', async (t) => {
  const classes = ['STANDARD', 'GLACIER_IR', 'GLACIER', 'DEEP_ARCHIVE', 'INTELLIGENT_TIERING'];
  const objects = classes.map((name) => object(name, `<StorageClass>${name}</StorageClass>`)).join('');
  const body = listing(`<IsTruncated>false</IsTruncated>${objects}`);
  const { store } = await storeAnswering(t, (_request, response) => response.end(body));
  const archived = (await store.list({ prefix: '' })).objects.filter(({ archived }) => archived);
  t.same(
    archived.map(({ key }) => key),
    ['GLACIER', 'DEEP_ARCHIVE'],
  );
});

const HEADS = [
  [{}, false],
  [{ 'x-amz-storage-class': 'GLACIER_IR' }, false],
  [{ 'x-amz-storage-class': 'GLACIER' }, true],
  [{ 'x-amz-storage-class': 'GLACIER', 'x-amz-restore': 'ongoing-request="true"' }, true],
  [{ 'x-amz-storage-class': 'GLACIER', 'x-amz-restore': 'ongoing-request="false", expiry-date="Fri, 21 Dec 2040 00:00:00 GMT"' }, false],
  [{ 'x-amz-storage-class': 'INTELLIGENT_TIERING' }, false],
  [{ 'x-amz-storage-class': 'INTELLIGENT_TIERING', 'x-amz-archive-status': 'DEEP_ARCHIVE_ACCESS' }, true],
] as const; // prettier-ignore

t.test('a HEAD knows about restored copies and archive tiers', async (t) => {
  for (const [headers, archived] of HEADS) {
    const { store } = await storeAnswering(t, (_request, response) => {
      response.writeHead(200, { ...headers, etag: ETAG, 'content-length': '1' }).end();
    });
    t.equal((await store.head('x'))?.archived, archived, JSON.stringify(headers));
  }
});

t.test('requester pays is said with every request', async (t) => {
  const server = await useRawServer(t, (_request, response) => response.writeHead(404).end());
  const store = await useStore(t, server, { requesterPays: true });
  await t.rejects(store.list({ prefix: '' }));
  await store.head('x');
  await fetch(store, 2, 5);
  const payers = server.requests.map(({ method, headers }) => [method, headers['x-amz-request-payer']]);
  t.same(payers, [
    ['GET', 'requester'],
    ['HEAD', 'requester'],
    ['GET', 'requester'],
  ]);
});

t.test('a part is asked for by range, ETag and version', async (t) => {
  const server = await useRawServer(t, (_request, response) => response.writeHead(404).end());
  const store = await useStore(t, server);
  const version = {
    endpoint: store.endpoint,
    bucket: BUCKET,
    key: 'a/b',
    etag: ETAG,
    versionId: 'v 1',
    size: 10,
  };
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  await store.fetchPart(version, { start: 2, end: 5 }, new CollectingSink(), options);
  const [request] = server.requests;
  t.match(request, { method: 'GET', headers: { range: 'bytes=2-4', 'if-match': ETAG } });
  t.match(request?.url, /^\/bucket\/a\/b\?.*versionId=v%201/);
});

t.test('anonymous requests are not signed', async (t) => {
  const server = await useRawServer(t, (_request, response) => response.writeHead(404).end());
  const store = await useStore(t, server, { noSignRequest: true });
  await store.head('x');
  t.equal(server.requests[0]?.headers.authorization, undefined);
});
