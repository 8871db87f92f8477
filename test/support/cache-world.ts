/**
 * Daemons that come and go on one cache directory, for the tests of what survives: ends of all kinds, what lies on disk
 * then, what the server is asked for again. Files of the cache are looked at and damaged from outside, as a disk would.
 */
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { systemClock } from '../../src/runtime/clock.js';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import type { GetRecord } from '../../src/s3-server/counters.js';
import { BUCKET, isMounted, read, startWorld } from './mount-harness.js';
import type { Daemon, World, WorldOptions } from './mount-harness.js';
import { run } from './processes.js';

export const MIB = 1024 * 1024;

export interface CacheWorld extends World {
  readonly cacheDir: string;
  /** With this world's cache directory. */
  readonly mountCached: (options?: readonly string[]) => Promise<Daemon>;
  /** Object bytes that the server sent so far. */
  readonly fetched: () => number;
}

export async function startCacheWorld(
  t: Pick<Test, 'teardown'>,
  { cacheDir, ...options }: WorldOptions & { readonly cacheDir?: string } = {},
): Promise<CacheWorld> {
  const world = await startWorld(t, options);
  const directory = cacheDir ?? join(world.scratch, 'cache');
  return {
    ...world,
    cacheDir: directory,
    mountCached: (options = []) => world.mount(['--cache-dir', directory, ...options]),
    fetched: () => world.server.counters.operation('GetObject').bytesSent,
  };
}

/** As a user ends it. */
export async function unmount({ sluice }: World, daemon: Daemon): Promise<void> {
  const { mountpoint, exited } = daemon;
  const { code, stderr } = await sluice(['unmount', mountpoint]);
  if (code !== 0) throw new Error(`unmount failed with ${code}: ${stderr}`);
  if ((await exited) !== 0) throw new Error(`the daemon ended with ${await exited}:\n${daemon.output()}`);
}

/** As the kernel ends it. */
export async function kill({ process: child, mountpoint, exited }: Daemon): Promise<void> {
  child.kill('SIGKILL');
  await exited;
  if (isMounted(mountpoint)) await run('umount', ['-l', mountpoint]);
}

/** Read at a time by a program of its own, since all of it is kept in memory here. */
const PIECE_BYTES = 64 * MIB;

/** Where the first wrong byte lies that programs read, or -1; one that cannot be read is wrong. */
export async function firstWrongByte(path: string, size: number, seed: number): Promise<number> {
  for (let at = 0; at < size; at += PIECE_BYTES) {
    const bytes = Math.min(PIECE_BYTES, size - at);
    const { stdout } = await read(path, at, bytes);
    const wrong = findPatternMismatch(stdout, seed, at);
    if (wrong !== -1) return at + wrong;
    if (stdout.length < bytes) return at + stdout.length;
  }
  return -1;
}

/** The files of copies, without what is noted of them. */
export function dataFiles(cacheDir: string): string[] {
  return readdirSync(join(cacheDir, 'data'), { recursive: true, encoding: 'utf8' })
    .map((name) => join(cacheDir, 'data', name))
    .filter((path) => !path.endsWith('.map') && statSync(path).isFile())
    .toSorted();
}

/** Bytes that everything below the folder takes from the disk. Files come and go meanwhile. */
export function diskBytes(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    bytes += (statSync(join(folder, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return bytes;
}

export function flipByte(path: string, offset: number): void {
  const byte = Buffer.alloc(1);
  const descriptor = openSync(path, 'r+');
  readSync(descriptor, byte, 0, 1, offset);
  byte[0] = (byte[0] ?? 0) ^ 1;
  writeSync(descriptor, byte, 0, 1, offset);
  closeSync(descriptor);
}

/** Bytes of `now` that were sent `before` as well. */
export function sentAgain(before: readonly GetRecord[], now: readonly GetRecord[]): number {
  const known = merged(before);
  let bytes = 0;
  for (const one of merged(now)) {
    for (const { start, end } of known) {
      bytes += Math.max(0, Math.min(end, one.end) - Math.max(start, one.start));
    }
  }
  return bytes;
}

/** What was sent, in order and without overlaps. */
function merged(records: readonly GetRecord[]): { start: number; end: number }[] {
  const ranges = records
    .map(({ start, bytesSent }) => ({ start, end: start + bytesSent }))
    .toSorted((a, b) => a.start - b.start);
  const result: { start: number; end: number }[] = [];
  for (const { start, end } of ranges) {
    const last = result.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else result.push({ start, end });
  }
  return result;
}

/** What the server was asked for of an object since `from` requests. */
export function getsSince({ server }: World, key: string, from: number): readonly GetRecord[] {
  return server.counters.gets(BUCKET, key).slice(from);
}

/** Looks every few milliseconds at what the folder takes from the disk, until the test ends. */
export function watchDisk(t: Pick<Test, 'teardown'>, folder: string) {
  let most = 0;
  let looks = 0;
  let cancel = () => {};
  const look = () => {
    most = Math.max(most, diskBytes(folder));
    looks += 1;
    cancel = systemClock.after(5, look);
  };
  look();
  t.teardown(() => cancel());
  return { most: () => most, looks: () => looks };
}
