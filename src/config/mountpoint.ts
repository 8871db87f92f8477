/**
 * The one absolute spelling of a mount point, as the kernel will show it in its mount table: links resolved. Nothing
 * here asks the file system that may be mounted there: a dead mount answers ENOTCONN, and a hung one not at all.
 */
import { readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigError } from './config-error.js';

/** As the kernel: a longer chain of links is a loop. */
const LINKS_MAX = 40;

/** @throws ConfigError when `text` is empty or holds a NUL. A missing folder is not an error here. */
export function resolveMountpoint(text: string, workingDir: string): string {
  if (text === '' || text.includes('\0')) throw new ConfigError('expected a directory as MOUNTPOINT, got ""');
  let path = resolve(workingDir, text);
  for (let links = 0; links < LINKS_MAX; links++) {
    path = withRealParent(path);
    const target = linkTarget(path);
    if (target === undefined) return path;
    path = resolve(dirname(path), target);
  }
  return path;
}

function withRealParent(path: string): string {
  if (path === '/') return path;
  try {
    return join(realpathSync.native(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

/** readlink(2) is answered by the root directory of a mount without asking who serves it. */
function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
