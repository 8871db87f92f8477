/** What the tests of faults share: the object under test, reading it, and mounts that notice a stall soon. */
import type { Test } from 'tap';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import type { DriverName } from '../support/drivers.js';
import { read, startWorld } from '../support/mount-harness.js';
import type { Daemon, ReadWay, World } from '../support/mount-harness.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const SIZE = 3 * MIB + 1234;
export const SEED = 21;
/** Objects under test at once: the machine has few cores, the mount serves them all. */
const PARALLEL = 6;

export async function assertRead(
  t: Test,
  path: string,
  offset: number,
  length: number,
  way: ReadWay,
): Promise<void> {
  const { code, stdout, stderr, hung } = await read(path, offset, length, way);
  t.notOk(hung, `${way} at ${offset} does not hang`);
  t.equal(code, 0, `${way} at ${offset}: ${stderr}`);
  t.equal(stdout.length, length);
  t.equal(findPatternMismatch(stdout, SEED, offset), -1, 'every byte is right');
}

/** Runs `work` on all items, some at a time. */
export async function inParallel<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      await work(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

/** A mount whose stalls are noticed after half a second, so that the matrix takes no minutes. */
export async function startFaultWorld(
  t: Test,
  driver: DriverName,
  flags: readonly string[],
): Promise<World & Pick<Daemon, 'mountpoint' | 'output'>> {
  const world = await startWorld(t, { driver });
  const daemon = await world.mount(['--stall-timeout', '500ms', ...flags]);
  return { ...world, mountpoint: daemon.mountpoint, output: () => daemon.output() };
}
