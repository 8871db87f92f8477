/**
 * Clients that others wrote list, read, write and delete: s3fs (version 1 listings, HEAD for everything, copies) and
 * rclone (version 2 listings, multipart uploads). Where one is not installed its test is skipped and says so; with
 * CI=true or SLUICE_REQUIRE_CLIENTS=1 that is a failure.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as S3 from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { fillPattern } from '../../src/runtime/pattern.js';
import { cleanEnvironment, isMounted } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';
import { useFolder } from '../support/s3-fixture.js';
import { BUCKET, bytesOf, failure, setUp, textOf } from './harness.js';

const isRequired = process.env['CI'] === 'true' || process.env['SLUICE_REQUIRE_CLIENTS'] === '1';
const INSTALL = 'apt-get install -y s3fs rclone';

/** True when the test can go on; otherwise it is skipped or, where the clients are required, failed. */
function canUse(t: Test, program: string): boolean {
  const isInstalled = spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
  const canMount = program !== 's3fs' || (process.getuid?.() === 0 && existsSync('/dev/fuse'));
  if (isInstalled && canMount) return true;
  const reason = isInstalled
    ? `${program} needs root and /dev/fuse`
    : `${program} is not installed: ${INSTALL}`;
  if (isRequired) t.fail(reason);
  else t.pass(`REAL CLIENT NOT TESTED: ${reason}`, { skip: reason });
  return false;
}

const BIG = Buffer.from(fillPattern(new Uint8Array(12_000_000), 5, 0));

