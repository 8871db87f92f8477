/**
 * A daemon that is killed again and again while it fills one object: each next one reads what had come, and goes on. Used
 * by the mount test and by scripts/bench-cache.ts, which does it with larger objects.
 */
import { join } from 'node:path';
import type { GetRecord } from '../../src/s3-server/counters.js';
import { firstWrongByte, getsSince, kill, sentAgain } from './cache-world.js';
import type { CacheWorld } from './cache-world.js';
import { BUCKET } from './mount-harness.js';
import { eventually, run } from './processes.js';

export interface KillOptions {
  readonly key: string;
  readonly size: number;
  /** Of the pattern that the object has. */
  readonly seed: number;
  readonly mountOptions: readonly string[];
  /** Bytes that are sent between two kills, on average. */
  readonly stepBytes: number;
  /** Where in a fill the kills come follows from it. */
  readonly chance: () => number;
}

/** What was found after one kill. */
export interface KillOutcome {
  /** Of what had been sent without a gap from the beginning; -1: all of it was right. */
  readonly firstWrong: number;
  readonly knownBytes: number;
  /** That the server sent, and had sent before. */
  readonly bytesAgain: number;
}

/** Mounts, reads what is known, reads on, and kills. */
export async function killDuringFill(world: CacheWorld, options: KillOptions): Promise<KillOutcome> {
  const { key, size, seed, mountOptions, stepBytes, chance } = options;
  const before = world.server.counters.gets(BUCKET, key);
  const knownBytes = contiguous(before);
  const daemon = await world.mountCached(mountOptions);
  const file = join(daemon.mountpoint, key);
  const firstWrong = await firstWrongByte(file, knownBytes, seed);
  const reader = run('dd', [`if=${file}`, 'of=/dev/null', 'bs=128K', 'status=none']);
  const enough = world.fetched() + chance() * 2 * stepBytes;
  await eventually(() => world.fetched() >= enough || knownBytes === size);
  await kill(daemon);
  await reader;
  return { firstWrong, knownBytes, bytesAgain: sentAgain(before, getsSince(world, key, before.length)) };
}

/** Numbers from 0 to 1 that repeat with the seed. */
export function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Bytes from the beginning without a gap that were sent. */
function contiguous(gets: readonly GetRecord[]): number {
  let end = 0;
  for (const { start, bytesSent } of gets.toSorted((a, b) => a.start - b.start)) {
    if (start <= end) end = Math.max(end, start + bytesSent);
  }
  return end;
}
