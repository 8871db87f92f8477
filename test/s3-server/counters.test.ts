import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { BUCKET, bytesOf, failure, setUp } from './harness.js';

t.test('requests and bytes are counted exactly, per operation and per key', async (t) => {
  const { server, client } = await setUp(t);
  await server.putSynthetic(BUCKET, 'a', { size: 1_000_000, seed: 1 });
  t.equal(server.counters.requests, 0, 'direct access is not a request');
  await bytesOf(await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'a' })));
  await bytesOf(await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'a', Range: 'bytes=10-19' })));
  await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'a' }));
  await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'b', Body: Buffer.alloc(5000) }));
  t.same(server.counters.key(BUCKET, 'a'), { requests: 3, bytesSent: 1_000_010, bytesReceived: 0 });
  t.equal(server.counters.operation('GetObject').bytesSent, 1_000_010);
  t.same(server.counters.operation('PutObject').requests, 1);
  t.ok(server.counters.key(BUCKET, 'b').bytesReceived >= 5000, 'with its framing, if any');
  t.same(server.counters.key(BUCKET, 'never'), { requests: 0, bytesSent: 0, bytesReceived: 0 });
  t.equal(server.counters.requests, 4);
  t.ok(server.counters.connections >= 1);
});

t.test('the ranges that were asked for, with status and bytes sent', async (t) => {
  const { server, client } = await setUp(t);
  await server.putSynthetic(BUCKET, 'a', { size: 1000, seed: 1 });
  const get = (Range: string) => client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'a', Range }));
  await bytesOf(await get('bytes=100-199'));
  server.faults.add({ operation: 'GetObject', attempts: 1, fault: { kind: 'slow-down' } });
  await failure(get('bytes=200-299'));
  await bytesOf(await get('bytes=-50'));
  t.same(server.counters.gets(BUCKET, 'a'), [
    { start: 100, end: 200, status: 206, bytesSent: 100 },
    { start: 200, end: 300, status: 503, bytesSent: 0 },
    { start: 950, end: 1000, status: 206, bytesSent: 50 },
  ]);
  t.equal(server.counters.bytesSent, 150, 'error documents do not count');
});

t.test('bytes count while the body is on its way', async (t) => {
  const { server, client } = await setUp(t);
  await server.putSynthetic(BUCKET, 'a', { size: 1000, seed: 1 });
  server.faults.add({ operation: 'GetObject', fault: { kind: 'stall', at: { atByte: 400 } } });
  const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'a' }));
  const body = Body as unknown as NodeJS.ReadableStream & { destroy(): void };
  let received = 0;
  await new Promise<void>((resolve) =>
    body.on('data', (piece: Buffer) => (received += piece.length) === 400 && resolve()),
  );
  t.equal(server.counters.key(BUCKET, 'a').bytesSent, 400);
  t.equal(server.counters.gets(BUCKET, 'a')[0]?.bytesSent, 400);
  body.destroy();
});

t.test('a snapshot is plain JSON; a reset begins anew', async (t) => {
  const { server, client } = await setUp(t);
  await server.putObject(BUCKET, 'a', 'abc');
  await bytesOf(await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'a' })));
  await client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
  const snapshot = server.counters.snapshot();
  t.same(JSON.parse(JSON.stringify(snapshot)), snapshot);
  t.match(snapshot, {
    requests: 2,
    operations: { GetObject: { requests: 1, bytesSent: 3 }, ListObjectsV2: { requests: 1 } },
    keys: { [`${BUCKET}/a`]: { requests: 1, bytesSent: 3, bytesReceived: 0 } },
    requestsNotDetailed: 0,
  });
  server.counters.reset();
  t.match(server.counters.snapshot(), {
    requests: 0,
    bytesSent: 0,
    connections: 0,
    operations: {},
    keys: {},
  });
  t.same(server.counters.gets(BUCKET, 'a'), []);
});
