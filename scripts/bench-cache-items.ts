/**
 * What a cache must stand, as bench-cache.ts measures it: each item starts daemons on a cache directory of its own, looks
 * at every byte that it reads, and says what it found.
 */
import { mkdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BLOCK_BYTES } from '../src/runtime/block-checksums.js';
import { fillPattern } from '../src/runtime/pattern.js';
import { DEFAULT_CREDENTIALS } from '../src/s3-server/server.js';
import { chances, killDuringFill } from '../test/support/cache-kills.js';
import * as cache from '../test/support/cache-world.js';
import type { CacheWorld } from '../test/support/cache-world.js';
import { BUCKET } from '../test/support/mount-harness.js';
import { run } from '../test/support/processes.js';
import type { Bar } from './bench-results.js';
import { safetensorsHeader } from './bench-safetensors.js';
import * as bench from './bench-support.js';

export interface ItemPlace {
  readonly world: CacheWorld;
  /** An empty folder of the item's own on the disk of the cache. */
  readonly folder: string;
  readonly cleanup: bench.Cleanup;
  readonly sizeBytes: number;
  readonly runs: number;
}

export type Item = (place: ItemPlace) => Promise<Bar[]>;

const { MIB } = bench;
const SEED = 1;
/** Mounts with the defaults have 32 connections, of which 8 are for names. */
const DATA_CONNECTIONS = 24;
const PART_BYTES = 16 * MIB;

/** @throws when a byte is wrong */
async function readAll(path: string, seed: number): Promise<number> {
  return (await bench.benchReader(['read', path, '--verify', seed])).seconds;
}

async function timeOf(path: string): Promise<number> {
  const reading = await bench.benchReader([
    'run',
    'dd',
    `if=${path}`,
    'of=/dev/null',
    'bs=1M',
    'status=none',
  ]);
  return reading.seconds;
}

/** As a download leaves it: how large the pieces are that a file was written in decides what it costs to map it. */
async function download({ server }: CacheWorld, key: string, path: string): Promise<void> {
  const { accessKeyId, secretAccessKey } = DEFAULT_CREDENTIALS;
  const quietly = ['--silent', '--show-error', '--fail', '--output', path];
  const signed = ['--aws-sigv4', 'aws:amz:us-east-1:s3', '--user', `${accessKeyId}:${secretAccessKey}`];
  const unsigned = ['--header', 'x-amz-content-sha256: UNSIGNED-PAYLOAD'];
  const url = `${server.endpoint}/${BUCKET}/${key}`;
  const { code, stderr } = await run('curl', [...quietly, ...signed, ...unsigned, url]);
  if (code !== 0) throw new Error(`curl ended with ${code}: ${stderr}`);
}

