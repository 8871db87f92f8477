/**
 * Four daemons share a cache directory: many readers read all objects of a bucket, each in an order of its own and each
 * byte compared, while two of the daemons are killed. Prints what the server sent ÷ what there is to send. Readers of a
 * killed daemon go on through another one; a reader of a daemon that lives may not fail.
 *
 *   OBJECTS=200 SIZE_MAX_MIB=256 DAEMONS=4 READERS=16 KILLS=2 ROUND_TRIP_MS=20 node dist/scripts/bench-share-cache.js
 *
 * The sizes lie between 1 KiB and SIZE_MAX_MIB, more of the large ones: 9 GiB in all by default, which the disk has to
 * hold; the server computes the bytes as it sends them.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { sleep, systemClock } from '../src/runtime/clock.js';
import { cleanEnvironment } from '../test/support/mount-harness.js';
import { SimulatedClock } from '../test/support/simulated-clock.js';
import { judge } from './bench-results.js';
import { chooseScale } from './bench-scale.js';
import type { BenchObject } from './bench-server.js';
import * as bench from './bench-support.js';
import type { Cleanup } from './bench-support.js';
import { BUCKET, mountSluice } from './bench-systems.js';
import type { Mounted } from './bench-systems.js';
import { BenchServer } from './bench-world.js';

const OBJECTS = bench.parameter('OBJECTS', 200);
const SIZE_MAX = bench.parameter('SIZE_MAX_MIB', 256) * bench.MIB;
const DAEMONS = bench.parameter('DAEMONS', 4);
const READERS = bench.parameter('READERS', 16);
const KILLS = Math.min(bench.parameter('KILLS', 2), DAEMONS - 1);
const SEED = bench.parameter('SEED', 1);
const SIZE_MIN = 1024;
/** Below 1, large objects are more frequent than with even steps of the logarithm. */
const SIZE_EXPONENT = 0.4;

const AMPLIFICATION_MAX = 1.02;
/** What a killed daemon had in flight at most: a buffer of each connection for bytes, and one part. */
const CONNECTIONS_MAX = 32;
const IN_FLIGHT_MAX = CONNECTIONS_MAX * bench.MIB + 16 * bench.MIB;
/** How often is looked whether it is time to kill. */
const WATCH_MS = 20;

interface SharingDaemon {
  readonly mount: Mounted;
  isKilled: boolean;
}

await bench.runBenchmark(main);

async function main(cleanup: Cleanup): Promise<number> {
  const folder = bench.temporaryFolder(cleanup);
  mkdirSync(join(folder, 'run'), { mode: 0o700 });
  const scale = chooseScale(false);
  const server = await BenchServer.start({ dir: join(folder, 's3'), bucket: BUCKET }, cleanup, scale);
  const objects = Array.from({ length: OBJECTS }, (_, index) => objectOf(index));
  const bytes = objects.reduce((sum, { size }) => sum + size, 0);
  await server.prepare(objects);
  await server.network('late');

  const daemons = await startDaemons(folder, server.endpoint, cleanup);
  await server.ask({ do: 'reset' });
  const startMs = systemClock.nowMs();
  const reading = readAll(daemons, objects);
  const killing = killSome(daemons, server, bytes, reading);
  const retries = await reading;
  await killing;
  const seconds = (systemClock.nowMs() - startMs) / 1000;
  await sleep(systemClock, scale.settleMs);
  const { bytesSent } = await server.ask({ do: 'count' });
  return report({
    bytes,
    bytesSent,
    seconds,
    retries,
    killed: daemons.filter(({ isKilled }) => isKilled).length,
  });
}

function objectOf(index: number): BenchObject {
  const share = ((index + 0.5) / OBJECTS) ** SIZE_EXPONENT;
  const size = Math.round(SIZE_MIN * (SIZE_MAX / SIZE_MIN) ** share);
  return { key: `object-${String(index).padStart(4, '0')}`, size, seed: index + 1, kind: 'synthetic' };
}

