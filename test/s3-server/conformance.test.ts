/**
 * What S3 promises about objects, call by call, asked with the AWS SDK. Listings, multipart uploads and access have
 * files of their own beside this one; together they cover what the published S3 probes look at, and more.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import * as S3 from '@aws-sdk/client-s3';
import t from 'tap';
import { BUCKET, bytesOf, failure, setUp, textOf } from './harness.js';

const Bucket = BUCKET;
const body = randomBytes(300_000);
const md5 = createHash('md5').update(body).digest('hex');

t.test('buckets', async (t) => {
  const { client } = await setUp(t);
  await client.send(new S3.CreateBucketCommand({ Bucket: 'second' }));
  t.equal(
    await failure(client.send(new S3.CreateBucketCommand({ Bucket: 'second' }))),
    '409 BucketAlreadyOwnedByYou',
  );
  t.equal(
    await failure(client.send(new S3.CreateBucketCommand({ Bucket: '192.168.0.1' }))),
    '400 InvalidBucketName',
  );
  const { Buckets = [] } = await client.send(new S3.ListBucketsCommand({}));
  t.same(
    Buckets.map(({ Name }) => Name),
    [BUCKET, 'second'],
  );
  t.equal((await client.send(new S3.HeadBucketCommand({ Bucket }))).BucketRegion, 'us-east-1');
  t.equal(await failure(client.send(new S3.HeadBucketCommand({ Bucket: 'missing' }))), '404 NotFound');
  t.equal((await client.send(new S3.GetBucketLocationCommand({ Bucket }))).LocationConstraint ?? '', '');
  await client.send(new S3.PutObjectCommand({ Bucket: 'second', Key: 'k', Body: 'x' }));
  t.equal(await failure(client.send(new S3.DeleteBucketCommand({ Bucket: 'second' }))), '409 BucketNotEmpty');
  await client.send(new S3.DeleteObjectCommand({ Bucket: 'second', Key: 'k' }));
  await client.send(new S3.DeleteBucketCommand({ Bucket: 'second' }));
  t.equal(await failure(client.send(new S3.ListObjectsV2Command({ Bucket: 'second' }))), '404 NoSuchBucket');
});

t.test('a PUT is read back with all that was said about it', async (t) => {
  const { client } = await setUp(t);
  const said = {
    ContentType: 'text/x-foo',
    CacheControl: 'no-cache',
    ContentDisposition: 'inline',
    ContentEncoding: 'gzip',
    ContentLanguage: 'de',
    Metadata: { mode: '33188', mixed: 'x y' },
    StorageClass: 'STANDARD_IA',
  } as const;
  const put = await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: body, ...said }));
  t.equal(put.ETag, `"${md5}"`);
  const got = await client.send(new S3.GetObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
  t.match(got, {
    ...said,
    ETag: put.ETag,
    ContentLength: body.length,
    AcceptRanges: 'bytes',
    ChecksumCRC32: put.ChecksumCRC32,
  });
  t.ok((await bytesOf(got)).equals(body));
  const head = await client.send(new S3.HeadObjectCommand({ Bucket, Key: 'k' }));
  t.match(head, { ...said, ETag: put.ETag, ContentLength: body.length, LastModified: got.LastModified });
  t.equal(await failure(client.send(new S3.GetObjectCommand({ Bucket, Key: 'nope' }))), '404 NoSuchKey');
  t.equal(await failure(client.send(new S3.HeadObjectCommand({ Bucket, Key: 'nope' }))), '404 NotFound');
});

t.test('streams arrive without their framing, and small and empty bodies too', async (t) => {
  const { client } = await setUp(t);
  const pieces = [body.subarray(0, 100_000), body.subarray(100_000)];
  await client.send(
    new S3.PutObjectCommand({
      Bucket,
      Key: 'stream',
      Body: Readable.from(pieces),
      ContentLength: body.length,
    }),
  );
  const stream = await client.send(new S3.GetObjectCommand({ Bucket, Key: 'stream' }));
  t.equal(stream.ContentEncoding, undefined);
  t.ok((await bytesOf(stream)).equals(body));
  for (const size of [0, 1, 1024, 1025]) {
    const Body = body.subarray(0, size);
    await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body }));
    const got = await client.send(new S3.GetObjectCommand({ Bucket, Key: 'k' }));
    t.equal(got.ETag, `"${createHash('md5').update(Body).digest('hex')}"`);
    t.ok((await bytesOf(got)).equals(Body), `${size} bytes`);
  }
});

t.test('every checksum is computed, returned, and a wrong one refused', async (t) => {
  const { client } = await setUp(t);
  for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
    const field = `Checksum${algorithm}` as const;
    const put = await client.send(
      new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'hello', ChecksumAlgorithm: algorithm }),
    );
    t.ok(put[field], algorithm);
    const head = await client.send(new S3.HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
    t.same([head[field], head.ChecksumType], [put[field], 'FULL_OBJECT']);
    const wrong = new S3.PutObjectCommand({ Bucket, Key: 'bad', Body: 'other', [field]: put[field] });
    t.equal(await failure(client.send(wrong)), '400 BadDigest');
  }
  const wrongMd5 = new S3.PutObjectCommand({
    Bucket,
    Key: 'bad',
    Body: 'x',
    ContentMD5: '1B2M2Y8AsgTpgAmY7PhCfg==',
  });
  t.equal(await failure(client.send(wrongMd5)), '400 BadDigest');
  t.equal(
    await failure(client.send(new S3.HeadObjectCommand({ Bucket, Key: 'bad' }))),
    '404 NotFound',
    'nothing was stored',
  );
  const ranged = await client.send(
    new S3.GetObjectCommand({ Bucket, Key: 'k', Range: 'bytes=0-1', ChecksumMode: 'ENABLED' }),
  );
  t.equal(ranged.ChecksumSHA256, undefined, 'a range does not claim the checksum of the whole');
});

t.test('a body that is longer than announced is refused, and the client reads why', async (t) => {
  const { client } = await setUp(t);
  const endless = Readable.from(Array.from({ length: 40 }, () => Buffer.alloc(65_536)));
  const put = new S3.PutObjectCommand({ Bucket, Key: 'k', Body: endless, ContentLength: 100_000 });
  t.equal(await failure(client.send(put)), '400 IncompleteBody');
  t.equal(await failure(client.send(new S3.HeadObjectCommand({ Bucket, Key: 'k' }))), '404 NotFound');
});

t.test('ranges', async (t) => {
  const { client } = await setUp(t);
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: body }));
  const size = body.length;
  const read = async (Range: string) => {
    const got = await client.send(new S3.GetObjectCommand({ Bucket, Key: 'k', Range }));
    return { status: got.$metadata.httpStatusCode, range: got.ContentRange, bytes: await bytesOf(got) };
  };
  const expectRange = async (header: string, start: number, end: number) => {
    const { status, range, bytes } = await read(header);
    t.same([status, range], [206, `bytes ${start}-${end - 1}/${size}`], header);
    t.ok(bytes.equals(body.subarray(start, end)));
  };
  await expectRange('bytes=1000-1999', 1000, 2000);
  await expectRange(`bytes=${size - 10}-`, size - 10, size);
  await expectRange('bytes=-7', size - 7, size);
  await expectRange(`bytes=${size - 10}-9999999`, size - 10, size);
  t.equal((await read('bytes=5-2')).status, 200, 'a malformed range is ignored');
  t.equal(await failure(read(`bytes=${size}-`)), '416 InvalidRange');
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: '' }));
  t.equal(await failure(read('bytes=0-9')), '416 InvalidRange', 'of an empty object');
});

t.test('conditional reads', async (t) => {
  const { client } = await setUp(t);
  const { ETag } = await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  const get = (conditions: Partial<S3.GetObjectCommandInput>) =>
    failure(client.send(new S3.GetObjectCommand({ Bucket, Key: 'k', ...conditions })));
  t.equal(await get({ IfMatch: ETag }), 'no failure');
  t.equal(await get({ IfMatch: '"dead"', Range: 'bytes=0-0' }), '412 PreconditionFailed');
  t.match(await get({ IfNoneMatch: ETag }), /^304/);
  t.match(await get({ IfModifiedSince: new Date(Date.now() + 5000) }), /^304/);
  t.equal(await get({ IfUnmodifiedSince: new Date(0) }), '412 PreconditionFailed');
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'y' }));
  t.equal(await get({ IfMatch: ETag }), '412 PreconditionFailed', 'after an overwrite');
});

t.test('conditional writes and deletes; of racing creators one wins', async (t) => {
  const { client } = await setUp(t);
  const put = (Key: string, Body: string | Buffer, conditions: Partial<S3.PutObjectCommandInput>) =>
    failure(client.send(new S3.PutObjectCommand({ Bucket, Key, Body, ...conditions })));
  t.equal(await put('new', '1', { IfNoneMatch: '*' }), 'no failure');
  t.equal(await put('new', '2', { IfNoneMatch: '*' }), '412 PreconditionFailed');
  const racers = await Promise.all(
    Array.from({ length: 8 }, () => put('race', randomBytes(50_000), { IfNoneMatch: '*' })),
  );
  t.equal(racers.filter((outcome) => outcome === 'no failure').length, 1);
  const { ETag } = await client.send(new S3.HeadObjectCommand({ Bucket, Key: 'new' }));
  t.equal(await put('new', '3', { IfMatch: ETag }), 'no failure');
  t.equal(await put('new', '4', { IfMatch: ETag }), '412 PreconditionFailed');
  t.equal(await put('absent', '4', { IfMatch: ETag }), '404 NoSuchKey');
  const remove = (IfMatch: string) =>
    failure(client.send(new S3.DeleteObjectCommand({ Bucket, Key: 'new', IfMatch })));
  t.equal(await remove('"beef"'), '412 PreconditionFailed');
  t.equal(await remove(`"${createHash('md5').update('3').digest('hex')}"`), 'no failure');
});

t.test('deleting: one that is missing, and many at once with odd names', async (t) => {
  const { client, server } = await setUp(t);
  const missing = await client.send(new S3.DeleteObjectCommand({ Bucket, Key: 'never' }));
  t.equal(missing.$metadata.httpStatusCode, 204);
  const keys = ['1', 'ü &<>"\'', ' spaces ', 'nl\n\r\ttab', '\u0001', '007', 'none'];
  for (const key of keys.slice(0, -1)) await server.putObject(BUCKET, key, 'x');
  const Objects = keys.map((Key) => ({ Key }));
  const { Deleted = [], Errors = [] } = await client.send(
    new S3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }),
  );
  t.same([Deleted.map(({ Key }) => Key), Errors], [keys, []]);
  t.equal((await client.send(new S3.ListObjectsV2Command({ Bucket }))).KeyCount, 0);
  await server.putObject(BUCKET, 'k', 'x');
  const stale = { Objects: [{ Key: 'k', ETag: '"dead"' }], Quiet: true };
  const refused = await client.send(new S3.DeleteObjectsCommand({ Bucket, Delete: stale }));
  t.match(refused, { Errors: [{ Key: 'k', Code: 'PreconditionFailed' }] });
});

const HOSTILE_KEYS = [
  'sp ace', 'plus+plus', 'pct%20enc', 'pct%', 'amp&eq=?#h', 'quote\'"', 'uni/é-漢字', 'emoji/😀', 'dbl//slash', '/lead', 'trail/', '/',
  'dot/./x', 'dotdot/../x', '..', '.', 'a\\b', "star*|<>:;,@!$^()[]{}~`'", 'nl\nx', 'cr\rx', 'tab\tx', '\u0001ctl', 'nul\0x', '\u007f\u0085\u2028', 'nfd-e\u0301',
  '\uffff', 'x'.repeat(1024), `long/${`${'y'.repeat(250)}/`.repeat(4)}`, 'ü'.repeat(512), '__proto__', ' lead', 'trail ',
]; // prettier-ignore

t.test('keys are any characters: put, get, head, list in both encodings, copy, delete', async (t) => {
  const { client } = await setUp(t);
  for (const Key of HOSTILE_KEYS) {
    const name = encodeURIComponent(Key).slice(0, 40);
    await client.send(new S3.PutObjectCommand({ Bucket, Key, Body: `body of ${Key}` }));
    t.equal(
      await textOf(await client.send(new S3.GetObjectCommand({ Bucket, Key }))),
      `body of ${Key}`,
      name,
    );
    const url = await client.send(new S3.ListObjectsV2Command({ Bucket, Prefix: Key, EncodingType: 'url' }));
    t.same(
      url.Contents?.map((entry) => decodeURIComponent(entry.Key ?? '')),
      [Key],
    );
    const plain = await client.send(new S3.ListObjectsV2Command({ Bucket, Prefix: Key }));
    t.same(
      plain.Contents?.map((entry) => entry.Key),
      [Key],
    );
    const CopySource = [Bucket, ...Key.split('/')].map(encodeURIComponent).join('/');
    await client.send(new S3.CopyObjectCommand({ Bucket, Key: 'other/copy', CopySource }));
    t.equal(
      await textOf(await client.send(new S3.GetObjectCommand({ Bucket, Key: 'other/copy' }))),
      `body of ${Key}`,
    );
    await client.send(new S3.DeleteObjectCommand({ Bucket, Key: 'other/copy' }));
    await client.send(new S3.DeleteObjectCommand({ Bucket, Key }));
    t.equal(await failure(client.send(new S3.HeadObjectCommand({ Bucket, Key }))), '404 NotFound');
  }
  t.match(
    await failure(client.send(new S3.PutObjectCommand({ Bucket, Key: 'x'.repeat(1025), Body: '' }))),
    '400 KeyTooLong',
  );
});

t.test('a key, the same as a directory, and a key below it are three objects', async (t) => {
  const { client } = await setUp(t);
  for (const Key of ['x', 'x/', 'x/y'])
    await client.send(new S3.PutObjectCommand({ Bucket, Key, Body: Key }));
  const { Contents = [] } = await client.send(new S3.ListObjectsV2Command({ Bucket }));
  t.same(
    Contents.map(({ Key }) => Key),
    ['x', 'x/', 'x/y'],
  );
  t.equal(await textOf(await client.send(new S3.GetObjectCommand({ Bucket, Key: 'x/' }))), 'x/');
});

t.test('copies', async (t) => {
  const { client, server } = await setUp(t);
  const CopySource = `${Bucket}/k`;
  const { ETag } = await client.send(
    new S3.PutObjectCommand({ Bucket, Key: 'k', Body: body, Metadata: { a: '1' } }),
  );
  const copy = (input: Partial<S3.CopyObjectCommandInput>) =>
    client.send(new S3.CopyObjectCommand({ Bucket, Key: 'copy', CopySource, ...input }));
  t.match(await copy({}), { CopyObjectResult: { ETag } });
  await client.send(new S3.DeleteObjectCommand({ Bucket, Key: 'k' }));
  const kept = await client.send(new S3.GetObjectCommand({ Bucket, Key: 'copy' }));
  t.same(kept.Metadata, { a: '1' });
  t.ok((await bytesOf(kept)).equals(body), 'a copy outlives its source');
  const itself = { CopySource: `${Bucket}/copy` };
  t.equal(await failure(copy(itself)), '400 InvalidRequest', 'onto itself, changing nothing');
  await copy({ ...itself, MetadataDirective: 'REPLACE', Metadata: { b: '2' } });
  t.same((await client.send(new S3.HeadObjectCommand({ Bucket, Key: 'copy' }))).Metadata, { b: '2' });
  t.equal(await failure(copy({ CopySource: `${Bucket}/missing` })), '404 NoSuchKey');
  t.equal(await failure(copy({ ...itself, CopySourceIfMatch: '"dead"' })), '412 PreconditionFailed');
  t.equal(await failure(copy({ CopySource: 'nothing' })), '400 InvalidArgument');
  await server.putSynthetic(BUCKET, 'huge', { size: 5 * 1024 ** 3 + 1, seed: 1 });
  t.equal(await failure(copy({ CopySource: `${Bucket}/huge` })), '400 InvalidRequest', 'over 5 GiB');
});

t.test('an archived object is there but cannot be read', async (t) => {
  const { client } = await setUp(t);
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'x', StorageClass: 'GLACIER' }));
  t.equal((await client.send(new S3.HeadObjectCommand({ Bucket, Key: 'k' }))).StorageClass, 'GLACIER');
  t.equal(
    await failure(client.send(new S3.GetObjectCommand({ Bucket, Key: 'k' }))),
    '403 InvalidObjectState',
  );
});
