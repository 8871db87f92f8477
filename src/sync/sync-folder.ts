/**
 * The directory that is synchronised, and Sluice's own folder in it. The only place that turns names (relative paths with
 * `/`) into paths: no name leads through a symbolic link, and none out of the directory.
 *
 *     DIR/.sluice-sync/parts/HASH, HASH.map   a file that is being fetched, and which blocks of it have come
 *     DIR/.sluice-sync/locks/HASH             held by the worker that is at the file
 *     DIR/.sluice-sync/workers/               who works here, see workers.ts
 *     DIR/.sluice-sync/state                  what was fetched, see file-state.ts
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { asError } from '../runtime/assert.js';
import { makeFolder } from '../runtime/make-folder.js';

export const OWN_FOLDER = '.sluice-sync';

/** The directory cannot be used; the message says why and what to do. */
export class SyncFolderError extends Error {
  override readonly name = 'SyncFolderError';
}

/** Something of the user's is in the way of a file; the message says what and what to do. */
export class BlockedNameError extends Error {
  override readonly name = 'BlockedNameError';
}

/** Where one file is fetched to, and what tells other workers of it. */
export interface FilePaths {
  readonly target: string;
  readonly part: string;
  readonly map: string;
  readonly lock: string;
}

/** Tells a file that was not touched from one that was: inode, size, time of the last change of its bytes. */
export type Stamp = string;

export class SyncFolder {
  /** Without symbolic links on the way. */
  readonly root: string;
  readonly workers: string;
  readonly parts: string;
  readonly state: string;
  readonly #locks: string;

  private constructor(root: string) {
    const own = join(root, OWN_FOLDER);
    this.root = root;
    this.workers = join(own, 'workers');
    this.parts = join(own, 'parts');
    this.state = join(own, 'state');
    this.#locks = join(own, 'locks');
  }

  /** Creates what is missing. @throws SyncFolderError */
  static create(directory: string): SyncFolder {
    try {
      makeFolder(directory, 0o777);
      const folder = new SyncFolder(realpathSync(directory));
      const own = join(folder.root, OWN_FOLDER);
      makeFolder(own, 0o700);
      if (!lstatSync(own).isDirectory()) throw new Error(`${own} is not a directory`);
      for (const path of [folder.workers, folder.parts, folder.#locks]) makeFolder(path, 0o700);
      return folder;
    } catch (error) {
      const reason = asError(error).message;
      throw new SyncFolderError(
        `${directory} cannot be used (${reason}): give a directory that you may write to`,
        {
          cause: error,
        },
      );
    }
  }

  /** Creates nothing: undefined when there is no such directory yet. @throws SyncFolderError when it is none */
  static find(directory: string): SyncFolder | undefined {
    const found = statSync(directory, { throwIfNoEntry: false });
    if (found === undefined) return undefined;
    if (!found.isDirectory()) throw new SyncFolderError(`${directory} is not a directory`);
    return new SyncFolder(realpathSync(directory));
  }

  pathsOf(name: string): FilePaths {
    const hash = hashOf(name);
    const part = join(this.parts, hash);
    return { target: join(this.root, name), part, map: `${part}.map`, lock: this.lockOf(hash) };
  }

  /** @param hash the name of a file in `parts` */
  lockOf(hash: string): string {
    return join(this.#locks, hash);
  }

  /** Of a regular file that `name` leads to; undefined when there is none. */
  stampOf(name: string): { readonly stamp: Stamp; readonly size: number } | undefined {
    if (this.#obstacle(parentsOf(name)) !== undefined) return undefined;
    const found = lstatSync(join(this.root, name), { bigint: true, throwIfNoEntry: false });
    if (found === undefined || !found.isFile()) return undefined;
    return { stamp: `${found.ino} ${found.size} ${found.mtimeNs}`, size: Number(found.size) };
  }

  /** Creates the folders above `name`. @throws BlockedNameError or NodeJS.ErrnoException */
  makeParents(name: string): void {
    this.makeFolders(parentsOf(name));
  }

  /** @param names one below the other. @throws BlockedNameError or NodeJS.ErrnoException */
  makeFolders(names: readonly string[]): void {
    for (const name of names) {
      const path = join(this.root, name);
      try {
        mkdirSync(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const obstacle = this.#obstacle([name]);
      if (obstacle !== undefined) throw new BlockedNameError(obstacle);
    }
  }

  /** @throws BlockedNameError when a directory is where a file is to be */
  refuseDirectory(name: string): void {
    const path = join(this.root, name);
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return;
    throw new BlockedNameError(`${path} is a directory, where a file is to be: remove it`);
  }

  /** What of a file that was being fetched is there. Whoever calls it holds its lock. */
  discardPart({ part, map }: Pick<FilePaths, 'part' | 'map'>): void {
    rmSync(map, { force: true });
    rmSync(part, { force: true });
  }

  #obstacle(folders: readonly string[]): string | undefined {
    for (const name of folders) {
      const path = join(this.root, name);
      const found = lstatSync(path, { throwIfNoEntry: false });
      if (found?.isSymbolicLink()) return `${path} is a symbolic link, which is not followed: remove it`;
      if (found !== undefined && !found.isDirectory())
        return `${path} is a file, where a directory is to be: remove it`;
    }
    return undefined;
  }
}

/** The file names of keys may be too long, with `.part` behind them; a hash never is. */
export function hashOf(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 32);
}

/** `a/b/c` → `a`, `a/b`. */
export function parentsOf(name: string): string[] {
  const parts = name.split('/');
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join('/'));
}
