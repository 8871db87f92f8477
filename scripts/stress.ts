/**
 * One iteration of the stress test: a mount of few objects on the embedded server with random faults, and a dozen
 * reader processes that open, seek, read, check and close at random. Half-way the mount ends under them, one way or
 * another (kill -9, a forced or lazy unmount, an abort of the connection), and is made again; at the end nothing may be
 * stuck or left. Started by stress-test.sh with a seed; exits 1 with the reason when anything is not as it must be.
 */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseMountinfo } from '../src/fuse/mount-table.js';
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

type Ending = 'kill' | 'force' | 'lazy' | 'abort';
const ENDINGS: readonly Ending[] = ['kill', 'force', 'abort', 'lazy'];

/** As an administrator would; needs root and the control file system. */
function abortConnection(mountpoint: string): void {
  const mount = parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1')).findLast(
    (entry) => entry.mountpoint === mountpoint,
  );
  const minor = mount?.device?.split(':')[1];
  writeFileSync(`/sys/fs/fuse/connections/${minor}/abort`, '1');
}

/** What an idle daemon still holds and should not: files of its cache, and session threads beyond those it began with. */
function leftovers(pid: number, cache: string): string[] {
  const files = readdirSync(`/proc/${pid}/fd`)
    .map((fd) => readlinkOrNone(`/proc/${pid}/fd/${fd}`))
    .filter((path) => path.startsWith(cache));
  const threads = readdirSync(`/proc/${pid}/task`).map((id) =>
    readFileSync(`/proc/${pid}/task/${id}/comm`, 'latin1').trim(),
  );
  const counts = ['sluice-fuse', 'sluice-waker', 'sluice-timer', 'sluice-notify'].map(
    (name) => threads.filter((thread) => thread === name).length,
  );
  const isRight = counts.every((count) => count === 0) || counts.join(' ') === '2 1 1 1';
  return isRight ? files : [...files, `threads ${counts.join(' ')}`];
}

function readlinkOrNone(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** Processes in uninterruptible sleep whose arguments name `folder`. */
function sleepersOn(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const arguments_ = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        const state = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
        return state === 'D' && arguments_.includes(folder) ? [`${pid} ${arguments_}`] : [];
      } catch {
        return [];
      }
    });
}

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
  const remount = async (way: Ending) => {
    daemonChanges += 1;
    t.comment(`the mount ends by ${way}`);
    if (way === 'kill') daemon.process.kill('SIGKILL');
    else if (way === 'abort') abortConnection(daemon.mountpoint);
    else await world.sluice(['unmount', `--${way}`, daemon.mountpoint]);
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
      if (round === 4 && seed % 5 !== 4) await remount(ENDINGS[seed % 5]!);
    }
  })();
  await Promise.all([...readers, chaos]);

  const quiet = await eventually(async () => {
    const { readsInFlight, stores } = await world.status(daemon.mountpoint);
    return readsInFlight.length === 0 && stores.every((store) => store.handles + store.partsInFlight === 0);
  });
  t.ok(quiet, 'all gauges are at zero');
  t.same(leftovers(daemon.process.pid!, cache), [], 'no descriptor of a local file and no thread too many');
  t.same(sleepersOn(world.scratch), [], 'no process is stuck');
  daemon.process.kill('SIGTERM');
  t.equal(await daemon.exited, 0, daemon.output());
  t.notOk(isMounted(daemon.mountpoint));
  t.same(readdirSync(cache), [], 'no temp file is left');
  t.comment(`${readsChecked} reads checked`);
});
