/**
 * Every transient fault of the embedded server × where in the object × the way of reading: up to three in a row cost no
 * reader anything but a little time. Right bytes, no error, never a hang.
 */
import { join } from 'node:path';
import type { Test } from 'tap';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, startWorld } from '../support/mount-harness.js';
import { assertRead, KIB, MIB, SEED, SIZE } from './fault-rig.js';
import { faultsAreSurvived } from './transient-rig.js';

/** Ways to read that each must end in the right bytes. */
const WAYS: Readonly<Record<string, (t: Test, path: string) => Promise<void>>> = {
  'whole file by read': (t, path) => assertRead(t, path, 0, SIZE, 'read'),
  'whole file by mmap': (t, path) => assertRead(t, path, 0, SIZE, 'mmap'),
  'tail, then head': async (t, path) => {
    await assertRead(t, path, SIZE - 64 * KIB, 64 * KIB, 'read');
    await assertRead(t, path, MIB - 5, 128 * KIB, 'mmap');
    await assertRead(t, path, 0, 64 * KIB, 'read');
  },
  'three readers at once': async (t, path) => {
    await Promise.all([
      assertRead(t, path, 0, SIZE, 'read'),
      assertRead(t, path, 0, SIZE, 'mmap'),
      assertRead(t, path, MIB, 2 * MIB, 'read'),
    ]);
  },
};

for (const [way, readIn] of Object.entries(WAYS)) {
  onEachDriver(`transient faults, three in a row: ${way}`, (t, driver) =>
    faultsAreSurvived(t, driver, readIn, []),
  );
}

onEachDriver('with the default stall timeout a stall or a trickle costs no reader 5 s', async (t, driver) => {
  const world = await startWorld(t, { driver });
  // A read that is not answered within its deadline of 5 s fails: passing means that no read took longer.
  const { mountpoint } = await world.mount(['--read-deadline', '5s']);
  for (const [key, fault] of [
    ['headers', { kind: 'stall', at: 'before-headers' }],
    ['body', { kind: 'stall', at: { atByte: MIB + 13, of: 'object' } }],
    ['trickle', { kind: 'trickle', from: { atByte: MIB + 13, of: 'object' } }],
  ] as const) {
    await world.server.putSynthetic(BUCKET, key, { size: SIZE, seed: SEED });
    world.server.faults.add({ operation: 'GetObject', key, attempts: 1, fault });
    await assertRead(t, join(mountpoint, key), 0, SIZE, 'read');
  }
});
