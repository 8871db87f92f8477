/**
 * Every transient fault of the embedded server × where in the object × the way of reading: up to three in a row cost no
 * reader anything but a little time. Right bytes, no error, never a hang.
 */
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Fault } from '../../src/s3-server/faults.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, startWorld } from '../support/mount-harness.js';
import { assertRead, inParallel, KIB, MIB, SEED, SIZE, startFaultWorld } from './fault-rig.js';

/** Where a fault hits, counted from the start of the object. */
const PLACES = { 'first byte': 0, 'inside a page': MIB + 13, 'last byte': SIZE - 1 } as const;

type FaultAt = (atByte: number) => Fault;

/** Transient by nature: the next attempt may go well. */
const TRANSIENT: Readonly<Record<string, FaultAt>> = {
  '500': () => ({ kind: 'internal-error' }),
  '503 SlowDown': () => ({ kind: 'slow-down' }),
  '404 then 200': () => ({ kind: 'not-found' }),
  'reset before the headers': () => ({ kind: 'reset', at: 'before-headers' }),
  'reset after the headers': () => ({ kind: 'reset', at: 'after-headers' }),
  'reset in the body': (atByte) => ({ kind: 'reset', at: { atByte, of: 'object' } }),
  'stall before the headers': () => ({ kind: 'stall', at: 'before-headers' }),
  'stall in the body': (atByte) => ({ kind: 'stall', at: { atByte, of: 'object' } }),
  'short body': (atByte) => ({ kind: 'early-end', atByte, of: 'object' }),
  'wrong Content-Range': () => ({ kind: 'wrong-content-range' }),
};

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
  onEachDriver(`transient faults, three in a row: ${way}`, async (t, driver) => {
    const { server, mountpoint, status } = await startFaultWorld(t, driver, []);
    const cases = Object.entries(TRANSIENT).flatMap(([name, fault]) =>
      Object.entries(PLACES).map(([place, atByte]) => ({ name, place, fault: fault(atByte) })),
    );
    await inParallel(cases, async ({ name, place, fault }, index) => {
      const key = `${index}`;
      await server.putSynthetic(BUCKET, key, { size: SIZE, seed: SEED });
      const remove = server.faults.add({ operation: 'GetObject', key, attempts: 3, fault });
      await t.test(`${name}, ${place}`, (t) => readIn(t, join(mountpoint, key)));
      remove();
    });
    const { readsInFlight, totals } = await status(mountpoint);
    t.same(readsInFlight, [], 'no read is left');
    t.equal(totals.readErrors, 0);
  });
}

onEachDriver('with the default stall timeout a stall costs no reader 5 s', async (t, driver) => {
  const world = await startWorld(t, { driver });
  // A read that is not answered within its deadline of 5 s fails: passing means that no read took longer.
  const { mountpoint } = await world.mount(['--read-deadline', '5s']);
  for (const [key, fault] of [
    ['headers', { kind: 'stall', at: 'before-headers' }],
    ['body', { kind: 'stall', at: { atByte: MIB + 13, of: 'object' } }],
  ] as const) {
    await world.server.putSynthetic(BUCKET, key, { size: SIZE, seed: SEED });
    world.server.faults.add({ operation: 'GetObject', key, attempts: 1, fault });
    await assertRead(t, join(mountpoint, key), 0, SIZE, 'read');
  }
});