/** Item 1: after a restart nothing is fetched, and reading costs what it costs from the local disk. */
export const restart: Item = async ({ world, folder, sizeBytes, runs }) => {
  const shardBytes = Math.floor(sizeBytes / 4);
  const shards = ['s0', 's1', 's2', 's3'];
  const downloads = join(folder, 'downloads');
  mkdirSync(downloads);
  await world.server.putSynthetic(BUCKET, 'big', { size: sizeBytes, seed: SEED });
  await bench.benchReader(['make', join(folder, 'big'), '--size', sizeBytes, '--verify', SEED]);
  for (const [i, key] of shards.entries()) {
    const bytes = fillPattern(Buffer.allocUnsafe(shardBytes), SEED + i, 0) as Buffer;
    safetensorsHeader(shardBytes).copy(bytes);
    await world.server.putObject(BUCKET, key, bytes, { checksumAlgorithm: 'CRC64NVME' });
    writeFileSync(join(folder, key), bytes);
    await download(world, key, join(downloads, key));
  }
  const load = async (root: string, ...options: readonly (string | number)[]) =>
    (await bench.benchProgram('loader', [...shards.map((key) => join(root, key)), ...options])).seconds;

  const first = await world.mountCached();
  await readAll(join(first.mountpoint, 'big'), SEED);
  await load(first.mountpoint, '--verify', SEED);
  await cache.unmount(world, first);
  const before = world.fetched();
  const [reads, loads, loadsOfDownloads]: [number[], number[], number[]] = [[], [], []];
  await readAll(join(folder, 'big'), SEED);
  for (let round = 0; round < runs; round += 1) {
    const daemon = await world.mountCached();
    await bench.warmMemory(sizeBytes + 256 * MIB);
    reads.push((await timeOf(join(daemon.mountpoint, 'big'))) / (await timeOf(join(folder, 'big'))));
    const seconds = await load(daemon.mountpoint);
    loads.push(seconds / (await load(folder)));
    loadsOfDownloads.push(seconds / (await load(downloads)));
    await readAll(join(daemon.mountpoint, 'big'), SEED);
    await cache.unmount(world, daemon);
  }
  return [
    { of: 'restart: bytes fetched again', value: world.fetched() - before, limit: { atMost: 0 } },
    { of: 'restart: time of dd ÷ local file', value: bench.median(reads), limit: { atMost: 1.33 } },
    {
      of: 'restart: time of a loader ÷ local files that curl wrote',
      value: bench.median(loadsOfDownloads),
      limit: { atMost: 1.5 },
    },
    {
      of: 'restart: time of a loader ÷ local files that were written at once',
      value: bench.median(loads),
      limit: { atMost: 1.5 },
    },
  ];
};

/** Item 2: `KILLS` (50) times kill -9 while one object is filled. */
export const kill: Item = async ({ world, sizeBytes }) => {
  const kills = bench.parameter('KILLS', 50);
  await world.server.putSynthetic(BUCKET, 'model', { size: sizeBytes, seed: SEED });
  // So that little of what was sent lies unread in sockets: that is counted as sent.
  world.server.faults.connectionBytesPerSecond = 16 * MIB;
  const place = { key: 'model', size: sizeBytes, seed: SEED, mountOptions: ['--hedge=off'] };
  const chance = chances(bench.parameter('SEED', process.pid));
  const outcomes = [];
  for (let round = 0; round < kills; round += 1) {
    outcomes.push(await killDuringFill(world, { ...place, stepBytes: sizeBytes / kills, chance }));
  }
  world.server.faults.connectionBytesPerSecond = 0;
  const last = await world.mountCached();
  await readAll(join(last.mountpoint, 'model'), SEED);
  await cache.unmount(world, last);
  return [
    {
      of: `kill: with wrong bytes, of ${kills}`,
      value: outcomes.filter(({ firstWrong }) => firstWrong !== -1).length,
      limit: { atMost: 0 },
    },
    {
      of: 'kill: MiB fetched again at most after one',
      value: Math.max(...outcomes.map(({ bytesAgain }) => bytesAgain)) / MIB,
      limit: { atMost: DATA_CONNECTIONS + PART_BYTES / MIB },
    },
  ];
};

/** Item 4: ten objects as large as the budget, then one ten times as large, in order and at random. */
export const budget: Item = async ({ world, cleanup, sizeBytes }) => {
  const COUNT = 10;
  for (let seed = 0; seed < COUNT; seed += 1) {
    await world.server.putSynthetic(BUCKET, `f${seed}`, { size: sizeBytes, seed });
  }
  await world.server.putSynthetic(BUCKET, 'huge', { size: COUNT * sizeBytes, seed: SEED });
  const daemon = await world.mountCached([`--cache-bytes-max=${sizeBytes}B`]);
  const disk = cache.watchDisk(
    { teardown: (end: () => unknown) => cleanup.push(() => void end()) },
    world.cacheDir,
  );
  for (let seed = 0; seed < COUNT; seed += 1) await readAll(join(daemon.mountpoint, `f${seed}`), seed);
  const small = disk.most();
  const huge = join(daemon.mountpoint, 'huge');
  const random = bench.benchAccessDuring(
    ['random', huge, '--block', 64 * 1024, '--count', 1_000_000, '--verify', SEED],
    readAll(huge, SEED),
  );
  const { operations } = await random;
  const { totals } = await world.status(daemon.mountpoint);
  await cache.unmount(world, daemon);
  const limit = { atMost: sizeBytes / MIB + (DATA_CONNECTIONS * PART_BYTES) / MIB };
  return [
    { of: `budget: MiB on disk at most, ${COUNT} objects`, value: small / MIB, limit },
    { of: 'budget: the same, one of ten times the budget', value: disk.most() / MIB, limit },
    { of: 'budget: random reads beside it', value: operations, limit: { atLeast: 100 } },
    { of: 'budget: reads that failed', value: totals.readErrors, limit: { atMost: 0 } },
  ];
};

