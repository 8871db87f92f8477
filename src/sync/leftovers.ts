/**
 * Clears away what interrupted synchronisations left in Sluice's own folder: parts of objects that are not there any
 * more. Called by sync.ts at the end of a run that saw everything.
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { HeldLock } from './kernel-lock.js';
import { hashOf } from './sync-folder.js';
import type { SyncFolder } from './sync-folder.js';

export interface LeftoverDeps {
  readonly folder: SyncFolder;
  readonly lock: (path: string) => HeldLock | undefined;
}

/** A key has at most 1 KiB, twice that in JSON, and there is an endpoint beside it. */
const HEAD_BYTES_MAX = 8 * 1024;

/**
 * Parts of other files than `names`, unless a part is of an object outside of this bucket and prefix: another
 * synchronisation into the same directory may go on with it.
 */
export function clearLeftovers(
  names: Iterable<string>,
  source: { readonly bucket: string; readonly prefix: string },
  { folder, lock }: LeftoverDeps,
): void {
  const kept = new Set([...names].map(hashOf));
  const hashes = new Set(readdirSync(folder.parts).map((name) => name.replace(/\.map$/, '')));
  for (const hash of hashes) {
    if (kept.has(hash)) continue;
    const paths = { part: join(folder.parts, hash), map: join(folder.parts, `${hash}.map`) };
    const held = lock(folder.lockOf(hash));
    if (held === undefined) continue;
    try {
      if (isOf(source, paths.map)) folder.discardPart(paths);
    } finally {
      held.release();
    }
  }
}

/** True also of small ones, which have no map and are not resumed. */
function isOf(
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
  map: string,
): boolean {
  const head = firstLine(map);
  if (head === undefined) return true;
  try {
    const identity = JSON.parse(JSON.parse(head) as string) as readonly unknown[];
    return identity[1] === bucket && String(identity[2]).startsWith(prefix);
  } catch {
    return true;
  }
}

function firstLine(path: string): string | undefined {
  try {
    const descriptor = openSync(path, 'r');
    const bytes = Buffer.alloc(HEAD_BYTES_MAX);
    const length = readSync(descriptor, bytes, 0, bytes.length, 0);
    closeSync(descriptor);
    return bytes.toString('utf8', 0, length).split('\n')[0];
  } catch {
    return undefined;
  }
}
