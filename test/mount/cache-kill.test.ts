/**
 * kill -9 at many points of a fill: the next mount finds what had come, and nothing else. `KILLS` says how often (50),
 * `SEED` repeats a run.
 */
import { join } from 'node:path';
import t from 'tap';
import { chances, killDuringFill } from '../support/cache-kills.js';
import { firstWrongByte, MIB, startCacheWorld, unmount } from '../support/cache-world.js';
import { BUCKET } from '../support/mount-harness.js';

const KILLS = Number(process.env['KILLS'] ?? 50);
const SEED = Number(process.env['SEED'] ?? process.pid);
const SIZE = (KILLS + 14) * MIB;
/** One of them is for names. */
const CONNECTIONS = 4;
const OPTIONS = [
  `--connections-max=${CONNECTIONS}`,
  '--part-size-max=1MiB',
  '--prefetch-max=4MiB',
  '--hedge=off',
];
/** A block that was not whole on each connection, and one part. */
const AGAIN_BYTES_MAX = (CONNECTIONS - 1) * MIB + MIB;

t.test(`after each of ${KILLS} kills right bytes, and little is fetched again`, async (t) => {
  t.comment(`SEED=${SEED}`);
  const world = await startCacheWorld(t);
  await world.server.putSynthetic(BUCKET, 'model', { size: SIZE, seed: 1 });
  // So slow that a kill comes in the middle of parts, and that little of what was sent lies unread in sockets.
  world.server.faults.connectionBytesPerSecond = 8 * MIB;
  const place = { key: 'model', size: SIZE, seed: 1, mountOptions: OPTIONS, stepBytes: MIB };
  const options = { ...place, chance: chances(SEED) };
  let worst = 0;
  for (let round = 0; round < KILLS; round += 1) {
    const { firstWrong, knownBytes, bytesAgain } = await killDuringFill(world, options);
    t.equal(firstWrong, -1, `round ${round}: the first ${knownBytes} bytes are right`);
    t.ok(bytesAgain <= AGAIN_BYTES_MAX, `round ${round}: ${bytesAgain} bytes again`);
    worst = Math.max(worst, bytesAgain);
  }
  world.server.faults.connectionBytesPerSecond = 0;
  const last = await world.mountCached(OPTIONS);
  t.equal(await firstWrongByte(join(last.mountpoint, 'model'), SIZE, 1), -1);
  await unmount(world, last);
  const fetched = world.fetched();
  t.comment(`${fetched - SIZE} bytes again in all, ${worst} at most after one kill`);
  const after = await world.mountCached(OPTIONS);
  t.equal(await firstWrongByte(join(after.mountpoint, 'model'), SIZE, 1), -1);
  t.equal(world.fetched(), fetched, 'it is complete now');
});
