/** A disk that is full while the cache is filled: readers notice nothing, and caching goes on when there is room again. */
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { firstWrongByte, MIB, startCacheWorld, unmount } from '../support/cache-world.js';
import { BUCKET } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';

const NEEDS_ROOT = process.getuid?.() === 0 ? {} : { skip: 'needs root to mount a small tmpfs' };
/** A cache directory takes 64 MiB free at least. */
const DISK = 96 * MIB;
const SIZE = 128 * MIB;

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

/** A file system of its own, gone with the test. */
async function useSmallDisk(t: Test, path: string): Promise<void> {
  mkdirSync(path);
  const { code, stderr } = await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', path]);
  if (code !== 0) throw new Error(stderr);
  t.teardown(() => run('umount', ['-l', path]));
}

t.test('a disk that fills up during a fill', NEEDS_ROOT, async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  t.teardown(() => rmSync(place, { recursive: true, force: true }));
  const disk = join(place, 'disk');
  const world = await startCacheWorld(t, { cacheDir: join(disk, 'cache') });
  await useSmallDisk(t, disk);
  await world.server.putSynthetic(BUCKET, 'large', { size: SIZE, seed: 1 });
  await world.server.putSynthetic(BUCKET, 'small', { size: 6 * MIB, seed: 2 });
  // The budget does not know how small the disk is.
  const options = [
    '--cache-bytes-max=1GiB',
    '--part-size-max=1MiB',
    '--prefetch-max=4MiB',
    '--connections-max=4',
  ];
  const daemon = await world.mountCached(options);
  const large = join(daemon.mountpoint, 'large');
  const small = join(daemon.mountpoint, 'small');

  t.equal(await firstWrongByte(large, SIZE, 1), -1, 'larger than the disk');
  t.ok(await eventually(() => freeBytes(disk) > 8 * MIB));
  writeFileSync(join(disk, 'filler'), new Uint8Array(freeBytes(disk) - 8 * MIB));
  t.equal(await firstWrongByte(large, SIZE, 1), -1, 'with somebody else’s file beside it');
  t.equal(await firstWrongByte(small, 6 * MIB, 2), -1);
  t.equal((await world.status(daemon.mountpoint)).totals.readErrors, 0);

  rmSync(join(disk, 'filler'));
  t.equal(await firstWrongByte(small, 6 * MIB, 2), -1);
  const before = world.fetched();
  t.equal(await firstWrongByte(small, 6 * MIB, 2), -1);
  t.equal(world.fetched(), before, 'there is room: it is kept');
  await unmount(world, daemon);
  const next = await world.mountCached(options);
  t.equal(await firstWrongByte(join(next.mountpoint, 'small'), 6 * MIB, 2), -1);
  t.equal(world.fetched(), before, 'for the next mount as well');
});
