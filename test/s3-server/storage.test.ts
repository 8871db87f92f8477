/** What survives: restarts, crashes in the middle of a write, and damage. */
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  mkdirSync,
} from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import {
  CreateMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { startS3Server, type S3Server } from '../../src/s3-server/server.js';
import { useFolder } from '../support/s3-fixture.js';
import { BUCKET, bytesOf, clientFor, failure, textOf } from './harness.js';

function blobFiles(dir: string): string[] {
  return readdirSync(join(dir, 'blobs'), { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.length > 2,
  );
}

const bigBody = Buffer.alloc(5000, 'b');

t.test('a restart on the same folder finds everything again', async (t) => {
  const dir = await useFolder(t);
  let server = await startS3Server({ dir });
  t.teardown(() => server.close());
  await server.createBucket(BUCKET);
  await server.setVersioning(BUCKET, 'Enabled');
  await server.putObject(BUCKET, 'big', bigBody, { metadata: { a: 'b' }, storageClass: 'STANDARD_IA' });
  await server.putObject(BUCKET, 'tiny', 'first');
  await server.putObject(BUCKET, 'tiny', 'second');
  await server.deleteObject(BUCKET, 'big');
  await server.putSynthetic(BUCKET, 'pattern', { size: 5 * 1024 ** 4, seed: 3 });
  const client = clientFor(t, server);
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key: 'mp' }));
  const target = { Bucket: BUCKET, Key: 'mp', UploadId };
  const { ETag } = await client.send(new UploadPartCommand({ ...target, PartNumber: 1, Body: bigBody }));
  const before = await client.send(new ListObjectVersionsCommand({ Bucket: BUCKET }));
  await server.close();

  server = await startS3Server({ dir });
  const again = clientFor(t, server);
  const after = await again.send(new ListObjectVersionsCommand({ Bucket: BUCKET }));
  t.same([after.Versions, after.DeleteMarkers], [before.Versions, before.DeleteMarkers]);
  t.equal(after.DeleteMarkers?.[0]?.Key, 'big');
  const VersionId = after.Versions?.find(({ Key }) => Key === 'big')?.VersionId;
  const big = await again.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'big', VersionId }));
  t.same([big.Metadata, big.StorageClass], [{ a: 'b' }, 'STANDARD_IA']);
  t.ok((await bytesOf(big)).equals(bigBody));
  await again.send(
    new CompleteMultipartUploadCommand({ ...target, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } }),
  );
  t.ok(
    (await bytesOf(await again.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'mp' })))).equals(bigBody),
  );
});

t.test('files are named by chance, lie in the folder only, and go with the object', async (t) => {
  const dir = await useFolder(t);
  const server = await startS3Server({ dir });
  await server.createBucket(BUCKET);
  for (const key of ['../../escape', '/etc/x', 'a/b', '.', 'n\0l'])
    await server.putObject(BUCKET, key, bigBody);
  t.ok(blobFiles(dir).every((name) => /^[0-9a-f]{2}\/[0-9a-f]{32}$/.test(name)));
  t.equal(blobFiles(dir).length, 5);
  await server.putObject(BUCKET, 'a/b', 'replaced');
  await server.deleteObject(BUCKET, '.');
  await server.close();
  t.equal(blobFiles(dir).length, 3);
  t.same(readdirSync(dir).sort(), ['blobs', 'journal', 'tmp']);
});

t.test('a reader keeps the bytes of an object that is deleted meanwhile', async (t) => {
  const dir = await useFolder(t);
  const server = await startS3Server({ dir });
  t.teardown(() => server.close());
  await server.createBucket(BUCKET);
  const body = Buffer.alloc(3_000_000, 'z');
  await server.putObject(BUCKET, 'k', body);
  const remove = server.faults.add({
    operation: 'GetObject',
    fault: { kind: 'bandwidth', bytesPerSecond: 30_000_000 },
  });
  const answer = await clientFor(t, server).send(new GetObjectCommand({ Bucket: BUCKET, Key: 'k' }));
  await server.deleteObject(BUCKET, 'k');
  t.equal(blobFiles(dir).length, 1);
  t.ok((await bytesOf(answer)).equals(body));
  remove();
  await server.close();
  t.equal(blobFiles(dir).length, 0);
});