/** Item 5: a disk that fills up while an object is filled, and is emptied again. */
export const full: Item = async ({ world, folder, sizeBytes, cleanup }) => {
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', folder]);
  if (mounted.code !== 0) throw new Error(`a small disk takes root: ${mounted.stderr}`);
  cleanup.push(async () => void (await run('umount', ['--lazy', folder])));
  const small = { ...world, cacheDir: join(folder, 'cache') };
  await world.server.putSynthetic(BUCKET, 'large', { size: 2 * sizeBytes, seed: SEED });
  await world.server.putSynthetic(BUCKET, 'after', { size: sizeBytes / 4, seed: SEED });
  const daemon = await world.mount(['--cache-dir', small.cacheDir, '--cache-bytes-max=1TiB']);
  const [large, after] = [join(daemon.mountpoint, 'large'), join(daemon.mountpoint, 'after')];
  await readAll(large, SEED);
  const filler = join(folder, 'filler');
  const { bavail, bsize } = statfsSync(folder);
  // A little is left: some window must be possible.
  const fillerBytes = Math.max(0, bavail * bsize - 32 * MIB);
  await bench.benchReader(['make', filler, '--size', fillerBytes, '--verify', SEED]);
  await readAll(large, SEED);
  rmSync(filler);
  await readAll(after, SEED);
  const before = world.fetched();
  await readAll(after, SEED);
  const { totals } = await world.status(daemon.mountpoint);
  const again = world.fetched() - before;
  await cache.unmount(world, daemon);
  return [
    { of: 'full disk: reads that failed', value: totals.readErrors, limit: { atMost: 0 } },
    { of: 'full disk: bytes fetched again when there is room', value: again, limit: { atMost: 0 } },
  ];
};

/** Item 6: one byte in each of twenty files is flipped between two mounts. */
export const flip: Item = async ({ world, sizeBytes }) => {
  const COUNT = 20;
  const size = Math.floor(sizeBytes / COUNT);
  const keys = Array.from({ length: COUNT }, (_, i) => `flip${i}`);
  for (const [seed, key] of keys.entries()) await world.server.putSynthetic(BUCKET, key, { size, seed });
  const first = await world.mountCached();
  for (const [seed, key] of keys.entries()) await readAll(join(first.mountpoint, key), seed);
  await cache.unmount(world, first);
  const files = cache.dataFiles(world.cacheDir).filter((path) => statSync(path).size === size);
  const places = files.map((_, i) => Math.floor((size * i) / files.length));
  for (const [i, path] of files.entries()) cache.flipByte(path, places[i] ?? 0);
  const bad = places.reduce(
    (sum, place) => sum + Math.min(BLOCK_BYTES, size - place + (place % BLOCK_BYTES)),
    0,
  );
  const before = world.fetched();
  // A second request for a slow part would count.
  const daemon = await world.mountCached(['--hedge=off']);
  for (const [seed, key] of keys.entries()) await readAll(join(daemon.mountpoint, key), seed);
  const again = world.fetched() - before;
  await cache.unmount(world, daemon);
  return [
    { of: 'flip: files with a flipped byte', value: files.length, limit: { atLeast: COUNT } },
    { of: 'flip: bytes fetched again ÷ their blocks', value: again / bad, limit: { atLeast: 1 } },
    // A part may reach into the block behind, when that was not looked at yet.
    { of: 'flip: the same', value: again / bad, limit: { atMost: 2 } },
  ];
};
