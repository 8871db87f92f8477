/** Objects that are replaced or deleted while they are read: old bytes, ESTALE or new bytes, never a mix. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fillPattern, findPatternMismatch } from '../../src/runtime/pattern.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, read, startWorld } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;

/** True when `bytes` are the first of pattern `seed`. */
const isHeadOf = (bytes: Buffer, seed: number) => findPatternMismatch(bytes, seed, 0) === -1;

onEachDriver(
  'replaced during a slow read: old bytes as far as they go, then ESTALE; a new open reads the new',
  async (t, driver) => {
    const { server, mount } = await startWorld(t, { driver });
    await server.putSynthetic(BUCKET, 'model', { size: SIZE, seed: 1 });
    const { mountpoint } = await mount(['--metadata-ttl', '0']);
    const file = join(mountpoint, 'model');
    server.faults.connectionBytesPerSecond = 2 * MIB;
    const slow = run('dd', [`if=${file}`, 'bs=64K', 'status=none']);
    await eventually(() => server.counters.bytesSent > 4 * MIB);
    await server.putSynthetic(BUCKET, 'model', { size: SIZE, seed: 2 });
    const { code, stdout, stderr } = await slow;
    t.ok(isHeadOf(stdout, 1), `${stdout.length} bytes, all of the old object`);
    if (stdout.length < SIZE) {
      t.equal(code, 1);
      t.match(stderr, /Stale file handle/);
    }
    server.faults.connectionBytesPerSecond = 0;
    const fresh = await run('cat', [file]);
    t.equal(fresh.code, 0);
    t.equal(fresh.stdout.length, SIZE);
    t.ok(isHeadOf(fresh.stdout, 2), 'all of the new object');
  },
);

onEachDriver(
  'replaced by one of another size: the old handle never ends early as if that were its end',
  async (t, driver) => {
    const { server, mount } = await startWorld(t, { driver });
    for (const [size, name] of [
      [SIZE / 4, 'smaller'],
      [SIZE * 2, 'larger'],
    ] as const) {
      await server.putSynthetic(BUCKET, name, { size: SIZE, seed: 1 });
      const { mountpoint } = await mount(['--metadata-ttl', '0']);
      const file = join(mountpoint, name);
      server.faults.connectionBytesPerSecond = 2 * MIB;
      server.counters.reset();
      const slow = run('dd', [`if=${file}`, 'bs=64K', 'status=none']);
      await eventually(() => server.counters.bytesSent > 4 * MIB);
      await server.putSynthetic(BUCKET, name, { size, seed: 2 });
      const fresh = await run('head', ['-c', '1000000', file]);
      t.ok(isHeadOf(fresh.stdout, 2), `${name}: new bytes on a new open`);
      const { code, stdout, stderr } = await slow;
      t.ok(isHeadOf(stdout, 1), `${name}: ${stdout.length} old bytes`);
      t.notOk(code === 0 && stdout.length !== SIZE, `${name}: no success with a part of the object`);
      if (code !== 0) t.match(stderr, /Stale file handle/);
      server.faults.connectionBytesPerSecond = 0;
    }
  },
);

/**
 * Where the drivers differ: the portable one has one kernel inode for all versions of a path and ends the older; the
 * native one goes on to read what it has of the older.
 */
const OLDER_AFTER_NEWER = {
  portable: {
    promise: 'every read on the older handle answers ESTALE',
    error: /Stale file handle/,
    bytes: 0,
  },
  native: { promise: 'the older handle reads what is local of its own', error: /^$/, bytes: 4096 },
} as const;

