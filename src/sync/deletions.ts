/**
 * What lies in the directory and not in the bucket: found, and deleted where the user wants that. Called by sync.ts when
 * everything else is in place. It walks the directory without following symbolic links (a link that the bucket does not
 * have is deleted itself), never looks at Sluice's own folder, and leaves alone what the user's patterns leave out.
 */
import { readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { FileState } from './file-state.js';
import type { HeldLock } from './kernel-lock.js';
import { OWN_FOLDER, parentsOf } from './sync-folder.js';
import type { SyncFolder } from './sync-folder.js';

export interface Wanted {
  /** Names of files and of directories that are to stay. */
  readonly isKept: (name: string) => boolean;
  /** Whether the user's patterns take the name in. */
  readonly isWanted: (name: string) => boolean;
}

/** Names of files that are to go, in no order. @throws NodeJS.ErrnoException */
export function findStrays(folder: SyncFolder, { isKept, isWanted }: Wanted): string[] {
  const strays: string[] = [];
  const folders = [''];
  for (let parent = folders.pop(); parent !== undefined; parent = folders.pop()) {
    for (const entry of readdirSync(join(folder.root, parent), { withFileTypes: true })) {
      const name = parent === '' ? entry.name : `${parent}/${entry.name}`;
      if (name.toLowerCase() === OWN_FOLDER) continue;
      if (entry.isDirectory()) folders.push(name);
      else if (!isKept(name) && isWanted(name)) strays.push(name);
    }
  }
  return strays;
}

/** Of one file; false when another worker is at it, or has just put it there, or it is gone. @throws NodeJS.ErrnoException */
export function deleteStray(
  name: string,
  {
    folder,
    state,
    lock,
  }: {
    readonly folder: SyncFolder;
    readonly state: FileState;
    readonly lock: (path: string) => HeldLock | undefined;
  },
): boolean {
  const { target, lock: lockFile } = folder.pathsOf(name);
  const held = lock(lockFile);
  if (held === undefined) return false;
  try {
    state.refresh();
    // That worker's listing is younger than ours.
    if (state.isNews(name)) return false;
    unlinkSync(target);
    state.forget(name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  } finally {
    held.release();
  }
}

/** Removes the directories that the deletion of `names` has left empty. */
export function removeEmptied(
  folder: SyncFolder,
  names: readonly string[],
  isKept: (name: string) => boolean,
): void {
  const parents = new Set(names.flatMap(parentsOf));
  // Those below come first.
  for (const name of [...parents].toSorted((a, b) => b.length - a.length)) {
    if (isKept(name)) continue;
    try {
      rmdirSync(join(folder.root, name));
    } catch {
      // Something else is in it, or somebody was faster.
    }
  }
}
