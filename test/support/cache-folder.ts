/** What lies in a cache directory, for tests that look at it from outside. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Locks, sockets and private folders of daemons: none is left when all have ended in order. */
export function ownersIn(cacheDir: string): string[] {
  const folder = join(cacheDir, 'owners');
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Names of the data files and maps of copies. */
export function copyFilesIn(cacheDir: string): string[] {
  return readdirSync(join(cacheDir, 'data'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}
