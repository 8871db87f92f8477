/** Multipart uploads: parts, checksums, completion and what it refuses, copies of parts, listings of uploads. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import * as S3 from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { startChecksum } from '../../src/s3-server/checksums.js';
import { BUCKET, bytesOf, failure, setUp } from './harness.js';

const Bucket = BUCKET;
const PART = 5 * 1024 * 1024;
const big = randomBytes(2 * PART + 12_345);

async function setUpUpload(t: Test, input: Partial<S3.CreateMultipartUploadCommandInput> = {}) {
  const { client, server } = await setUp(t);
  const { UploadId } = await client.send(
    new S3.CreateMultipartUploadCommand({ Bucket, Key: 'mp', ...input }),
  );
  const target = { Bucket, Key: 'mp', UploadId };
  /** Uploads a part and returns its line for the completion. */
  const upload = async (
    PartNumber: number,
    Body: Buffer,
    more: Partial<S3.UploadPartCommandInput> = {},
  ): Promise<S3.CompletedPart> => {
    const { $metadata: _, ...part } = await client.send(
      new S3.UploadPartCommand({ ...target, PartNumber, Body, ...more }),
    );
    return { ...part, PartNumber };
  };
  const complete = (Parts: S3.CompletedPart[], more: Partial<S3.CompleteMultipartUploadCommandInput> = {}) =>
    client.send(new S3.CompleteMultipartUploadCommand({ ...target, MultipartUpload: { Parts }, ...more }));
  return { client, server, target, upload, complete };
}

t.test('three parts become one object, readable as a whole, by range and by part', async (t) => {
  const { client, target, upload, complete } = await setUpUpload(t, {
    Metadata: { a: 'b' },
    ContentType: 'x/y',
  });
  const parts = [];
  for (let i = 0; i < 3; i++) parts.push(await upload(i + 1, big.subarray(i * PART, (i + 1) * PART)));
  const listed = await client.send(new S3.ListPartsCommand({ ...target, MaxParts: 2 }));
  t.same(
    listed.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size]),
    [
      [1, PART],
      [2, PART],
    ],
  );
  t.equal(listed.IsTruncated, true);
  const rest = await client.send(
    new S3.ListPartsCommand({ ...target, PartNumberMarker: listed.NextPartNumberMarker }),
  );
  t.same(
    rest.Parts?.map(({ PartNumber }) => PartNumber),
    [3],
  );
  const { Uploads } = await client.send(new S3.ListMultipartUploadsCommand({ Bucket }));
  t.match(Uploads, [{ Key: 'mp', UploadId: target.UploadId }]);
  t.equal(
    await failure(client.send(new S3.GetObjectCommand({ Bucket, Key: 'mp' }))),
    '404 NoSuchKey',
    'not before it is complete',
  );

  const { ETag } = await complete(parts);
  t.match(ETag, /^"[0-9a-f]{32}-3"$/);
  const whole = await client.send(new S3.GetObjectCommand({ Bucket, Key: 'mp' }));
  t.match(whole, { ETag, ContentType: 'x/y', Metadata: { a: 'b' }, ContentLength: big.length });
  t.ok((await bytesOf(whole)).equals(big));
  const across = await client.send(
    new S3.GetObjectCommand({ Bucket, Key: 'mp', Range: `bytes=${PART - 5}-${2 * PART + 5}` }),
  );
  t.ok((await bytesOf(across)).equals(big.subarray(PART - 5, 2 * PART + 6)));
  const second = await client.send(new S3.GetObjectCommand({ Bucket, Key: 'mp', PartNumber: 2 }));
  t.match(second, { PartsCount: 3, ContentRange: `bytes ${PART}-${2 * PART - 1}/${big.length}` });
  t.ok((await bytesOf(second)).equals(big.subarray(PART, 2 * PART)));
  t.match(await client.send(new S3.HeadObjectCommand({ Bucket, Key: 'mp', PartNumber: 3 })), {
    ContentLength: 12_345,
    PartsCount: 3,
  });
  t.match(await failure(client.send(new S3.GetObjectCommand({ Bucket, Key: 'mp', PartNumber: 4 }))), /^416/);
  const attributes = new S3.GetObjectAttributesCommand({
    Bucket,
    Key: 'mp',
    ObjectAttributes: ['ETag', 'ObjectParts', 'ObjectSize'],
  });
  t.match(await client.send(attributes), { ObjectSize: big.length, ObjectParts: { TotalPartsCount: 3 } });
  t.match(await client.send(new S3.ListMultipartUploadsCommand({ Bucket })), { Uploads: undefined });
  t.equal(await failure(complete(parts)), '404 NoSuchUpload', 'complete is final');
});