onEachDriver('once the newer version is open, the older handle never shows its bytes', async (t, driver) => {
  const { server, mount, status, scratch } = await startWorld(t, { driver });
  const content = (seed: number) => fillPattern(new Uint8Array(MIB), seed, 0);
  await server.putObject(BUCKET, 'model', content(1));
  const { mountpoint } = await mount(['--metadata-ttl', '0']);
  const file = join(mountpoint, 'model');
  const go = join(scratch, 'go');
  // Reads the first page, waits for the sign, and reads the page behind four others.
  const script = `exec 3<'${file}'
    dd bs=4096 count=1 status=none <&3 >/dev/null || exit 9
    while [ ! -e '${go}' ]; do sleep 0.05; done
    dd bs=4096 count=1 skip=4 status=none <&3`;
  const old = run('bash', ['-c', script]);
  t.ok(await eventually(async () => (await status(mountpoint)).stores[0]?.state === 'complete'));
  await server.putObject(BUCKET, 'model', content(2));
  const fresh = await run('cat', [file]);
  t.ok(isHeadOf(fresh.stdout, 2));
  writeFileSync(go, '');
  const { stdout, stderr } = await old;
  const { promise, error, bytes } = OLDER_AFTER_NEWER[driver];
  t.match(stderr, error, promise);
  t.equal(stdout.length, bytes);
  t.equal(findPatternMismatch(stdout, 1, 5 * 4096), -1);
});

onEachDriver(
  'deleted during a read: what is local stays, the rest is ESTALE, and the name goes',
  async (t, driver) => {
    const { server, mount } = await startWorld(t, { driver });
    await server.putSynthetic(BUCKET, 'model', { size: SIZE, seed: 1 });
    const { mountpoint } = await mount(['--metadata-ttl', '0']);
    const file = join(mountpoint, 'model');
    server.faults.connectionBytesPerSecond = 2 * MIB;
    const slow = run('dd', [`if=${file}`, 'bs=64K', 'status=none']);
    await eventually(() => server.counters.bytesSent > 4 * MIB);
    await server.deleteObject(BUCKET, 'model');
    const { stdout, stderr, code } = await slow;
    t.ok(isHeadOf(stdout, 1), `${stdout.length} old bytes`);
    if (stdout.length < SIZE) {
      t.equal(code, 1);
      t.match(stderr, /Stale file handle/);
    }
    t.match((await run('cat', [file])).stderr, /No such file or directory/);
  },
);

onEachDriver('a stale read expires the name at once, whatever its TTL', async (t, driver) => {
  const { server, mount } = await startWorld(t, { driver });
  await server.putSynthetic(BUCKET, 'model', { size: SIZE, seed: 1 });
  const { mountpoint } = await mount(['--metadata-ttl', '1h']);
  const file = join(mountpoint, 'model');
  t.equal((await read(file, 0, 4096)).code, 0);
  await server.putSynthetic(BUCKET, 'model', { size: SIZE, seed: 2 });
  t.match((await read(file, SIZE - 4096, 4096)).stderr, /Stale file handle/);
  const fresh = await read(file, 0, 4096);
  t.equal(fresh.code, 0);
  t.equal(findPatternMismatch(fresh.stdout, 2, 0), -1, 'the next open sees the new object');
});

onEachDriver(
  'new, changed and removed names show up after the metadata TTL, with 0 at once',
  async (t, driver) => {
    const { server, mount } = await startWorld(t, { driver });
    await server.putObject(BUCKET, 'dir/a', 'one');
    const { mountpoint } = await mount(['--metadata-ttl', '0']);
    const ls = async () => (await run('ls', [join(mountpoint, 'dir')])).stdout.toString();
    t.equal(await ls(), 'a\n');
    await server.putObject(BUCKET, 'dir/b', 'two');
    t.equal(await ls(), 'a\nb\n');
    t.match((await run('cat', [join(mountpoint, 'dir/c')])).stderr, /No such file/);
    await server.putObject(BUCKET, 'dir/c', 'three');
    t.equal((await run('cat', [join(mountpoint, 'dir/c')])).stdout.toString(), 'three');
    await server.putObject(BUCKET, 'dir/c', 'four!');
    t.equal((await run('cat', [join(mountpoint, 'dir/c')])).stdout.toString(), 'four!');
    await server.deleteObject(BUCKET, 'dir/a');
    t.equal(await ls(), 'b\nc\n');
  },
);
