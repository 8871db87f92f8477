/**
 * One sparse file on local disk, positional reads and writes only. Created at the first write, so that opening an
 * object costs no disk access; while parked (nobody has the object open) it keeps no descriptor between operations.
 *
 * Promise: a descriptor is never closed under a read or write in progress, nor used after it was given back; closing
 * and deleting happen off the event loop and never throw: what goes wrong is told to `onProblem`.
 */
import { close, closeSync, ftruncateSync, openSync, read, rmSync, unlink, writev } from 'node:fs';
import { promisify } from 'node:util';

const readAt = promisify(read);
const writevAt = promisify(writev);

/** A local file of fixed size, read and written at offsets: `SparseFile`, or one in memory in tests. */
export interface LocalFile {
  /** Fills `target` from `offset` of what was written before. @throws NodeJS.ErrnoException */
  read(target: Uint8Array, offset: number): Promise<void>;
  /** Writes `chunks`, one after the other, at `offset`. @throws NodeJS.ErrnoException, e.g. ENOSPC */
  write(chunks: readonly Uint8Array[], offset: number): Promise<void>;
  /**
   * What `use` gives, called with the descriptor of the file, which is created when needed. The descriptor is valid
   * during the call only: whoever needs it longer duplicates it. @throws NodeJS.ErrnoException
   */
  lend<T>(use: (descriptor: number) => T): T;
  /**
   * Lends the descriptor, for reading and writing, until `release` is called; as `lend` creates the file.
   * @throws NodeJS.ErrnoException
   */
  borrow(): BorrowedFile;
  /** Keeps the descriptor between operations (the state at first), until `park`. */
  unpark(): void;
  /** Gives the descriptor back, now or after the operations in progress, and from then on after each. */
  park(): void;
  /** Deletes the file, by name soon and by content when the last operation ended. Idempotent; nothing may follow. */
  remove(): void;
}

export interface BorrowedFile {
  readonly descriptor: number;
  /** To be called once. */
  release(): void;
}

export class SparseFile implements LocalFile {
  readonly path: string;
  readonly #size: number;
  readonly #onProblem: (error: Error) => void;
  #fd: number | undefined;
  #created = false;
  #busy = 0;
  #parked = false;
  #removed = false;

  /**
   * @param size the length the file has from its creation on, in bytes.
   * @param onProblem told when closing or deleting fails; the file is given up then.
   */
  constructor(path: string, size: number, onProblem: (error: Error) => void) {
    this.path = path;
    this.#size = size;
    this.#onProblem = onProblem;
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

  lend<T>(use: (descriptor: number) => T): T {
    this.#fd ??= this.#open();
    try {
      return use(this.#fd);
    } finally {
      this.#closeIfUnused();
    }
  }

  borrow(): BorrowedFile {
    const descriptor = (this.#fd ??= this.#open());
    this.#busy += 1;
    const release = () => {
      this.#busy -= 1;
      this.#closeIfUnused();
    };
    return { descriptor, release };
  }

  unpark(): void {
    this.#parked = false;
  }

  park(): void {
    this.#parked = true;
    this.#closeIfUnused();
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    if (this.#created) unlink(this.path, (error) => this.#report(error));
    this.park();
  }

  async #use<T>(operation: (fd: number) => Promise<T>): Promise<T> {
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
    if (this.#removed) throw new Error(`${this.path} was removed`);
    if (this.#created) return openSync(this.path, 'r+');
    const fd = openSync(this.path, 'wx+', 0o600);
    try {
      ftruncateSync(fd, this.#size);
    } catch (error) {
      closeSync(fd);
      rmSync(this.path, { force: true });
      throw error;
    }
    this.#created = true;
    return fd;
  }

  #closeIfUnused(): void {
    if (!this.#parked || this.#busy > 0 || this.#fd === undefined) return;
    const fd = this.#fd;
    // The number is free from here on, whatever close answers: it may be another file's in a moment.
    this.#fd = undefined;
    close(fd, (error) => this.#report(error));
  }

  #report(error: Error | null | undefined): void {
    if (error) this.#onProblem(error);
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
