/** How much the benchmarks of cold reads do: in earnest, and as a trial that shows in seconds that they work. */
import { GIB, MIB, parameter } from './bench-support.js';

export interface Scale {
  readonly runs: number;
  /** One large object, each of four shards, each of sixteen streams, and the object for random reads. */
  readonly bigBytes: number;
  readonly shardBytes: number;
  readonly streamBytes: number;
  readonly sparseBytes: number;
  readonly roundTripMs: number;
  readonly connectionBytesPerSecond: number;
  /** Random reads of one thread; sixteen do ten times as many. */
  readonly randomReads: number;
  /** Of a row that is far slower than it should be. */
  readonly randomSecondsMax: number;
  /** Names of which the first bytes are read. */
  readonly names: number;
  /** What a mount gets to open connections before it is used. */
  readonly restMs: number;
  /** From the end of the work to the second look at what was fetched. */
  readonly settleMs: number;
}

export function chooseScale(isShort: boolean): Scale {
  const full: Scale = {
    runs: parameter('RUNS', 5),
    bigBytes: parameter('SIZE_MIB', 1024) * MIB,
    shardBytes: 256 * MIB,
    streamBytes: 128 * MIB,
    sparseBytes: 10 * GIB,
    roundTripMs: parameter('ROUND_TRIP_MS', 20),
    connectionBytesPerSecond: parameter('CONNECTION_MIB', 60) * MIB,
    randomReads: 40,
    randomSecondsMax: 10,
    names: 16,
    restMs: 300,
    settleMs: 2000,
  };
  if (!isShort) return full;
  return {
    ...full,
    runs: 1,
    bigBytes: 4 * MIB,
    shardBytes: MIB,
    streamBytes: 256 * 1024,
    sparseBytes: 512 * MIB,
    roundTripMs: 2,
    randomReads: 8,
    randomSecondsMax: 2,
    names: 2,
    restMs: 0,
    settleMs: 0,
  };
}
