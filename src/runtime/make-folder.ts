/**
 * Creates a folder with the missing ones above it. In place of `mkdir` with `recursive`, which in Node 20 tries for
 * ever where the file system refuses new names with ENOENT, as /proc does: a mistyped path must not hang a command.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** `path` is absolute; what exists is left as it is. @throws what mkdir(2) answers, but not EEXIST */
export function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || existsSync(dirname(path))) throw error;
    makeFolder(dirname(path), mode);
    mkdirSync(path, { mode });
  }
}
