/**
 * A day in the life of a cache, a step at a time, and what must be true after it, wherever it ended: for tests that have
 * each of its file operations fail, or kill the process there.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Cache } from '../../src/cache/cache.js';
import { realFiles } from '../../src/cache/file-operations.js';
import type { FileOperations } from '../../src/cache/file-operations.js';
import type { LocalCopy } from '../../src/cache/local-copy.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { BLOCK_BYTES } from '../../src/runtime/block-checksums.js';
import { bring, contentOf, firstLie, openCache, version } from './cache-rig.js';

const MIB = BLOCK_BYTES;
const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((key) => version(key, 2 * MIB + 5000)) as [
  ObjectVersion,
  ObjectVersion,
  ObjectVersion,
  ObjectVersion,
];
/** Two whole copies and a half. */
export const BYTES_MAX = 5 * MIB + 100_000;
/** Maps of copies that nothing was counted for yet, and rounding. */
const UNCOUNTED_BYTES_MAX = 64 * 1024;

/** The real operations, with a call before each; but a descriptor whose closing fails is closed all the same. */
export function interposed(before: (operation: string) => void): FileOperations {
  const wrapped = Object.entries(realFiles).map(([name, operation]) => [
    name,
    (...args: never[]) => {
      if (name === 'close') operation(...args);
      before(name);
      return name === 'close' ? undefined : operation(...args);
    },
  ]);
  return Object.fromEntries(wrapped);
}

/** @param step called between the steps of what is no operation of the cache itself */
export async function live(directory: string, files: FileOperations, step: () => void): Promise<void> {
  const cache = await openCache(directory, { files, bytesMax: BYTES_MAX });
  const use = (object: ObjectVersion, ...ends: number[]) => {
    const copy = cache.acquire(object);
    let start = copy.memory.availability.contiguousBytes;
    for (const end of ends) {
      step();
      if (end > start && !bring(copy, object, start, end)) copy.detach();
      start = Math.max(start, end);
    }
    step();
    return copy;
  };
  // Of which no operation fails.
  const other = await openCache(directory, { bytesMax: BYTES_MAX });
  const copy = use(a, MIB, a.size);
  const follower = other.acquire(a);
  copy.filled('matches');
  step();
  copy.release();
  goOn(follower, a);
  use(b, MIB).release();
  use(b, 2 * MIB).release();
  step();
  // What arrived is not the object.
  const wrong = cache.acquire(c);
  wrongly(wrong);
  step();
  wrong.condemn();
  wrong.release();
  use(a).release();
  step();
  // There is no room for it beside the others.
  const last = use(d, MIB, d.size);
  last.filled('none');
  last.release();
  cache.close();
  other.close();
}

/** As one who reads it to its end, though its owner has left it wherever it was. */
function goOn(copy: LocalCopy, object: ObjectVersion): void {
  if (copy.role === 'follower') copy.takeOver();
  const lie = firstLie(copy, object);
  if (lie !== undefined) throw new Error(`${object.key} is wrong at ${lie} to who goes on with it`);
  const { availability } = copy.memory;
  if (!availability.complete && !bring(copy, object, availability.contiguousBytes, object.size))
    copy.detach();
  if (availability.complete) copy.filled('matches');
  copy.release();
}

function wrongly(copy: LocalCopy): void {
  bring(copy, { ...c, etag: '"wrong"' }, 0, c.size);
}

/** What is untrue in the directory; '' when nothing is. */
export async function untruths(directory: string, objects = [a, b, c, d]): Promise<string> {
  const cache = await openCache(directory, { bytesMax: BYTES_MAX });
  try {
    return whatIsUntrue(directory, cache, objects);
  } finally {
    cache.close();
  }
}

function whatIsUntrue(directory: string, cache: Cache, objects: readonly ObjectVersion[]): string {
  const { bytes } = cache.stats();
  const taken = diskBytes(directory);
  if (bytes > BYTES_MAX) return `${bytes} bytes are counted, of ${BYTES_MAX}`;
  if (taken > bytes + UNCOUNTED_BYTES_MAX) return `${taken} bytes lie there, ${bytes} are counted`;
  for (const object of objects) {
    const copy = cache.acquire(object);
    if (copy.role !== 'owner') return `${object.key} cannot be claimed`;
    const lie = firstLie(copy, object);
    if (lie !== undefined) return `${object.key} is wrong at ${lie}, and said to be ${copy.trust}`;
    if (copy.trust === 'complete' && !isWhole(copy, object)) return `${object.key} is not complete`;
    if (copy.trust === 'unverified' && copy.memory.availability.arrivedBytes > 0)
      return 'what is unverified is believed';
    copy.release();
  }
  cache.evict({});
  const left = dataFiles(directory);
  if (left.length > 0) return `${left.join(', ')} cannot be evicted`;
  if (cache.stats().bytes !== 0) return `${cache.stats().bytes} bytes are counted, of nothing`;
  const owners = readdirSync(join(directory, 'owners')).filter((name) => !name.startsWith(cache.ownerId));
  return owners.length > 0 ? `${owners.join(', ')} is left of a dead owner` : '';
}

function isWhole(copy: LocalCopy, object: ObjectVersion): boolean {
  return readFileSync(copy.path).equals(contentOf(object, 0, object.size));
}

export function dataFiles(directory: string): string[] {
  return files(directory).map(({ name }) => name);
}

/** What all files of copies take on disk. */
export function diskBytes(directory: string): number {
  return files(directory).reduce((sum, { bytes }) => sum + bytes, 0);
}

function files(directory: string): { readonly name: string; readonly bytes: number }[] {
  const data = join(directory, 'data');
  return readdirSync(data, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    // Others may delete meanwhile.
    const stat = statSync(join(data, name), { throwIfNoEntry: false });
    return stat?.isFile() === true ? [{ name, bytes: stat.blocks * 512 }] : [];
  });
}
