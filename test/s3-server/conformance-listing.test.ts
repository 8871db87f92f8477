/** Listings: both versions, paging, order, and that large buckets stay quick by construction (see listing.test.ts). */
import * as S3 from '@aws-sdk/client-s3';
import t from 'tap';
import { BUCKET, failure, setUp } from './harness.js';

const Bucket = BUCKET;

const items = (page: S3.ListObjectsV2CommandOutput | S3.ListObjectsCommandOutput) => [
  ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
  ...(page.Contents ?? []).map(({ Key }) => Key),
];

async function setUpTree(t: Parameters<typeof setUp>[0]) {
  const { client, server } = await setUp(t);
  const files = Array.from({ length: 25 }, (_, i) => `ls/d${i % 5}/f${String(i).padStart(3, '0')}`);
  await server.putMany(BUCKET, [...files, 'ls/top1', 'ls/top2']);
  const list = (input: Partial<S3.ListObjectsV2CommandInput>) =>
    client.send(new S3.ListObjectsV2Command({ Bucket, ...input }));
  return { client, server, list };
}

const TOP = ['ls/d0/', 'ls/d1/', 'ls/d2/', 'ls/d3/', 'ls/d4/', 'ls/top1', 'ls/top2'];

t.test('prefix and delimiter', async (t) => {
  const { list } = await setUpTree(t);
  const page = await list({ Prefix: 'ls/', Delimiter: '/' });
  t.same(items(page), TOP);
  t.match(page, {
    KeyCount: 7,
    MaxKeys: 1000,
    IsTruncated: false,
    Name: BUCKET,
    Prefix: 'ls/',
    Delimiter: '/',
  });
  t.same(items(await list({ Prefix: 'ls/d1/f00' })), ['ls/d1/f001', 'ls/d1/f006']);
  t.same(items(await list({ Prefix: 'nothing' })), []);
});

t.test('pages', async (t) => {
  const { list, client } = await setUpTree(t);
  const seen = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await list({ Prefix: 'ls/', Delimiter: '/', MaxKeys: 2, ContinuationToken });
    t.ok(items(page).length <= 2);
    t.equal(page.ContinuationToken, ContinuationToken);
    seen.push(...items(page));
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  t.same(seen, TOP);
  t.match(
    await list({ MaxKeys: 0 }),
    { KeyCount: 0, IsTruncated: false },
    'mountpoint-s3 asks so at its start',
  );

  const old = [];
  let Marker: string | undefined;
  do {
    const page = await client.send(
      new S3.ListObjectsCommand({ Bucket, Prefix: 'ls/', Delimiter: '/', MaxKeys: 3, Marker }),
    );
    old.push(...items(page));
    Marker = page.NextMarker;
  } while (Marker !== undefined);
  t.same(old, TOP, 'version 1');
});

t.test('start-after', async (t) => {
  const { list } = await setUpTree(t);
  t.same(items(await list({ Prefix: 'ls/', StartAfter: 'ls/d4/f024' })), ['ls/top1', 'ls/top2']);
  t.same(
    items(await list({ Prefix: 'ls/', Delimiter: '/', StartAfter: 'ls/d3/f003' })),
    TOP.slice(4),
    'a common prefix it lies in is past',
  );
  t.same(items(await list({ StartAfter: 'zzz' })), []);
});

t.test('a thousand keys to a page, whatever is asked for', async (t) => {
  const { list, server } = await setUpTree(t);
  await server.putMany(
    BUCKET,
    Array.from({ length: 1200 }, (_, i) => `many/${String(i).padStart(5, '0')}`),
  );
  const first = await list({ Prefix: 'many/', MaxKeys: 5000 });
  t.match(first, { KeyCount: 1000, IsTruncated: true, MaxKeys: 1000 });
  t.match(await list({ Prefix: 'many/', ContinuationToken: first.NextContinuationToken }), {
    KeyCount: 200,
    IsTruncated: false,
  });
});

t.test('100,000 keys are inserted in bulk and listed completely, in order', async (t) => {
  const { server, list } = await setUpTree(t);
  const keys = Array.from(
    { length: 100_000 },
    (_, i) => `bulk/${String((i * 7919) % 100_000).padStart(6, '0')}`,
  );
  t.equal(await server.putMany(BUCKET, keys), 100_000);
  let count = 0;
  let last = '';
  let ContinuationToken: string | undefined;
  do {
    const page = await list({ Prefix: 'bulk/', ContinuationToken });
    for (const { Key = '' } of page.Contents ?? []) {
      if (Key <= last) t.fail(`${Key} after ${last}`);
      last = Key;
      count++;
    }
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  t.equal(count, 100_000);
  t.same(items(await list({ Delimiter: '/' })), ['bulk/', 'ls/']);
});

t.test('keys come in the order of their UTF-8 bytes', async (t) => {
  const { list, server } = await setUpTree(t);
  const keys = ['o/\uff5e', 'o/\u{1f600}', 'o/a', 'o/B', 'o/a-b', 'o/a/b', 'o/a.b'];
  await server.putMany(BUCKET, keys);
  const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  t.same(items(await list({ Prefix: 'o/' })), sorted);
});

t.test('entries say size, ETag, time and class', async (t) => {
  const { client, server, list } = await setUpTree(t);
  const { etag } = await server.putObject(BUCKET, 'k', 'body', {
    lastModifiedMs: Date.UTC(2020, 1, 2, 3, 4, 5, 678),
    storageClass: 'GLACIER_IR',
  });
  const { Contents } = await list({ Prefix: 'k', FetchOwner: true });
  const LastModified = new Date(Date.UTC(2020, 1, 2, 3, 4, 5));
  t.match(Contents, [
    {
      Key: 'k',
      Size: 4,
      ETag: `"${etag}"`,
      StorageClass: 'GLACIER_IR',
      LastModified,
      Owner: { ID: 'sluice' },
    },
  ]);
  t.same((await client.send(new S3.HeadObjectCommand({ Bucket, Key: 'k' }))).LastModified, LastModified);
  t.equal(await failure(client.send(new S3.ListObjectsV2Command({ Bucket: 'missing' }))), '404 NoSuchBucket');
});
