/** The transient faults of the embedded server, and a mount that has to survive each of them three times in a row. */
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Fault } from '../../src/s3-server/faults.js';
import type { DriverName } from '../support/drivers.js';
import { BUCKET } from '../support/mount-harness.js';
import { inParallel, MIB, SEED, SIZE, startFaultWorld } from './fault-rig.js';

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
  'trickle from the first byte of the body': () => ({ kind: 'trickle' }),
  'trickle in the body': (atByte) => ({ kind: 'trickle', chunkBytes: 100, from: { atByte, of: 'object' } }),
  'short body': (atByte) => ({ kind: 'early-end', atByte, of: 'object' }),
  'wrong Content-Range': () => ({ kind: 'wrong-content-range' }),
};

export async function faultsAreSurvived(
  t: Test,
  driver: DriverName,
  readIn: (t: Test, path: string) => Promise<void>,
  flags: readonly string[],
): Promise<void> {
  const { server, mountpoint, status } = await startFaultWorld(t, driver, flags);
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
}
