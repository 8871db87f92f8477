/** A disk that fills up: the write that does not fit fails as a whole, and nothing that was acknowledged is lost. */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import { startS3Server } from '../../src/s3-server/server.js';
import { useFolder } from '../support/s3-fixture.js';
import { BUCKET, clientFor, failure } from './harness.js';

const DISK_BYTES = 2 * 1024 * 1024;
const canMount = process.platform === 'linux' && process.getuid?.() === 0;

t.test('a full disk', { skip: canMount ? false : 'needs root, to mount a small tmpfs' }, async (t) => {
  const disk = await useFolder(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', disk]);
  t.teardown(() => void execFileSync('umount', ['--lazy', disk]));
  const dir = join(disk, 's3');
  let server = await startS3Server({ dir });
  await server.createBucket(BUCKET);
  const client = clientFor(t, server);
  const put = (Key: string, size: number) =>
    failure(client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: Buffer.alloc(size) })));
  t.equal(await put('small', 100), 'no failure');
  t.equal(await put('large', 2 * DISK_BYTES), '500 InternalError');
  t.same(readdirSync(join(dir, 'tmp')), [], 'what was written of it is removed');
  t.equal(await put('small again', 100), 'no failure', 'and the space is there again');

  // Leaves room for some journal lines only.
  writeFileSync(join(disk, 'ballast'), Buffer.alloc(DISK_BYTES - 64 * 1024));
  const stored: string[] = ['small', 'small again'];
  for (let i = 0; ; i++) {
    const outcome = await put(`inline ${String(i).padStart(4, '0')}`, 1000);
    if (outcome !== 'no failure') {
      t.equal(outcome, '500 InternalError');
      break;
    }
    stored.push(`inline ${String(i).padStart(4, '0')}`);
  }
  t.ok(stored.length > 2, 'some did fit');
  const listed = async () => {
    const { Contents = [] } = await clientFor(t, server).send(new ListObjectsV2Command({ Bucket: BUCKET }));
    return Contents.map(({ Key }) => Key);
  };
  t.same(await listed(), stored.toSorted());
  await server.close();
  rmSync(join(disk, 'ballast'));
  server = await startS3Server({ dir });
  t.teardown(() => server.close());
  t.same(await listed(), stored.toSorted(), 'after a restart too');
});