async function startDaemons(folder: string, endpoint: string, cleanup: Cleanup): Promise<SharingDaemon[]> {
  const place = { folder, cleanup, env: cleanEnvironment(folder) };
  const options = ['--cache-dir', join(folder, 'cache'), '--connections-max', String(CONNECTIONS_MAX)];
  const daemons: SharingDaemon[] = [];
  for (let number = 0; number < DAEMONS; number += 1) {
    const mount = await mountSluice(place, endpoint, { name: `daemon-${number}`, options });
    daemons.push({ mount, isKilled: false });
  }
  return daemons;
}

/** Resolves with the number of reads that were made again through another daemon. @throws when one fails otherwise */
async function readAll(daemons: readonly SharingDaemon[], objects: readonly BenchObject[]): Promise<number> {
  const chance = new SimulatedClock({ seed: SEED });
  const retries = await Promise.all(
    Array.from({ length: READERS }, (_, reader) => readInOrder(daemons, shuffled(objects, chance), reader)),
  );
  return retries.reduce((sum, count) => sum + count, 0);
}

async function readInOrder(
  daemons: readonly SharingDaemon[],
  objects: readonly BenchObject[],
  reader: number,
): Promise<number> {
  let retries = 0;
  for (const object of objects) {
    while (!(await readOne(daemons, object, reader))) retries += 1;
  }
  return retries;
}

/** False when the daemon was killed meanwhile. @throws when it was not, and a byte was wrong or could not be had */
async function readOne(
  daemons: readonly SharingDaemon[],
  { key, size, seed }: BenchObject,
  reader: number,
): Promise<boolean> {
  const alive = daemons.filter(({ isKilled }) => !isKilled);
  const daemon = alive[reader % alive.length];
  if (daemon === undefined) throw new Error('no daemon is left');
  try {
    const { bytes } = await bench.benchReader(['read', join(daemon.mount.root, key), '--verify', seed]);
    if (bytes !== size) throw new Error(`${bytes} of ${size} bytes of ${key}`);
    return true;
  } catch (error) {
    if (daemon.isKilled && !/wrong/.test(String(error))) return false;
    throw error;
  }
}

/** Kills the daemons one after the other, when so much of the work is done. */
async function killSome(
  daemons: readonly SharingDaemon[],
  server: BenchServer,
  bytes: number,
  reading: Promise<unknown>,
): Promise<void> {
  let isDone = false;
  const end = () => (isDone = true);
  reading.then(end, end);
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const daemon = daemons[kill];
    while (!isDone && (await server.ask({ do: 'count' })).bytesSent < (bytes * kill) / (KILLS + 1)) {
      await sleep(systemClock, WATCH_MS);
    }
    if (daemon === undefined || isDone) return;
    daemon.isKilled = true;
    process.kill(daemon.mount.pid, 'SIGKILL');
  }
}

function shuffled<T>(items: readonly T[], chance: SimulatedClock): T[] {
  return items
    .map((item) => ({ item, at: chance.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

interface Outcome {
  readonly bytes: number;
  readonly bytesSent: number;
  readonly seconds: number;
  readonly retries: number;
  readonly killed: number;
}

function report({ bytes, bytesSent, seconds, retries, killed }: Outcome): number {
  const mib = (value: number) => `${(value / bench.MIB).toFixed(1)} MiB`;
  bench.print(
    `${DAEMONS} daemons on one cache directory, ${READERS} readers of ${OBJECTS} objects, ${killed} killed`,
  );
  bench.print('');
  bench.print(`to fetch          ${mib(bytes)}`);
  bench.print(`fetched           ${mib(bytesSent)}, ${mib(bytesSent - bytes)} more`);
  bench.print(`read and compared ${mib(bytes * READERS)} in ${seconds.toFixed(1)} s`);
  bench.print(`read again        ${retries} times, of daemons that were killed`);
  bench.print('');
  const bars = [
    { of: 'daemons killed on the way', value: killed, limit: { atLeast: KILLS } },
    {
      of: 'fetched, but for what the killed had in flight, ÷ to fetch',
      value: Math.max(1, (bytesSent - killed * IN_FLIGHT_MAX) / bytes),
      limit: { atMost: AMPLIFICATION_MAX },
    },
  ];
  return judge(bars, bench.print);
}
