/**
 * The folder of temp files that belongs to one mount: made below the cache directory when the mount starts, removed
 * when it ends. Folders that a killed daemon left behind are removed by the next mount on the same cache directory:
 * the name says which process owned it, by pid and start time, so that a reused pid is not mistaken for the owner.
 */
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asError } from '../runtime/assert.js';
import { makeFolder } from '../runtime/make-folder.js';
import { isProcessAlive, processStartedAt } from '../runtime/process-identity.js';
import type { Logger } from '../observability/logger.js';

/** Less free space than this cannot hold the parts in flight (16 connections × 2 MiB) and a few headers. */
const FREE_BYTES_MIN = 64 * 1024 * 1024;
/** Default budget: at most this, at most half of what is free. */
const CACHE_BYTES_MAX_DEFAULT = 20 * 1024 ** 3;
/** Enough to find out that a quota or a full disk refuses data, not only names. */
const PROBE_BYTES = 64 * 1024;
const FOLDER_NAME = /^mount-(\d+)-(\d+)-\d+$/;

/** The cache directory cannot be used; the message says why and what to do. */
export class MountFolderError extends Error {
  override readonly name = 'MountFolderError';
}

export interface MountFolder {
  readonly path: string;
  /** The smaller of 20 GiB and half of the space that was free. */
  readonly cacheBytesMaxDefault: number;
  /** Deletes the folder with all that is in it. Idempotent. */
  remove(): void;
}

let foldersMade = 0;

/** @throws MountFolderError */
export function createMountFolder(cacheDir: string, logger: Logger): MountFolder {
  foldersMade += 1;
  const path = join(cacheDir, `mount-${process.pid}-${processStartedAt(process.pid) ?? '0'}-${foldersMade}`);
  try {
    makeFolder(cacheDir, 0o700);
    removeAbandoned(cacheDir, logger);
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    throw new MountFolderError(
      `the cache directory ${cacheDir} cannot be used (${asError(error).message}): choose another with --cache-dir`,
      { cause: error },
    );
  }
  const remove = () => rmSync(path, { recursive: true, force: true });
  try {
    return { path, cacheBytesMaxDefault: probeSpace(cacheDir, path), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Makes sure that there is room for data. Returns the default budget. @throws MountFolderError */
function probeSpace(cacheDir: string, folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  const freeBytes = bavail * bsize;
  const advice = 'free some space or choose another place with --cache-dir';
  if (freeBytes < FREE_BYTES_MIN) {
    const free = `${Math.floor(freeBytes / 1024 ** 2)} MiB`;
    throw new MountFolderError(
      `the disk of the cache directory ${cacheDir} is full (${free} free, 64 MiB needed): ${advice}`,
    );
  }
  const probe = join(folder, 'probe');
  try {
    writeFileSync(probe, Buffer.alloc(PROBE_BYTES, 1), { flush: true });
    rmSync(probe);
  } catch (error) {
    throw new MountFolderError(
      `nothing can be written to the cache directory ${cacheDir} (${asError(error).message}): ${advice}`,
      { cause: error },
    );
  }
  return Math.min(CACHE_BYTES_MAX_DEFAULT, Math.floor(freeBytes / 2));
}

function removeAbandoned(cacheDir: string, logger: Logger): void {
  for (const name of readdirSync(cacheDir)) {
    const [, pid, startTime] = FOLDER_NAME.exec(name) ?? [];
    if (pid === undefined || startTime === undefined || isProcessAlive(Number(pid), startTime)) continue;
    logger.info({ folder: join(cacheDir, name) }, 'removing the temp files of a daemon that was killed');
    rmSync(join(cacheDir, name), { recursive: true, force: true });
  }
}
