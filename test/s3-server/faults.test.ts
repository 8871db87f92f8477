/** Each fault as a client meets it. Objects are patterns: a byte that is wrong is known to be wrong. */
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import type { Fault } from '../../src/s3-server/faults.js';
import type { S3Server } from '../../src/s3-server/server.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { BUCKET, bytesOf, failure, plainGet, rawBody, sendRaw, setUp } from './harness.js';

const SIZE = 300_000;
const SEED = 7;

async function setUpObject(t: Test) {
  const { server, client } = await setUp(t, { anonymousRead: true });
  const { etag } = await server.putSynthetic(BUCKET, 'k', { size: SIZE, seed: SEED });
  return { server, client, etag };
}

const get = (range?: string) =>
  new GetObjectCommand({ Bucket: BUCKET, Key: 'k', ...(range === undefined ? {} : { Range: range }) });

/** The bytes of body that arrive under a fault, and how the connection ends. */
async function readRaw(server: S3Server, fault: Fault, headers: readonly string[] = []) {
  const remove = server.faults.add({ operation: 'GetObject', fault });
  const answer = await sendRaw(server, plainGet(`/${BUCKET}/k`, headers));
  remove();
  const body = Buffer.from(rawBody(answer), 'latin1');
  return { ...answer, body };
}

t.test('errors, and everything is well once the rule is gone', async (t) => {
  const { server, client } = await setUpObject(t);
  const expected: readonly [Fault, string][] = [
    [{ kind: 'slow-down' }, '503 SlowDown'],
    [{ kind: 'internal-error' }, '500 InternalError'],
    [{ kind: 'not-found' }, '404 NoSuchKey'],
    [{ kind: 'access-denied' }, '403 AccessDenied'],
    [{ kind: 'invalid-object-state' }, '403 InvalidObjectState'],
    [{ kind: 'request-time-too-skewed' }, '403 RequestTimeTooSkewed'],
    [{ kind: 'expired-token' }, '400 ExpiredToken'],
    [{ kind: 'precondition-failed' }, '412 PreconditionFailed'],
    [{ kind: 'invalid-range' }, '416 InvalidRange'],
    [{ kind: 'changed-etag' }, 'no failure'],
  ];
  for (const [fault, failed] of expected) {
    const remove = server.faults.add({ operation: 'GetObject', fault });
    t.equal(await failure(client.send(get('bytes=0-9'))), failed, fault.kind);
    remove();
  }
  t.equal((await bytesOf(await client.send(get()))).length, SIZE);
});

t.test('Retry-After and redirects are in the head of the answer', async (t) => {
  const { server } = await setUpObject(t);
  const slow = await readRaw(server, { kind: 'slow-down', retryAfterSeconds: 7 });
  t.match(slow.text, /^HTTP\/1.1 503 [^]*\r\nretry-after: 7\r\n/i);
  const moved = await readRaw(server, { kind: 'redirect', status: 307, location: 'http://elsewhere/' });
  t.match(moved.text, /^HTTP\/1.1 307 [^]*\r\nlocation: http:\/\/elsewhere\/\r\n/i);
  const region = await readRaw(server, { kind: 'redirect', status: 301, region: 'eu-west-3' });
  t.match(region.text, /^HTTP\/1.1 301 [^]*\r\nx-amz-bucket-region: eu-west-3\r\n/i);
});

t.test('which requests a rule concerns: key, attempts, range', async (t) => {
  const { server, client } = await setUpObject(t);
  await server.putObject(BUCKET, 'other', 'x');
  const outcomes = async (count: number, range?: string) => {
    const seen = [];
    for (let i = 0; i < count; i++) seen.push((await failure(client.send(get(range)))).slice(0, 3));
    return seen.join(' ');
  };
  const rule = { operation: 'GetObject', fault: { kind: 'internal-error' } } as const;
  server.faults.add({ ...rule, attempts: 2 });
  t.equal(await outcomes(3), '500 500 no ', 'the first two');
  server.faults.clear();
  server.faults.add({ ...rule, attempts: { from: 1, to: 2 } });
  t.equal(await outcomes(3), 'no  500 no ', 'the second');
  server.faults.clear();
  server.faults.add({ ...rule, attempts: { every: 2 } });
  t.equal(await outcomes(4), 'no  500 no  500', 'every second');
  server.faults.clear();
  server.faults.add({ ...rule, rangeContains: 100 });
  t.equal(await outcomes(1, 'bytes=0-99'), 'no ');
  t.equal(await outcomes(1, 'bytes=100-100'), '500');
  t.equal(await outcomes(1, 'bytes=0-'), '500');
  t.equal(await outcomes(1), '500', 'no Range has every offset');
  server.faults.clear();
  server.faults.add({ ...rule, attempts: 1, countBy: 'range' });
  t.equal(await outcomes(2, 'bytes=0-1'), '500 no ');
  t.equal(await outcomes(2, 'bytes=2-3'), '500 no ', 'each range has its own first attempt');
  server.faults.clear();
  server.faults.add({ ...rule, key: /^oth/ });
  t.equal(await outcomes(1), 'no ');
  t.equal(
    await failure(client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'other' }))),
    '500 InternalError',
  );
  t.equal(
    await failure(client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'other' }))),
    'no failure',
    'another operation',
  );
});

