/** Who may ask, and how: signatures over HTTP, presigned URLs, regions, anonymous reading; versions and tags. */
import * as S3 from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import t from 'tap';
import { SimulatedClock } from '../support/simulated-clock.js';
import { BUCKET, clientFor, failure, plainGet, sendRaw, setUp, textOf } from './harness.js';

const Bucket = BUCKET;

t.test('only who knows the secret gets in', async (t) => {
  const { server, client } = await setUp(t);
  await server.putObject(BUCKET, 'k', 'body');
  const get = new S3.GetObjectCommand({ Bucket, Key: 'k' });
  const as = (accessKeyId: string, secretAccessKey: string) =>
    failure(clientFor(t, server, { credentials: { accessKeyId, secretAccessKey } }).send(get));
  t.equal(await as('sluice', 'sluice-secret'), 'no failure');
  t.equal(await as('sluice', 'wrong'), '403 SignatureDoesNotMatch');
  t.equal(await as('unknown', 'sluice-secret'), '403 InvalidAccessKeyId');
  t.match((await sendRaw(server, plainGet(`/${BUCKET}/k`))).text, /^HTTP\/1.1 403 [^]*AccessDenied/);
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { path: string };
      request.path = request.path.replace('/k', '/other');
      return next(args);
    },
    { step: 'finalizeRequest', priority: 'low' },
  );
  t.equal(await failure(client.send(get)), '403 SignatureDoesNotMatch', 'a path changed on the way');
});

t.test('a wrong clock', async (t) => {
  const clock = new SimulatedClock({ wallTimeMs: Date.now() - 3_600_000 });
  const { client } = await setUp(t, { clock });
  // The SDK learns the server's time from the answer, but here it may try only once.
  t.equal(await failure(client.send(new S3.ListObjectsV2Command({ Bucket }))), '403 RequestTimeTooSkewed');
});

t.test('a wrong region is told, in the way clients follow', async (t) => {
  const { server } = await setUp(t, { region: 'eu-central-1' });
  const away = clientFor(t, server, { region: 'us-east-1' });
  const error = await away.send(new S3.ListObjectsV2Command({ Bucket })).then(
    () => undefined,
    (reason: unknown) => reason as S3.S3ServiceException & { Region?: string },
  );
  t.match(error, { name: 'AuthorizationHeaderMalformed', Region: 'eu-central-1' });
  t.equal(error?.$response?.headers['x-amz-bucket-region'], 'eu-central-1');
  const head = await away.send(new S3.HeadBucketCommand({ Bucket })).then(
    () => undefined,
    (reason: unknown) => reason as S3.S3ServiceException,
  );
  t.match(head?.$response, { statusCode: 400, headers: { 'x-amz-bucket-region': 'eu-central-1' } });
  const home = clientFor(t, server, { region: 'eu-central-1' });
  t.match(await home.send(new S3.HeadBucketCommand({ Bucket })), { BucketRegion: 'eu-central-1' });
  t.equal((await home.send(new S3.GetBucketLocationCommand({ Bucket }))).LocationConstraint, 'eu-central-1');
});

t.test('presigned URLs, with headers that need not be signed', async (t) => {
  const { server, client } = await setUp(t);
  await server.putObject(BUCKET, 'k ü/+', '0123456789');
  const get = await getSignedUrl(
    client,
    new S3.GetObjectCommand({ Bucket, Key: 'k ü/+', ResponseContentType: 'a/b' }),
    { expiresIn: 60 },
  );
  const answer = await fetch(get, { headers: { Range: 'bytes=2-4' } });
  t.same([answer.status, await answer.text(), answer.headers.get('content-type')], [206, '234', 'a/b']);
  t.equal((await fetch(get, { headers: { 'If-Match': '"dead"' } })).status, 412);
  t.equal((await fetch(get.replace('X-Amz-Expires=60', 'X-Amz-Expires=6000'))).status, 403);
  const put = await getSignedUrl(client, new S3.PutObjectCommand({ Bucket, Key: 'put' }), { expiresIn: 60 });
  t.equal((await fetch(put, { method: 'PUT', body: 'hello' })).status, 200);
  t.equal(await textOf(await client.send(new S3.GetObjectCommand({ Bucket, Key: 'put' }))), 'hello');
});

t.test('where anonymous reading is allowed, reading it is', async (t) => {
  const { server } = await setUp(t, { anonymousRead: true });
  await server.putObject(BUCKET, 'k', 'body');
  const status = async (path: string, init?: RequestInit) =>
    (await fetch(server.endpoint + path, init)).status;
  t.equal(await status(`/${BUCKET}/k`), 200);
  t.equal(await status(`/${BUCKET}/k`, { method: 'HEAD' }), 200);
  t.equal(await status(`/${BUCKET}?list-type=2`), 200);
  t.equal(await status(`/${BUCKET}/k`, { method: 'PUT', body: 'x' }), 403);
  t.equal(await status(`/${BUCKET}/k`, { method: 'DELETE' }), 403);
  t.equal(await status(`/${BUCKET}/k?X-Amz-Signature=x`), 400, 'but a bad signature is not anonymous');
});