t.test('the checksum of the whole: composite, or combined from the CRCs of the parts', async (t) => {
  const whole = startChecksum('CRC64NVME');
  whole.update(big);
  const crc = await whole.digest();
  const { client, upload, complete } = await setUpUpload(t, {
    ChecksumAlgorithm: 'CRC64NVME',
    ChecksumType: 'FULL_OBJECT',
  });
  const options = { ChecksumAlgorithm: 'CRC64NVME' } as const;
  const parts = [
    await upload(1, big.subarray(0, 2 * PART), options),
    await upload(2, big.subarray(2 * PART), options),
  ];
  t.equal(await failure(complete(parts, { ChecksumCRC64NVME: 'AAAAAAAAAAA=' })), '400 BadDigest');
  const [first = {}, second = {}] = parts;
  t.equal(
    await failure(complete([{ ...first, ChecksumCRC64NVME: 'AAAAAAAAAAA=' }, second])),
    '400 InvalidPart',
  );
  t.match(await complete(parts, { ChecksumCRC64NVME: crc }), {
    ChecksumCRC64NVME: crc,
    ChecksumType: 'FULL_OBJECT',
  });
  const head = await client.send(new S3.HeadObjectCommand({ Bucket, Key: 'mp', ChecksumMode: 'ENABLED' }));
  t.match(head, { ChecksumCRC64NVME: crc, ChecksumType: 'FULL_OBJECT' });

  const composite = await setUpUpload(t, { ChecksumAlgorithm: 'SHA256' });
  const part = await composite.upload(1, Buffer.from('x'), { ChecksumAlgorithm: 'SHA256' });
  t.match(await composite.complete([part]), { ChecksumSHA256: /-1$/, ChecksumType: 'COMPOSITE' });
  const other = composite.client.send(
    new S3.CreateMultipartUploadCommand({
      Bucket,
      Key: 'x',
      ChecksumAlgorithm: 'SHA1',
      ChecksumType: 'FULL_OBJECT',
    }),
  );
  t.equal(await failure(other), '400 InvalidRequest');
});

t.test('what a completion refuses', async (t) => {
  const { client, target, upload, complete } = await setUpUpload(t);
  const small = await upload(1, Buffer.from('small'));
  const last = await upload(2, Buffer.from('last'));
  t.equal(await failure(complete([small, last])), '400 EntityTooSmall');
  t.equal(await failure(complete([last, small])), '400 InvalidPartOrder');
  t.equal(await failure(complete([{ ...small, ETag: '"dead"' }])), '400 InvalidPart');
  t.equal(await failure(complete([{ ...small, PartNumber: 9 }])), '400 InvalidPart');
  t.equal(await failure(complete([])), '400 MalformedXML');
  t.equal(await failure(complete([small], { MpuObjectSize: 99 })), '400 InvalidRequest');
  t.equal(await failure(complete([small], { UploadId: 'unknown' })), '404 NoSuchUpload');
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'mp', Body: 'here first' }));
  t.equal(await failure(complete([small], { IfNoneMatch: '*' })), '412 PreconditionFailed');
  t.equal(await failure(complete([small], { IfMatch: '"dead"' })), '412 PreconditionFailed');
  t.match(await complete([small], { MpuObjectSize: 5 }), { ETag: /-1"$/ }, 'and the upload is still there');
  t.equal(
    await failure(client.send(new S3.UploadPartCommand({ ...target, PartNumber: 1, Body: 'x' }))),
    '404 NoSuchUpload',
  );
});