t.test('resets: before the headers, after them, at a byte', async (t) => {
  const { server } = await setUpObject(t);
  const before = await readRaw(server, { kind: 'reset', at: 'before-headers' });
  t.same([before.text, before.end], ['', 'reset']);
  const after = await readRaw(server, { kind: 'reset', at: 'after-headers' });
  t.match(after.text, /content-length: 300000/i);
  t.equal(after.body.length, 0);
  const middle = await readRaw(server, { kind: 'reset', at: { atByte: 1000 } });
  t.equal(middle.body.length, 1000);
  t.equal(findPatternMismatch(middle.body, SEED, 0), -1);
});

t.test('an early end closes cleanly though the whole length was announced', async (t) => {
  const { server } = await setUpObject(t);
  for (const atByte of [0, 1, 150_000, SIZE - 1]) {
    const answer = await readRaw(server, { kind: 'early-end', atByte });
    t.match(answer, { text: /content-length: 300000/i, end: 'closed' });
    t.equal(answer.body.length, atByte);
  }
  const beyond = await readRaw(server, { kind: 'early-end', atByte: SIZE });
  t.equal(beyond.body.length, SIZE, 'a position after the body is never reached');
});

t.test('positions can count from the start of the object', async (t) => {
  const { server } = await setUpObject(t);
  const fault = { kind: 'early-end', atByte: 1000, of: 'object' } as const;
  t.equal((await readRaw(server, fault, ['Range: bytes=900-1999'])).body.length, 100);
  t.equal((await readRaw(server, fault, ['Range: bytes=1001-1999'])).body.length, 999, 'not in this range');
});

t.test('a flipped byte is the only wrong one', async (t) => {
  const { server } = await setUpObject(t);
  const { body } = await readRaw(server, { kind: 'flipped-byte', atByte: 1234 });
  t.equal(body.length, SIZE);
  t.equal(findPatternMismatch(body, SEED, 0), 1234);
  t.equal(findPatternMismatch(body.subarray(1235), SEED, 1235), -1);
});

t.test('a wrong Content-Range under the right bytes', async (t) => {
  const { server, client } = await setUpObject(t);
  server.faults.add({ operation: 'GetObject', fault: { kind: 'wrong-content-range', shiftBytes: 5 } });
  const answer = await client.send(get('bytes=10-19'));
  t.equal(answer.ContentRange, `bytes 15-24/${SIZE}`);
  t.equal(findPatternMismatch(await bytesOf(answer), SEED, 10), -1);
});

t.test('a changed ETag: noticed by If-Match, or not', async (t) => {
  const { server, client, etag } = await setUpObject(t);
  const pinned = new GetObjectCommand({ Bucket: BUCKET, Key: 'k', IfMatch: `"${etag}"`, Range: 'bytes=0-9' });
  const remove = server.faults.add({
    operation: 'GetObject',
    fault: { kind: 'changed-etag', etag: 'other' },
  });
  t.equal(await failure(client.send(pinned)), '412 PreconditionFailed');
  remove();
  server.faults.add({
    operation: 'GetObject',
    fault: { kind: 'changed-etag', etag: 'other', ignoreIfMatch: true },
  });
  const answer = await client.send(pinned);
  t.same([answer.$metadata.httpStatusCode, answer.ETag], [206, '"other"']);
});

t.test('stalls end when the client leaves and when the server closes', async (t) => {
  const { server, client } = await setUpObject(t);
  server.faults.add({
    operation: 'GetObject',
    key: 'k',
    attempts: 1,
    fault: { kind: 'stall', at: 'before-headers' },
  });
  const abort = new AbortController();
  const refused = failure(client.send(get(), { abortSignal: abort.signal }));
  while (server.counters.operation('GetObject').requests === 0) await new Promise(setImmediate);
  abort.abort();
  t.equal(await refused, 'none AbortError', 'before the headers');

  server.faults.add({ operation: 'GetObject', fault: { kind: 'stall', at: { atByte: 100 } } });
  const answer = await client.send(get());
  const pieces: Buffer[] = [];
  const ended = new Promise<void>((resolve) => {
    const body = answer.Body as NodeJS.ReadableStream;
    body.on('data', (piece: Buffer) => {
      pieces.push(piece);
      if (Buffer.concat(pieces).length === 100) void server.close();
    });
    body.on('error', () => resolve());
  });
  await ended;
  await server.close();
  t.equal(Buffer.concat(pieces).length, 100, 'in the middle of the body');
});

