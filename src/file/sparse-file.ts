/**
 * One sparse file on local disk, positional reads and writes only. Created at the first write, so that opening an
 * object costs no disk access; the descriptor is closed while nobody has the object open and reopened on demand.
 *
 * Promise: a descriptor is never closed under a read or write in progress, and after `remove` no name is left.
 */
import { closeSync, ftruncateSync, openSync, read, rmSync, writev } from 'node:fs';
import { promisify } from 'node:util';
import { assert } from '../runtime/assert.js';

const readAt = promisify(read);
const writevAt = promisify(writev);

/** A local file of fixed size, read and written at offsets: `SparseFile`, or one in memory in tests. */
export interface LocalFile {
  /** Fills `target` from `offset` of what was written before. @throws NodeJS.ErrnoException */
  read(target: Uint8Array, offset: number): Promise<void>;
  /** Writes `chunks`, one after the other, at `offset`. @throws NodeJS.ErrnoException, e.g. ENOSPC */
  write(chunks: readonly Uint8Array[], offset: number): Promise<void>;
  /** Gives the descriptor back until the next read or write. */
  park(): void;
  /** Deletes the file, at once by name and when the last operation ended by content. Idempotent. */
  remove(): void;
}

export class SparseFile implements LocalFile {
  readonly path: string;
  readonly #size: number;
  #fd: number | undefined;
  #created = false;
  #busy = 0;
  #parked = false;
  #removed = false;

  /** @param size the length the file has from its creation on, in bytes. */
  constructor(path: string, size: number) {
    this.path = path;
    this.#size = size;
  }

  async read(target: Uint8Array, offset: number): Promise<void> {
    await this.#use(async (fd) => {
      for (let at = 0; at < target.length;) {
        const { bytesRead } = await readAt(fd, target, at, target.length - at, offset + at);
        if (bytesRead === 0)
          throw new Error(`${this.path} ends at ${offset + at}: the file was cut from outside`);
        at += bytesRead;
      }
    });
  }

  async write(chunks: readonly Uint8Array[], offset: number): Promise<void> {
    await this.#use(async (fd) => {
      let rest = [...chunks];
      let at = offset;
      while (rest.length > 0) {
        const { bytesWritten } = await writevAt(fd, rest, at);
        at += bytesWritten;
        rest = dropBytes(rest, bytesWritten);
      }
    });
  }

  park(): void {
    this.#parked = true;
    this.#closeIfUnused();
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    if (this.#created) rmSync(this.path, { force: true });
    this.park();
  }

  async #use<T>(operation: (fd: number) => Promise<T>): Promise<T> {
    this.#parked = this.#removed;
    this.#fd ??= this.#open();
    this.#busy += 1;
    try {
      return await operation(this.#fd);
    } finally {
      this.#busy -= 1;
      this.#closeIfUnused();
    }
  }

  #open(): number {
    assert(!this.#removed, `${this.path} is used after its removal`);
    if (this.#created) return openSync(this.path, 'r+');
    const fd = openSync(this.path, 'wx+', 0o600);
    this.#created = true;
    try {
      ftruncateSync(fd, this.#size);
    } catch (error) {
      closeSync(fd);
      rmSync(this.path, { force: true });
      this.#created = false;
      throw error;
    }
    return fd;
  }

  #closeIfUnused(): void {
    if (!this.#parked || this.#busy > 0 || this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function dropBytes(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let left = bytes;
  const rest: Uint8Array[] = [];
  for (const chunk of chunks) {
    if (left >= chunk.length) left -= chunk.length;
    else {
      rest.push(left === 0 ? chunk : chunk.subarray(left));
      left = 0;
    }
  }
  return rest;
}