t.test('a part may be sent again, as a stream, or out of range', async (t) => {
  const { client, target, upload, complete } = await setUpUpload(t);
  await upload(1, Buffer.from('first try'));
  const Body = Readable.from([Buffer.from('second '), Buffer.from('try')]);
  const { ETag } = await client.send(
    new S3.UploadPartCommand({ ...target, PartNumber: 1, Body, ContentLength: 10 }),
  );
  await complete([{ PartNumber: 1, ETag }]);
  t.equal(
    (await bytesOf(await client.send(new S3.GetObjectCommand({ Bucket, Key: 'mp' })))).toString(),
    'second try',
  );
  for (const PartNumber of [0, 10_001])
    t.equal(
      await failure(client.send(new S3.UploadPartCommand({ ...target, PartNumber, Body: 'x' }))),
      '400 InvalidArgument',
    );
});

t.test('an aborted upload is gone, with its files', async (t) => {
  const { client, target, upload } = await setUpUpload(t);
  await upload(1, Buffer.alloc(100_000));
  await client.send(new S3.AbortMultipartUploadCommand(target));
  t.equal(await failure(client.send(new S3.ListPartsCommand(target))), '404 NoSuchUpload');
  t.equal(await failure(client.send(new S3.AbortMultipartUploadCommand(target))), '404 NoSuchUpload');
  t.match(await client.send(new S3.ListMultipartUploadsCommand({ Bucket })), { Uploads: undefined });
});

t.test('parts can be copied from objects, by range', async (t) => {
  const { client, server, target, upload, complete } = await setUpUpload(t);
  await server.putObject(BUCKET, 'source', big);
  const copy = (CopySourceRange: string, more: Partial<S3.UploadPartCopyCommandInput> = {}) =>
    client.send(
      new S3.UploadPartCopyCommand({
        ...target,
        PartNumber: 1,
        CopySource: `${Bucket}/source`,
        CopySourceRange,
        ...more,
      }),
    );
  t.equal(await failure(copy(`bytes=0-${big.length}`)), '400 InvalidArgument', 'beyond the end');
  t.equal(await failure(copy('bytes=0-10', { CopySourceIfMatch: '"dead"' })), '412 PreconditionFailed');
  const { CopyPartResult } = await copy('bytes=100-6000099');
  const tail = await upload(2, Buffer.from('tail'));
  await complete([{ PartNumber: 1, ETag: CopyPartResult?.ETag }, tail]);
  await server.deleteObject(BUCKET, 'source');
  const got = await bytesOf(await client.send(new S3.GetObjectCommand({ Bucket, Key: 'mp' })));
  t.ok(got.equals(Buffer.concat([big.subarray(100, 6_000_100), Buffer.from('tail')])));
});

t.test('errors that come in a 200', async (t) => {
  const { server, client, upload, complete } = await setUpUpload(t);
  const part = await upload(1, Buffer.from('x'));
  server.faults.add({ operation: '*', fault: { kind: 'error-in-200' } });
  t.match(await failure(complete([part])), 'InternalError');
  const copied = client.send(new S3.CopyObjectCommand({ Bucket, Key: 'c', CopySource: `${Bucket}/mp` }));
  t.match(await failure(copied), 'InternalError');
  server.faults.clear();
  t.equal(
    await failure(client.send(new S3.HeadObjectCommand({ Bucket, Key: 'mp' }))),
    '404 NotFound',
    'nothing was done',
  );
  await complete([part]);
});

t.test('uploads under way are listed by key, in pages and by prefix', async (t) => {
  const { client, target } = await setUpUpload(t);
  for (const Key of ['a/1', 'a/2', 'b'])
    await client.send(new S3.CreateMultipartUploadCommand({ Bucket, Key }));
  const list = (input: Partial<S3.ListMultipartUploadsCommandInput>) =>
    client.send(new S3.ListMultipartUploadsCommand({ Bucket, ...input }));
  const first = await list({ MaxUploads: 2 });
  t.same([first.Uploads?.map(({ Key }) => Key), first.IsTruncated], [['a/1', 'a/2'], true]);
  const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = first;
  const second = await list({ KeyMarker, UploadIdMarker });
  t.same(
    second.Uploads?.map(({ Key }) => Key),
    ['b', target.Key],
  );
  const rolled = await list({ Delimiter: '/' });
  t.same(
    [rolled.Uploads?.map(({ Key }) => Key), rolled.CommonPrefixes?.map(({ Prefix }) => Prefix)],
    [['b', target.Key], ['a/']],
  );
});
