/** Caches on a directory of a test, and copies that are filled with bytes which say where they belong. */
import { closeSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { Cache } from '../../src/cache/cache.js';
import type { CacheDeps, CacheOptions } from '../../src/cache/cache.js';
import type { LocalCopy } from '../../src/cache/local-copy.js';
import { loadNativeAddon } from '../../src/native.js';
import { silentLogger } from '../../src/observability/logger.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { BlockChecksummer } from '../../src/runtime/block-checksummer.js';
import { BLOCK_BYTES } from '../../src/runtime/block-checksums.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import type { ByteRange } from '../../src/runtime/range.js';
import { systemClock } from '../../src/runtime/clock.js';

export const addon = loadNativeAddon();
const functions = checksumFunctions(addon);

export type RigOptions = Partial<CacheOptions> & Partial<CacheDeps>;

/** Of 1 GiB, on a disk that is never too full. */
export function openCache(directory: string, options: RigOptions = {}): Promise<Cache> {
  const { bytesMax = 1024 ** 3, freeBytesMin = 0, fillsNothing, ...deps } = options;
  return Cache.open(
    directory,
    { bytesMax, freeBytesMin, fillsNothing },
    { clock: systemClock, logger: silentLogger, metrics: { evicted: () => {} }, addon, ...deps },
  );
}

export function version(key: string, size = 3 * BLOCK_BYTES + 5000, etag = '"1"'): ObjectVersion {
  return { endpoint: 'http://s3', bucket: 'b', key, etag, size };
}

/** Byte `offset` of a version. */
export function contentOf({ key, etag }: ObjectVersion, start: number, end: number): Uint8Array {
  let seed = 7;
  for (const character of key + etag) seed = (seed * 31 + character.charCodeAt(0)) | 0;
  const bytes = new Uint8Array(end - start);
  for (let at = start; at < end; at++)
    bytes[at - start] = (Math.imul(at ^ seed, 0x9e3779b1) >>> 17) ^ (at >>> 12);
  return bytes;
}

/** Brings `[start, end)` as a download would: counted, written, summed, published. False when there is no room. */
export function bring(copy: LocalCopy, object: ObjectVersion, start: number, end: number): boolean {
  if (!copy.reserve(end - start)) return false;
  const bytes = contentOf(object, start, end);
  const descriptor = openOrCreate(copy.path, object.size);
  writeSync(descriptor, bytes, 0, bytes.length, start);
  closeSync(descriptor);
  new BlockChecksummer(copy.memory.checksums, functions, start).update(bytes, 0, bytes.length);
  copy.memory.availability.publish({ start, end });
  return true;
}

export function fill(copy: LocalCopy, object: ObjectVersion): void {
  if (!bring(copy, object, 0, object.size)) throw new Error(`there is no room for ${object.key}`);
  copy.filled('matches', 'crc32c:00000000');
}

/** The first byte that is said to be there and is not the object's; undefined when there is none. */
export function firstLie(copy: LocalCopy, object: ObjectVersion): number | undefined {
  const { availability } = copy.memory;
  // Others may publish meanwhile: first what is there, then the bytes.
  const there: ByteRange[] = [];
  for (let start = 0; start < object.size; start += 4096) {
    const page = { start, end: Math.min(start + 4096, object.size) };
    if (availability.has(page)) there.push(page);
  }
  if (there.length === 0) return undefined;
  const bytes = readFileSync(copy.path);
  const expected = contentOf(object, 0, object.size);
  for (const { start, end } of there) {
    for (let at = start; at < end; at++) if (bytes[at] !== expected[at]) return at;
  }
  return undefined;
}

/** Changes one byte, as a disk or a person would. */
export function flip(path: string, offset: number): void {
  const descriptor = openSync(path, 'r+');
  const byte = new Uint8Array(1);
  readSync(descriptor, byte, 0, 1, offset);
  writeSync(descriptor, Uint8Array.of((byte[0] ?? 0) ^ 1), 0, 1, offset);
  closeSync(descriptor);
}

function openOrCreate(path: string, size: number): number {
  try {
    const descriptor = openSync(path, 'wx+', 0o600);
    ftruncateSync(descriptor, size);
    return descriptor;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return openSync(path, 'r+');
  }
}