t.test('rclone', async (t) => {
  if (!canUse(t, 'rclone')) return;
  const { server, client } = await setUp(t);
  const scratch = await useFolder(t);
  const env = {
    // rclone 1.60 refuses to start on a CA bundle variable in its environment; this one has none.
    ...cleanEnvironment(scratch),
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_S_TYPE: 's3',
    RCLONE_CONFIG_S_PROVIDER: 'Other',
    RCLONE_CONFIG_S_ENV_AUTH: 'true',
    RCLONE_CONFIG_S_ENDPOINT: server.endpoint,
    RCLONE_CONFIG_S_REGION: 'us-east-1',
  };
  const rclone = async (...args: string[]) => {
    const { code, stdout, stderr, hung } = await run('rclone', args, { env });
    if (code !== 0 || hung) t.fail(`rclone ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  await server.putObject(BUCKET, 'dir/ü & sp ace.txt', 'hello');
  await server.putObject(BUCKET, 'dir/big', BIG);
  await server.putMany(
    BUCKET,
    Array.from({ length: 1500 }, (_, i) => `many/${i}`),
  );

  const listed = (await rclone('lsf', '-R', '--files-only', `S:${BUCKET}/dir`)).toString().split('\n');
  t.same(listed.filter(Boolean).sort(), ['big', 'ü & sp ace.txt']);
  const count = JSON.parse((await rclone('size', '--json', `S:${BUCKET}/many`)).toString()) as {
    count: number;
  };
  t.equal(count.count, 1500, 'a listing of several pages');
  t.equal((await rclone('cat', `S:${BUCKET}/dir/ü & sp ace.txt`)).toString(), 'hello');
  t.ok(
    (await rclone('cat', '--offset', '5000', '--count', '7000', `S:${BUCKET}/dir/big`)).equals(
      BIG.subarray(5000, 12_000),
    ),
  );

  writeFileSync(join(scratch, 'upload'), BIG);
  await rclone(
    'copyto',
    '--s3-upload-cutoff',
    '6M',
    '--s3-chunk-size',
    '5M',
    join(scratch, 'upload'),
    `S:${BUCKET}/in/parts`,
  );
  await rclone('copyto', join(scratch, 'upload'), `S:${BUCKET}/in/whole`);
  await rclone(
    'copyto',
    '--header-upload',
    'x-amz-meta-note: grün',
    join(scratch, 'upload'),
    `S:${BUCKET}/in/noted`,
  );
  const noted = await client.send(new S3.HeadObjectCommand({ Bucket: BUCKET, Key: 'in/noted' }));
  t.equal(Buffer.from(noted.Metadata?.['note'] ?? '', 'latin1').toString(), 'grün', 'headers in UTF-8');
  const parts = await client.send(new S3.GetObjectCommand({ Bucket: BUCKET, Key: 'in/parts' }));
  t.match(parts.ETag, /-3"$/);
  t.ok((await bytesOf(parts)).equals(BIG));
  await rclone('copyto', `S:${BUCKET}/in/whole`, `S:${BUCKET}/in/copy`);
  t.ok(
    (await bytesOf(await client.send(new S3.GetObjectCommand({ Bucket: BUCKET, Key: 'in/copy' })))).equals(
      BIG,
    ),
  );
  await rclone('deletefile', `S:${BUCKET}/in/copy`);
  t.equal(
    await failure(client.send(new S3.HeadObjectCommand({ Bucket: BUCKET, Key: 'in/copy' }))),
    '404 NotFound',
  );
  await rclone('purge', `S:${BUCKET}/many`);
  t.equal((await client.send(new S3.ListObjectsV2Command({ Bucket: BUCKET, Prefix: 'many/' }))).KeyCount, 0);
});

/** Mounts the bucket with s3fs in the foreground; unmounted and ended with the test. */
async function mountS3fs(t: Test, endpoint: string): Promise<string> {
  const scratch = await useFolder(t);
  const mountpoint = join(scratch, 'mount');
  mkdirSync(mountpoint);
  const options = [
    `url=${endpoint}`,
    'use_path_request_style',
    'endpoint=us-east-1',
    'multipart_size=5',
    'max_stat_cache_size=0',
  ];
  const child = spawn('s3fs', [BUCKET, mountpoint, '-f', ...options.flatMap((option) => ['-o', option])], {
    env: { ...cleanEnvironment(scratch), AWSACCESSKEYID: 'sluice', AWSSECRETACCESSKEY: 'sluice-secret' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => (output += piece.toString()));
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  t.teardown(async () => {
    if (isMounted(mountpoint)) await run('umount', ['--lazy', mountpoint]);
    child.kill('SIGTERM');
    await exited;
  });
  if (!(await eventually(() => isMounted(mountpoint)))) t.fail(`s3fs did not mount: ${output}`);
  return mountpoint;
}

t.test('s3fs', async (t) => {
  if (!canUse(t, 's3fs')) return;
  const { server, client } = await setUp(t);
  await server.putObject(BUCKET, 'top.txt', 'hello');
  await server.putObject(BUCKET, 'dir/', '');
  await server.putObject(BUCKET, 'dir/big', BIG);
  const mountpoint = await mountS3fs(t, server.endpoint);
  /** Every access to the mount is made by another process: this one serves it. */
  const shell = async (script: string) => {
    const { code, stdout, stderr, hung } = await run('sh', ['-ec', script], {
      cwd: '/',
      env: { ...process.env, M: mountpoint },
    });
    if (code !== 0 || hung) t.fail(`${script}: ${stderr}`);
    return stdout;
  };
  t.same(
    (await shell('ls "$M" "$M/dir"'))
      .toString()
      .split('\n')
      .filter((line) => /^\w+(\.txt)?$/.test(line))
      .sort(),
    ['big', 'dir', 'top.txt'],
  );
  t.equal((await shell('cat "$M/top.txt"')).toString(), 'hello');
  t.ok((await shell('cat "$M/dir/big"')).equals(BIG));

  await shell('printf written > "$M/dir/small"; cp "$M/dir/big" "$M/copied"');
  t.equal(
    await textOf(await client.send(new S3.GetObjectCommand({ Bucket: BUCKET, Key: 'dir/small' }))),
    'written',
  );
  const copied = await client.send(new S3.GetObjectCommand({ Bucket: BUCKET, Key: 'copied' }));
  t.match(copied.ETag, /-\d+"$/, 'a multipart upload');
  t.ok((await bytesOf(copied)).equals(BIG));
  await shell(
    'mv "$M/dir/small" "$M/moved"; chmod 600 "$M/moved"; rm "$M/dir/big"; mkdir "$M/new"; rmdir "$M/new"',
  );
  const { Contents } = await client.send(new S3.ListObjectsV2Command({ Bucket: BUCKET }));
  t.same(
    Contents?.map(({ Key }) => Key),
    ['copied', 'dir/', 'moved', 'top.txt'],
  );
});
