/**
 * The file operations of the cache, in one place: so that tests can have each of them fail. All are short and answer at
 * once, on a local disk; those that name something that is not there throw ENOENT, unless said otherwise.
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { BigIntStats } from 'node:fs';

export interface FileOperations {
  /** Opens for reading and writing. `create`: a new file, of this user alone; EEXIST when there is one. */
  open(path: string, how: 'create' | 'existing'): number;
  close(descriptor: number): void;
  resize(descriptor: number, bytes: number): void;
  /** Fills `target` from the offset 0 on. Returns how many bytes there were. */
  read(descriptor: number, target: Uint8Array): number;
  write(descriptor: number, bytes: Uint8Array): void;
  /** Undefined when there is no such file. */
  stat(path: string): BigIntStats | undefined;
  rename(from: string, to: string): void;
  /** False when there was none. */
  unlink(path: string): boolean;
  /** With all that is in it. None is no error. */
  removeFolder(path: string): void;
  /** One that is there already is no error. */
  makeFolder(path: string): void;
  list(folder: string): string[];
  /** Of a file system, for this user. */
  space(path: string): { readonly freeBytes: number; readonly bytes: number };
  /** Writes to the disk itself. */
  writeDurably(path: string, bytes: Uint8Array): void;
}

export const realFiles: FileOperations = {
  open: (path, how) => openSync(path, how === 'create' ? 'wx+' : 'r+', 0o600),
  close: closeSync,
  resize: ftruncateSync,
  read(descriptor, target) {
    let at = 0;
    for (;;) {
      const bytes = readSync(descriptor, target, at, target.length - at, at);
      at += bytes;
      if (bytes === 0 || at === target.length) return at;
    }
  },
  write(descriptor, bytes) {
    for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at, bytes.length - at, at);
  },
  stat: (path) => statSync(path, { bigint: true, throwIfNoEntry: false }),
  rename: renameSync,
  unlink(path) {
    try {
      unlinkSync(path);
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  },
  removeFolder: (path) => rmSync(path, { recursive: true, force: true }),
  makeFolder(path) {
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  },
  list: (folder) => readdirSync(folder),
  space(path) {
    const { bavail, bsize, blocks } = statfsSync(path);
    return { freeBytes: bavail * bsize, bytes: blocks * bsize };
  },
  writeDurably: (path, bytes) => writeFileSync(path, bytes, { flush: true, mode: 0o600 }),
};

/** Opens a new file, in place of whatever lies there. */
export function createAnew(files: FileOperations, path: string): number {
  try {
    return files.open(path, 'create');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    files.unlink(path);
    return files.open(path, 'create');
  }
}

export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
