/**
 * A file that holds some space for the index: on a disk with nothing left SQLite can commit nothing, and without the index
 * nothing may be taken out of the cache to make room. Given up then, made again once there is space. Used by Cache.
 */
import { join } from 'node:path';
import type { FileOperations } from './file-operations.js';

/** Some hundred changes of the index. */
const BALLAST_BYTES = 2 * 1024 * 1024;
/** It is not made anew while so little is left: it would be given up again at once. */
const FREE_BYTES_MIN = 16 * BALLAST_BYTES;

export class Ballast {
  readonly #directory: string;
  readonly #path: string;
  readonly #files: FileOperations;

  /** @param directory of the cache; other daemons there have the same file, and may give it up at any moment. */
  constructor(directory: string, files: FileOperations) {
    this.#directory = directory;
    this.#path = join(directory, 'ballast');
    this.#files = files;
  }

  /** Gives the space back; false when there was none to give. Called where something failed already: throws nothing. */
  drop(): boolean {
    try {
      return this.#files.unlink(this.#path);
    } catch {
      return false;
    }
  }

  /** Takes the space, unless it is taken or there is little left. @throws NodeJS.ErrnoException, e.g. ENOSPC */
  take(): void {
    const isTaken = this.#files.stat(this.#path)?.size === BigInt(BALLAST_BYTES);
    if (isTaken || this.#files.space(this.#directory).freeBytes < FREE_BYTES_MIN) return;
    // Random enough that no file system leaves it out: zeros may be stored as a hole.
    this.#files.unlink(this.#path);
    this.#files.writeDurably(this.#path, new Uint8Array(BALLAST_BYTES).fill(0x5a));
  }
}
