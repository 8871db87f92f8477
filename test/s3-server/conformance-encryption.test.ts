/** SSE-C as S3 has it: what was written with a key is read with the same key only. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as S3 from '@aws-sdk/client-s3';
import t from 'tap';
import { startS3Server } from '../../src/s3-server/server.js';
import { useFolder } from '../support/s3-fixture.js';
import { BUCKET, bytesOf, clientFor, failure, setUp, textOf } from './harness.js';

const Bucket = BUCKET;
const MIB = 1024 ** 2;

const keyOf = (letter: string) => Buffer.from(letter.repeat(32));
const md5Of = (key: Buffer) => createHash('md5').update(key).digest('base64');
const withKey = (key: Buffer) => ({ SSECustomerAlgorithm: 'AES256', SSECustomerKey: key.toString('base64') });
const MINE = withKey(keyOf('m'));
const OTHER = withKey(keyOf('o'));
const OF_SOURCE = {
  CopySourceSSECustomerAlgorithm: 'AES256',
  CopySourceSSECustomerKey: MINE.SSECustomerKey,
};

t.test('an object is read with the key that it was written with', async (t) => {
  const { client } = await setUp(t);
  const put = await client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'secret', ...MINE }));
  const told = { SSECustomerAlgorithm: 'AES256', SSECustomerKeyMD5: md5Of(keyOf('m')) };
  t.match(put, told);
  const get = (more: object) => client.send(new S3.GetObjectCommand({ Bucket, Key: 'k', ...more }));
  const head = (more: object) => client.send(new S3.HeadObjectCommand({ Bucket, Key: 'k', ...more }));
  t.match(await head(MINE), { ...told, ContentLength: 6 });
  t.equal(await textOf(await get(MINE)), 'secret');
  t.equal(await textOf(await get({ ...MINE, Range: 'bytes=1-2' })), 'ec');
  t.equal(await failure(get({})), '400 InvalidRequest');
  t.match(await failure(head({})), /^400/);
  t.equal(await failure(get(OTHER)), '403 AccessDenied');
  t.match(await failure(head(OTHER)), /^403/);
  const attributes = { Bucket, Key: 'k', ObjectAttributes: ['ETag'] as S3.ObjectAttributes[] };
  t.equal(await failure(client.send(new S3.GetObjectAttributesCommand(attributes))), '400 InvalidRequest');
  t.match(
    await client.send(new S3.ListObjectsV2Command({ Bucket })),
    { KeyCount: 1 },
    'listed without a key',
  );
});

t.test('a key for what is not encrypted with one is refused', async (t) => {
  const { server, client } = await setUp(t);
  await server.putObject(BUCKET, 'k', 'plain');
  const get = (more: object) => client.send(new S3.GetObjectCommand({ Bucket, Key: 'k', ...more }));
  t.equal(await failure(get(MINE)), '400 InvalidRequest');
  t.equal(await textOf(await get({})), 'plain');
});

t.test('incomplete and wrong parameters are refused', async (t) => {
  const { client } = await setUp(t);
  const put = (parameters: object) =>
    failure(client.send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ...parameters })));
  const md5 = { SSECustomerKeyMD5: md5Of(keyOf('m')) };
  t.equal(await put({ SSECustomerKey: MINE.SSECustomerKey }), '400 InvalidArgument', 'no algorithm');
  t.equal(await put({ ...MINE, SSECustomerAlgorithm: 'AES128' }), '400 InvalidArgument');
  t.equal(await put({ SSECustomerAlgorithm: 'AES256' }), '400 InvalidArgument', 'no key');
  t.equal(await put({ SSECustomerAlgorithm: 'AES256', ...md5 }), '400 InvalidArgument', 'the MD5 alone');
  t.equal(await put(withKey(Buffer.from('short'))), '400 InvalidArgument');
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      headers['x-amz-server-side-encryption-customer-key-md5'] = md5Of(keyOf('o'));
      return next(args);
    },
    { step: 'build' },
  );
  t.equal(await put(MINE), '400 InvalidArgument', 'the MD5 of another key');
  t.match(await client.send(new S3.ListObjectsV2Command({ Bucket })), { KeyCount: 0 });
});

t.test('a multipart upload has one key for all of its parts', async (t) => {
  const { client } = await setUp(t);
  const target = { Bucket, Key: 'parts' };
  const { UploadId } = await client.send(new S3.CreateMultipartUploadCommand({ ...target, ...MINE }));
  const upload = { ...target, UploadId };
  const part = (more: object) =>
    client.send(new S3.UploadPartCommand({ ...upload, PartNumber: 1, Body: 'part', ...more }));
  t.equal(await failure(part({})), '400 InvalidRequest');
  t.equal(await failure(part(OTHER)), '400 InvalidRequest');
  const { ETag } = await part(MINE);
  const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
  await client.send(new S3.CompleteMultipartUploadCommand({ ...upload, MultipartUpload }));
  t.equal(await failure(client.send(new S3.GetObjectCommand(target))), '400 InvalidRequest');
  t.equal(await textOf(await client.send(new S3.GetObjectCommand({ ...target, ...MINE }))), 'part');
});

t.test('a copy takes the key of its source, and has its own or none', async (t) => {
  const { client } = await setUp(t);
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'source', Body: 'secret', ...MINE }));
  const CopySource = `${BUCKET}/source`;
  const copy = (Key: string, more: object) =>
    client.send(new S3.CopyObjectCommand({ Bucket, CopySource, Key, ...more }));
  const get = async (Key: string, more: object) =>
    textOf(await client.send(new S3.GetObjectCommand({ Bucket, Key, ...more })));
  t.equal(await failure(copy('no', {})), '400 InvalidRequest');
  t.equal(await failure(copy('no', MINE)), '400 InvalidRequest', 'the key of the target is not the source’s');
  await copy('plain', OF_SOURCE);
  t.equal(await get('plain', {}), 'secret');
  await copy('other', { ...OF_SOURCE, ...OTHER });
  t.equal(await get('other', OTHER), 'secret');
  await copy('source', { ...OF_SOURCE, ...OTHER });
  t.equal(await get('source', OTHER), 'secret', 'a change of key is a change');
});

t.test('parts are copied from an encrypted source with its key', async (t) => {
  const { client } = await setUp(t);
  const Body = Buffer.alloc(6 * MIB, 'x');
  await client.send(new S3.PutObjectCommand({ Bucket, Key: 'source', Body, ...MINE }));
  const target = { Bucket, Key: 'copy' };
  const { UploadId } = await client.send(new S3.CreateMultipartUploadCommand({ ...target, ...OTHER }));
  const part = { ...target, UploadId, PartNumber: 1, CopySource: `${BUCKET}/source` };
  const copyPart = (more: object) => client.send(new S3.UploadPartCopyCommand({ ...part, ...more }));
  t.equal(await failure(copyPart(OTHER)), '400 InvalidRequest');
  t.equal(await failure(copyPart(OF_SOURCE)), '400 InvalidRequest');
  const { CopyPartResult } = await copyPart({ ...OF_SOURCE, ...OTHER });
  const MultipartUpload = { Parts: [{ ETag: CopyPartResult?.ETag, PartNumber: 1 }] };
  await client.send(new S3.CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload }));
  const bytes = await bytesOf(await client.send(new S3.GetObjectCommand({ ...target, ...OTHER })));
  t.ok(bytes.equals(Body));
});

t.test('a restart forgets no key, and the disk never knew one', async (t) => {
  const dir = await useFolder(t);
  const before = await startS3Server({ dir });
  await before.createBucket(BUCKET);
  await clientFor(t, before).send(new S3.PutObjectCommand({ Bucket, Key: 'k', Body: 'secret', ...MINE }));
  await before.close();
  const journal = await readFile(join(dir, 'journal'), 'utf8');
  t.ok(journal.includes(md5Of(keyOf('m'))));
  t.notOk(journal.includes(MINE.SSECustomerKey));
  const after = await startS3Server({ dir });
  t.teardown(() => after.close());
  const client = clientFor(t, after);
  const get = (more: object) => client.send(new S3.GetObjectCommand({ Bucket, Key: 'k', ...more }));
  t.equal(await failure(get({})), '400 InvalidRequest');
  t.equal(await textOf(await get(MINE)), 'secret');
});