t.test('a stall at byte 0 comes after the headers', async (t) => {
  const { server, client } = await setUpObject(t);
  server.faults.add({ operation: 'GetObject', fault: { kind: 'stall', at: { atByte: 0 } } });
  const answer = await client.send(get());
  t.equal(answer.ContentLength, SIZE);
  t.equal(server.counters.key(BUCKET, 'k').bytesSent, 0);
  (answer.Body as unknown as { destroy(): void }).destroy();
});

t.test('latency, chunk latency, trickle and bandwidth take the time they say, by the clock', async (t) => {
  const clock = new SimulatedClock({ wallTimeMs: Date.now() });
  const { server, client } = await setUp(t, { clock });
  await server.putSynthetic(BUCKET, 'k', { size: SIZE, seed: SEED });
  /** Lets the simulated time run until the request has ended, and returns how much of it passed. */
  const timed = async (range: string): Promise<number> => {
    const startMs = clock.nowMs();
    let isDone = false;
    const request = client
      .send(get(range))
      .then(bytesOf)
      .finally(() => (isDone = true));
    while (!isDone) {
      if (clock.pendingTimers > 0) clock.advance(1);
      await new Promise(setImmediate);
    }
    t.equal(findPatternMismatch(await request, SEED, 0), -1);
    return clock.nowMs() - startMs;
  };
  t.equal(await timed('bytes=0-99'), 0, 'no fault, no time');
  const expectMs = async (fault: Fault, range: string, fromMs: number, toMs = fromMs) => {
    const remove = server.faults.add({ operation: 'GetObject', fault });
    const ms = await timed(range);
    t.ok(ms >= fromMs && ms <= toMs, `${fault.kind}: ${ms} ms, expected ${fromMs} to ${toMs}`);
    remove();
  };
  await expectMs({ kind: 'latency', ms: 50 }, 'bytes=0-99', 50);
  await expectMs({ kind: 'chunk-latency', ms: 10, chunkBytes: 25 }, 'bytes=0-99', 40);
  await expectMs({ kind: 'trickle', chunkBytes: 10, everyMs: 7 }, 'bytes=0-99', 70);
  await expectMs({ kind: 'bandwidth', bytesPerSecond: 100_000 }, 'bytes=0-99999', 940, 1000);
  server.faults.roundTripMs = 30;
  t.equal(await timed('bytes=0-99'), 30, 'the round trip of every request');
  server.faults.roundTripMs = 0;
  server.faults.connectionBytesPerSecond = 50_000;
  const ms = await timed('bytes=0-99999');
  t.ok(ms >= 1940 && ms <= 2000, `the cap of every connection: ${ms} ms`);
});

t.test('a stale listing shows the bucket as it was', async (t) => {
  const clock = new SimulatedClock({ wallTimeMs: Date.now() });
  const { server, client } = await setUp(t, { clock });
  await server.putObject(BUCKET, 'kept', '1');
  await server.putObject(BUCKET, 'deleted', '1');
  clock.advance(10_000);
  await server.deleteObject(BUCKET, 'deleted');
  await server.putObject(BUCKET, 'new', '1');
  await server.putObject(BUCKET, 'kept', 'longer');
  server.faults.add({ operation: 'ListObjectsV2', fault: { kind: 'stale-listing', ms: 5000 } });
  const list = async () => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
    return Contents.map(({ Key, Size }) => `${Key} ${Size}`);
  };
  t.same(await list(), ['deleted 1', 'kept 1']);
  t.equal(
    (await bytesOf(await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'new' })))).toString(),
    '1',
    'reads are not stale',
  );
  clock.advance(5000);
  t.same(await list(), ['kept 6', 'new 1']);
});

t.test('a lost answer: the write was done, the client does not know', async (t) => {
  const { server, client } = await setUp(t);
  server.faults.add({ operation: 'PutObject', fault: { kind: 'reset', at: 'after-effect' } });
  const put = client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'k', Body: 'done' }));
  t.match(await failure(put), /^none /);
  server.faults.clear();
  t.equal((await bytesOf(await client.send(get()))).toString(), 'done');
});
