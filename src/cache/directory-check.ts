/**
 * May a folder be a cache directory? It must be this user's alone, on a disk of this machine, and hold nothing of others.
 * Called by CacheDirectory before anything is made in it, and by Cache before anything is filled.
 */
import { chmodSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { asError } from '../runtime/assert.js';
import { makeFolder } from '../runtime/make-folder.js';
import { isMissing } from './file-operations.js';
import { networkFileSystem } from './local-disk.js';

/** First and only line of the file `format`. */
export const FORMAT = 'sluice-cache 1\n';
/** What is ours, in this version and in those before. */
const OUR_NAMES =
  /^(?:format(?:\.new)?|startup\.lock|ballast|index\.sqlite.*|owners|data|mount-\d+-\d+-\d+)$/;
/** Less free space than this cannot hold the parts in flight (16 connections × 2 MiB) and a few headers. */
const START_BYTES_MIN = 64 * 1024 * 1024;
/** Other users may enter, or see what is there. */
const OTHERS_BITS = 0o077;

/** The cache directory cannot be used; the message says why and what to do. */
export class CacheDirectoryError extends Error {
  override readonly name = 'CacheDirectoryError';
}

/** Makes the folder when there is none. Returns its path with links resolved. @throws CacheDirectoryError */
export function checkDirectory(directory: string): string {
  try {
    makeFolder(directory, 0o700);
    const path = realpathSync(directory);
    const names = readdirSync(path);
    const type = networkFileSystem(path);
    if (type !== undefined) {
      throw refusal(
        directory,
        `it is on a network file system (${type})`,
        'choose a local disk with --cache-dir',
      );
    }
    checkOwner(directory, path);
    checkFormat(directory, path);
    keepOthersOut(directory, path, names);
    return path;
  } catch (error) {
    if (error instanceof CacheDirectoryError) throw error;
    throw refusal(directory, asError(error).message, 'choose another with --cache-dir', error);
  }
}

/** Of who is to fill copies. @throws CacheDirectoryError */
export function checkSpace(directory: string, freeBytes: number): void {
  if (freeBytes >= START_BYTES_MIN) return;
  throw refusal(
    directory,
    `its disk is full: ${Math.floor(freeBytes / 1024 ** 2)} MiB free, 64 MiB needed`,
    'free some space or choose another place with --cache-dir',
  );
}

export function refusal(
  directory: string,
  why: string,
  advice: string,
  cause?: unknown,
): CacheDirectoryError {
  return new CacheDirectoryError(`the cache directory ${directory} cannot be used (${why}): ${advice}`, {
    cause,
  });
}

function checkOwner(directory: string, path: string): void {
  const { uid } = statSync(path);
  const own = process.getuid?.();
  if (uid === own) return;
  throw refusal(
    directory,
    `it belongs to user ${uid}, and this is user ${own}`,
    'each user needs a directory of their own: choose one with --cache-dir',
  );
}

function checkFormat(directory: string, path: string): void {
  let format: string;
  try {
    format = readFileSync(join(path, 'format'), 'latin1');
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  if (format === FORMAT) return;
  throw refusal(
    directory,
    `its format is ${JSON.stringify(format.slice(0, 40))}, expected ${JSON.stringify(FORMAT)}`,
    'use the newer Sluice that wrote it, or choose another with --cache-dir',
  );
}

/** Permissions of a folder that holds things of others are not ours to change. */
function keepOthersOut(directory: string, path: string, names: readonly string[]): void {
  if ((statSync(path).mode & OTHERS_BITS) === 0) return;
  const foreign = names.find((name) => !OUR_NAMES.test(name));
  if (foreign !== undefined) {
    throw refusal(
      directory,
      `other users may enter it, and it holds other things, such as ${JSON.stringify(foreign)}`,
      'choose a new or empty one with --cache-dir',
    );
  }
  chmodSync(path, 0o700);
}
