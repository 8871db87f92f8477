/** kill -9 in the middle of writes: what was acknowledged is there, and nothing is there in part. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import * as S3 from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { fillPattern, findPatternMismatch } from '../../src/runtime/pattern.js';
import { startS3Server } from '../../src/s3-server/server.js';
import { useFolder } from '../support/s3-fixture.js';
import { BUCKET, bytesOf, clientFor } from './harness.js';

const PROGRAM = fileURLToPath(new URL('crash-server.js', import.meta.url));
const WRITERS = 4;

/** Starts a server on `dir`, writes to it until `count` objects are acknowledged, and kills it at that moment. */
async function writeUntilKilled(t: Test, dir: string, round: number, count: number): Promise<string[]> {
  const child = spawn(process.execPath, [PROGRAM, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  const endpoint = `http://127.0.0.1:${port.toString().trim()}`;
  const client = clientFor(t, { endpoint });
  const acknowledged: string[] = [];
  const write = async (writer: number) => {
    for (let i = 0; acknowledged.length < count; i++) {
      const size = (i * 7919 + writer * 104_729) % 200_000;
      const Key = `${round}/${writer}/${i}/${size}`;
      const Body = fillPattern(new Uint8Array(size), size, 0);
      await client.send(new S3.PutObjectCommand({ Bucket: BUCKET, Key, Body }));
      acknowledged.push(Key);
    }
    child.kill('SIGKILL');
  };
  // The other writers are cut off in the middle of whatever they do.
  await Promise.allSettled(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  await exited;
  return acknowledged;
}

t.test('killed again and again, the server keeps every acknowledged object whole', async (t) => {
  const dir = await useFolder(t);
  const acknowledged: string[] = [];
  for (let round = 0; round < 4; round++)
    acknowledged.push(...(await writeUntilKilled(t, dir, round, 20 + 13 * round)));
  const server = await startS3Server({ dir });
  t.teardown(() => server.close());
  const client = clientFor(t, server);
  const { Contents = [] } = await client.send(new S3.ListObjectsV2Command({ Bucket: BUCKET }));
  const present = new Set(Contents.map(({ Key = '' }) => Key));
  t.same(
    acknowledged.filter((key) => !present.has(key)),
    [],
    'none is lost',
  );
  for (const Key of present) {
    const size = Number(Key.split('/')[3]);
    const bytes = await bytesOf(await client.send(new S3.GetObjectCommand({ Bucket: BUCKET, Key })));
    if (bytes.length !== size || findPatternMismatch(bytes, size, 0) !== -1) t.fail(`${Key} is damaged`);
  }
});
