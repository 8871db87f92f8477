/** The budget of the cache holds while it is filled, also by objects that exceed it alone, and nobody sees it but the disk. */
import { join } from 'node:path';
import t from 'tap';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { firstWrongByte, MIB, startCacheWorld, watchDisk } from '../support/cache-world.js';
import { BUCKET, read } from '../support/mount-harness.js';

const BUDGET = 16 * MIB;
const CONNECTIONS = 4;
const OPTIONS = [
  `--cache-bytes-max=${BUDGET / MIB}MiB`,
  `--connections-max=${CONNECTIONS}`,
  '--part-size-max=1MiB',
  '--prefetch-max=4MiB',
];
/** Parts in flight, and what the index and the maps take. */
const OVER_BYTES_MAX = (CONNECTIONS - 1) * MIB + MIB;

t.test('objects that do not fit together push each other out', async (t) => {
  const world = await startCacheWorld(t);
  const size = 6 * MIB;
  for (let seed = 0; seed < 6; seed += 1) await world.server.putSynthetic(BUCKET, `f${seed}`, { size, seed });
  const { mountpoint } = await world.mountCached(OPTIONS);
  const disk = watchDisk(t, world.cacheDir);
  for (let round = 0; round < 2; round += 1) {
    for (let seed = 0; seed < 6; seed += 1) {
      t.equal(await firstWrongByte(join(mountpoint, `f${seed}`), size, seed), -1);
    }
  }
  t.ok(disk.most() <= BUDGET + OVER_BYTES_MAX, `${disk.most()} bytes at most, in ${disk.looks()} looks`);
  t.ok(disk.most() >= size, 'and it is used');
  const before = world.fetched();
  t.equal(await firstWrongByte(join(mountpoint, 'f5'), size, 5), -1);
  t.equal(world.fetched(), before, 'the last one is still there');
});

t.test('an object of three times the budget, read in order beside a random reader', async (t) => {
  const world = await startCacheWorld(t);
  const size = 3 * BUDGET + 777;
  await world.server.putSynthetic(BUCKET, 'huge', { size, seed: 9 });
  await world.server.putSynthetic(BUCKET, 'other', { size: 4 * MIB, seed: 2 });
  const { mountpoint } = await world.mountCached(OPTIONS);
  const disk = watchDisk(t, world.cacheDir);
  const file = join(mountpoint, 'huge');
  let isReading = true;
  const randomReader = async () => {
    let reads = 0;
    for (let at = 0; isReading; at = (at * 31 + 12_345_679) % (size - 8192)) {
      const { stdout, code } = await read(file, at, 8192);
      if (code !== 0 || findPatternMismatch(stdout, 9, at) !== -1) t.fail(`wrong bytes at ${at}`);
      reads += 1;
    }
    return reads;
  };
  const random = randomReader();
  t.equal(await firstWrongByte(file, size, 9), -1);
  isReading = false;
  t.ok((await random) > 3, `${await random} random reads`);
  t.equal(await firstWrongByte(join(mountpoint, 'other'), 4 * MIB, 2), -1);
  t.ok(disk.most() <= BUDGET + OVER_BYTES_MAX, `${disk.most()} bytes at most, in ${disk.looks()} looks`);
  const { totals } = await world.status(mountpoint);
  t.equal(totals.readErrors, 0);
});

t.test('two readers of different places of such an object both read on', async (t) => {
  const world = await startCacheWorld(t);
  const size = 3 * BUDGET;
  await world.server.putSynthetic(BUCKET, 'huge', { size, seed: 9 });
  const { mountpoint } = await world.mountCached(OPTIONS);
  const disk = watchDisk(t, world.cacheDir);
  const file = join(mountpoint, 'huge');
  const halves = await Promise.all([0, size / 2].map((at) => read(file, at, size / 2)));
  for (const [i, { stdout, code }] of halves.entries()) {
    t.equal(code, 0);
    t.equal(stdout.length, size / 2);
    t.equal(findPatternMismatch(stdout, 9, (i * size) / 2), -1);
  }
  t.ok(disk.most() <= BUDGET + OVER_BYTES_MAX, `${disk.most()} bytes at most`);
});