t.test('versions: each can be read, hidden and removed', async (t) => {
  const { client } = await setUp(t);
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'zero' }));
  await client.send(
    new S3.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
  );
  t.equal((await client.send(new S3.GetBucketVersioningCommand({ Bucket }))).Status, 'Enabled');
  const one = await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'one' }));
  const two = await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'two' }));
  t.not(one.VersionId, two.VersionId);
  const read = (VersionId?: string) =>
    client.send(new S3.GetObjectCommand({ Bucket, Key: 'k', VersionId })).then(textOf);
  t.same([await read(), await read(one.VersionId), await read('null')], ['two', 'one', 'zero']);
  t.equal(await failure(read('unknown')), '404 NoSuchVersion');

  const deleted = await client.send(new S3.DeleteObjectCommand({ Bucket, Key: 'k' }));
  t.equal(deleted.DeleteMarker, true);
  t.equal(await failure(read()), '404 NoSuchKey');
  t.equal(await failure(read(deleted.VersionId)), '405 MethodNotAllowed');
  t.equal((await client.send(new S3.ListObjectsV2Command({ Bucket }))).KeyCount, 0);
  const listed = await client.send(new S3.ListObjectVersionsCommand({ Bucket }));
  t.same(
    listed.Versions?.map(({ VersionId, IsLatest }) => [VersionId, IsLatest]),
    [
      [two.VersionId, false],
      [one.VersionId, false],
      ['null', false],
    ],
  );
  t.match(listed.DeleteMarkers, [{ VersionId: deleted.VersionId, IsLatest: true }]);

  await client.send(new S3.DeleteObjectCommand({ Bucket, Key: 'k', VersionId: deleted.VersionId }));
  t.equal(await read(), 'two', 'without its marker the key is back');
  await client.send(new S3.DeleteObjectCommand({ Bucket, Key: 'k', VersionId: two.VersionId }));
  t.equal(await read(), 'one');
  await client.send(
    new S3.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } }),
  );
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'new null' }));
  t.same(
    [await read(), await read('null'), await read(one.VersionId)],
    ['new null', 'new null', 'one'],
    'suspended: the null version is replaced',
  );
});

t.test('versions are listed in pages', async (t) => {
  const { server, client } = await setUp(t);
  await server.setVersioning(BUCKET, 'Enabled');
  for (const key of ['a', 'b', 'dir/1', 'dir/2', 'z'])
    for (let i = 0; i < 3; i++) await server.putObject(BUCKET, key, `${i}`);
  const page = async (MaxKeys: number, Delimiter?: string) => {
    const seen: string[] = [];
    let markers: Partial<S3.ListObjectVersionsCommandInput> = {};
    for (let more = true; more;) {
      const answer = await client.send(
        new S3.ListObjectVersionsCommand({ Bucket, MaxKeys, Delimiter, ...markers }),
      );
      seen.push(
        ...(answer.Versions ?? []).map(({ Key, VersionId }) => `${Key} ${VersionId}`),
        ...(answer.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix),
      );
      markers = { KeyMarker: answer.NextKeyMarker, VersionIdMarker: answer.NextVersionIdMarker };
      more = answer.IsTruncated ?? false;
    }
    return seen;
  };
  const all = await page(1000);
  t.equal(all.length, 15);
  for (const size of [1, 2, 7]) t.same(await page(size), all);
  const rolled = await page(1, '/');
  t.same(
    rolled.filter((item) => item.startsWith('dir/')),
    ['dir/'],
  );
  t.equal(rolled.length, 10);
});

t.test('tags: set with the object, replaced, counted, removed', async (t) => {
  const { client } = await setUp(t);
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'x', Tagging: 'a=1&b=%C3%BC' }));
  const tags = async () => (await client.send(new S3.GetObjectTaggingCommand({ Bucket, Key: 'k' }))).TagSet;
  t.same(await tags(), [
    { Key: 'a', Value: '1' },
    { Key: 'b', Value: 'ü' },
  ]);
  t.equal((await client.send(new S3.GetObjectCommand({ Bucket, Key: 'k' }))).TagCount, 2);
  const put = (TagSet: S3.Tag[]) =>
    client.send(new S3.PutObjectTaggingCommand({ Bucket, Key: 'k', Tagging: { TagSet } }));
  await put([{ Key: 'c', Value: '<&>' }]);
  t.same(await tags(), [{ Key: 'c', Value: '<&>' }]);
  t.equal(
    await failure(
      put([
        { Key: 'x', Value: '' },
        { Key: 'x', Value: '' },
      ]),
    ),
    '400 InvalidTag',
  );
  t.equal(
    await failure(put(Array.from({ length: 11 }, (_, i) => ({ Key: `${i}`, Value: '' })))),
    '400 InvalidTag',
  );
  await client.send(new S3.DeleteObjectTaggingCommand({ Bucket, Key: 'k' }));
  t.same(await tags(), []);
});
