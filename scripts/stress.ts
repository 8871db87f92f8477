/**
 * One iteration of the stress test: a mount of few objects on the embedded server with random faults, and a dozen
 * reader processes that open, seek, read, check and close at random; now and then the daemon is killed and mounted
 * again. Started by stress-test.sh with a seed; exits 1 with the reason when anything is not as it must be.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { findPatternMismatch } from '../src/runtime/pattern.js';
import type { Fault } from '../src/s3-server/faults.js';
import { BUCKET, isMounted, read, startWorld } from '../test/support/mount-harness.js';
import type { Daemon } from '../test/support/mount-harness.js';
import { eventually } from '../test/support/processes.js';
import { SimulatedClock } from '../test/support/simulated-clock.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const READERS = 12;
const READS_EACH = 12;
const OBJECTS = 6;

const seed = Number(process.argv[2] ?? 1);
/** A seeded source of chance; its time is not used. */
const chance = new SimulatedClock({ seed });
const below = (limit: number) => Math.floor(chance.random() * limit);
const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;

const sizeOf = (index: number) => [1, 4 * KIB, 100 * KIB + 7, 3 * MIB, 17 * MIB + 5, 60 * MIB][index] ?? MIB;

function randomFault(): Fault {
  const atByte = below(2 * MIB);
  return pick<Fault>([
    { kind: 'internal-error' },
    { kind: 'slow-down' },
    { kind: 'reset', at: 'before-headers' },
    { kind: 'reset', at: { atByte } },
    { kind: 'early-end', atByte },
    { kind: 'stall', at: { atByte } },
    { kind: 'latency', ms: below(200) },
    { kind: 'wrong-content-range' },
  ]);
}

void t.test(`seed ${seed}`, { timeout: 300_000 }, async (t) => {
  const world = await startWorld(t);
  const { server } = world;
  const cache = join(world.scratch, 'cache');
  const flags = [
    `--cache-dir=${cache}`,
    '--stall-timeout=500ms',
    `--connections-max=${pick([2, 4, 16])}`,
    `--cache-bytes-max=${pick(['1MiB', '30MiB', '1GiB'])}`,
    `--part-size-max=${pick(['1MiB', '8MiB'])}`,
  ];
  for (let index = 0; index < OBJECTS; index += 1) {
    await server.putSynthetic(BUCKET, `o${index}`, { size: sizeOf(index), seed: index });
  }
  let daemon: Daemon = await world.mount(flags);
  let readsChecked = 0;
  /** Odd while there is no daemon: reads may fail then. */
  let daemonChanges = 0;
  const readOnce = async () => {
    const index = below(OBJECTS);
    const size = sizeOf(index);
    const offset = below(4) === 0 ? 0 : below(size);
    const length = Math.min(size - offset, 1 + below(pick([4 * KIB, 300 * KIB, 20 * MIB])));
    const way = below(3) === 0 ? 'mmap' : 'read';
    const before = daemonChanges;
    const { code, stdout, hung, stderr } = await read(
      join(daemon.mountpoint, `o${index}`),
      offset,
      length,
      way,
    );
    if (hung) throw new Error(`a ${way} of o${index} at ${offset} hangs`);
    const wrong = findPatternMismatch(stdout, index, offset);
    if (wrong !== -1) throw new Error(`wrong byte at ${wrong} of o${index}`);
    if (code === 0 && stdout.length !== length)
      throw new Error(`${stdout.length} of ${length} bytes and no error`);
    const served = before === daemonChanges && before % 2 === 0;
    if (code !== 0 && served) throw new Error(`a ${way} of o${index} at ${offset} failed: ${stderr}`);
    readsChecked += 1;
  };
  const remount = async () => {
    daemonChanges += 1;
    daemon.process.kill('SIGKILL');
    await daemon.exited;
    daemon = await world.mount(flags, `s3://${BUCKET}`, daemon.mountpoint);
    daemonChanges += 1;
  };
  const readers = Array.from({ length: READERS }, async () => {
    for (let count = 0; count < READS_EACH; count += 1) await readOnce();
  });
  const chaos = (async () => {
    for (let round = 0; round < 8; round += 1) {
      const remove = server.faults.add({
        operation: 'GetObject',
        attempts: 1 + below(3),
        fault: randomFault(),
      });
      await eventually(() => false, 100 + below(300));
      remove();
      if (seed % 5 === 0 && round === 4) await remount();
    }
  })();
  await Promise.all([...readers, chaos]);

  const quiet = await eventually(async () => {
    const { readsInFlight, stores } = await world.status(daemon.mountpoint);
    return readsInFlight.length === 0 && stores.every((store) => store.handles + store.partsInFlight === 0);
  });
  t.ok(quiet, 'all gauges are at zero');
  daemon.process.kill('SIGTERM');
  t.equal(await daemon.exited, 0, daemon.output());
  t.notOk(isMounted(daemon.mountpoint));
  t.same(readdirSync(cache), [], 'no temp file is left');
  t.comment(`${readsChecked} reads checked`);
});