t.test('the journal: a torn last line is dropped, damage in the middle is refused', async (t) => {
  const dir = await useFolder(t);
  const journal = join(dir, 'journal');
  let server = await startS3Server({ dir });
  await server.createBucket(BUCKET);
  await server.putObject(BUCKET, 'one', '1');
  const intact = statSync(journal).size;
  await server.putObject(BUCKET, 'two', '2');
  await server.close();
  const whole = readFileSync(journal);

  for (let length = intact; length < whole.length; length += 37) {
    writeFileSync(journal, whole.subarray(0, length));
    server = await startS3Server({ dir });
    const client = clientFor(t, server);
    t.equal(
      await textOf(await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'one' }))),
      '1',
      `cut at ${length}`,
    );
    t.equal(
      await failure(client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'two' }))),
      '404 NoSuchKey',
    );
    await server.close();
    t.equal(statSync(journal).size, intact, 'and taken off the file');
  }

  writeFileSync(journal, whole);
  appendFileSync(journal, 'garbage\n');
  server = await startS3Server({ dir });
  await server.close();
  const damaged = Buffer.from(whole);
  damaged[20] = 0x58;
  writeFileSync(journal, damaged);
  await t.rejects(startS3Server({ dir }), { name: 'JournalDamagedError', message: /line 1/ });
  truncateSync(journal, 0);
  await (await startS3Server({ dir })).close();
});

t.test('what a crash leaves behind is swept: half-written and unpublished files', async (t) => {
  const dir = await useFolder(t);
  await (await startS3Server({ dir })).close();
  writeFileSync(join(dir, 'tmp', 'half'), 'x');
  mkdirSync(join(dir, 'blobs', 'ab'));
  writeFileSync(join(dir, 'blobs', 'ab', 'abcd'), 'x');
  await (await startS3Server({ dir })).close();
  t.same([readdirSync(join(dir, 'tmp')), blobFiles(dir)], [[], []]);
});

t.test('a journal that is mostly history is written anew, with the same content', async (t) => {
  const dir = await useFolder(t);
  let server = await startS3Server({ dir });
  await server.createBucket(BUCKET);
  for (let i = 0; i < 50; i++) await server.putObject(BUCKET, 'k', `version ${i}`);
  await server.close();
  const before = statSync(join(dir, 'journal')).size;
  server = await startS3Server({ dir });
  t.teardown(() => server.close());
  t.ok(statSync(join(dir, 'journal')).size < before / 10);
  await server.putObject(BUCKET, 'new', 'x');
  await server.close();
  server = await startS3Server({ dir });
  const client = clientFor(t, server);
  t.equal(await textOf(await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'k' }))), 'version 49');
  t.equal(await textOf(await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'new' }))), 'x');
});

t.test('two servers never share a folder; the lock of a dead one is taken over', async (t) => {
  const dir = await useFolder(t);
  const first = await startS3Server({ dir });
  await t.rejects(startS3Server({ dir }), {
    name: 'DirectoryInUseError',
    message: new RegExp(`process ${process.pid}`),
  });
  await first.close();
  t.notOk(existsSync(join(dir, 'lock')));

  const { pid } = spawnSync(process.execPath, ['-e', '']);
  writeFileSync(join(dir, 'lock'), JSON.stringify({ pid, startedAt: '1' }));
  await (await startS3Server({ dir })).close();
  writeFileSync(
    join(dir, 'lock'),
    JSON.stringify({ pid: process.pid, startedAt: 'an earlier process with this id' }),
  );
  await (await startS3Server({ dir })).close();
  writeFileSync(join(dir, 'lock'), '{"pid":');
  await (await startS3Server({ dir })).close();
});

t.test('a port that is taken leaves the folder free', async (t) => {
  const [dir, other] = [await useFolder(t), await useFolder(t)];
  const server: S3Server = await startS3Server({ dir });
  t.teardown(() => server.close());
  await t.rejects(startS3Server({ dir: other, port: server.port }), { code: 'EADDRINUSE' });
  await (await startS3Server({ dir: other })).close();
});
