/**
 * Copies that are known to this process only: a temp file in a folder of its own, memory that threads share, nothing
 * kept. For objects that the cache cannot take, and for those who want no cache.
 *
 * Promise: release deletes the file, if anybody created it.
 */
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { asError } from '../runtime/assert.js';
import { Availability } from '../runtime/availability.js';
import { BlockChecksums } from '../runtime/block-checksums.js';
import { sharedMemoryOf } from '../runtime/shared-memory.js';
import type { SharedMemory } from '../runtime/shared-memory.js';
import type { Logger } from '../observability/logger.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import type { CopyMemory, CopySource, CopyTrust, CopyVerdict, LocalCopy, TakeOver } from './local-copy.js';

/** Memory that no file keeps. */
export class TransientMemory implements CopyMemory {
  readonly availability: Availability;
  readonly checksums: BlockChecksums;

  constructor(size: number) {
    this.availability = Availability.create(size);
    this.checksums = BlockChecksums.create(size);
  }

  shared(): SharedMemory {
    return sharedMemoryOf(this);
  }
}

class PrivateCopy implements LocalCopy {
  readonly role = 'private';
  readonly path: string;
  readonly exists = false;
  readonly memory: CopyMemory;
  readonly trust: CopyTrust = 'fresh';
  readonly ownerId = undefined;
  readonly #onRelease: (copy: PrivateCopy) => void;
  #verdict: CopyVerdict = 'unknown';
  #reservedBytes = 0;
  #released = false;

  constructor(path: string, size: number, onRelease: (copy: PrivateCopy) => void) {
    this.path = path;
    this.memory = new TransientMemory(size);
    this.#onRelease = onRelease;
  }

  get verdict(): CopyVerdict {
    return this.#verdict;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  reserve(bytesMore: number): boolean {
    this.#reservedBytes += bytesMore;
    return true;
  }

  filled(verdict: CopyVerdict): void {
    this.#verdict = verdict;
  }

  verified(): void {}

  condemn(): void {
    this.#verdict = 'unknown';
  }

  detach(): void {}

  isAlone(): boolean {
    return true;
  }

  takeOver(): TakeOver {
    return 'gone';
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#onRelease(this);
  }
}

export class PrivateCopies implements CopySource {
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #open = new Set<LocalCopy>();
  #namesGiven = 0;

  /** @param folder exists, and belongs to this object alone. */
  constructor(folder: string, logger: Logger) {
    this.#folder = folder;
    this.#logger = logger;
  }

  acquire({ size }: ObjectVersion): LocalCopy {
    this.#namesGiven += 1;
    const path = join(this.#folder, `p${this.#namesGiven}`);
    const copy = new PrivateCopy(path, size, (released) => this.#remove(released));
    this.#open.add(copy);
    return copy;
  }

  close(): void {
    for (const copy of this.#open) copy.release();
  }

  #remove(copy: LocalCopy): void {
    this.#open.delete(copy);
    try {
      unlinkSync(copy.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      this.#logger.warn({ err: asError(error), path: copy.path }, 'a temp file could not be deleted');
    }
  }
}
