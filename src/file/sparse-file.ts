/**
 * One sparse file on local disk, positional reads and writes only. Created at the first write, so that opening an
 * object costs no disk access. Whose file it is, and when it is renamed or deleted, is the cache's affair.
 *
 * Promise: the descriptor is never closed under a read or write in progress, nor used after it was given back; closing
 * keeps nobody waiting and never throws: what goes wrong is told to `onProblem`.
 */
import { close, closeSync, ftruncateSync, openSync, read, rmSync, writev } from 'node:fs';
import { promisify } from 'node:util';
import type { NativeAddon } from '../native.js';
import { asError } from '../runtime/assert.js';
import { Deferred } from '../runtime/deferred.js';
import type { ByteRange } from '../runtime/range.js';

/**
 * The last close of a deleted file frees its space, which takes long for a large one; for a smaller one it takes less time
 * than to have another thread do it.
 */
const QUICK_CLOSE_BYTES = 1024 * 1024;

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
  /**
   * Frees the disk space of `[start, end)`, which reads as zeros then. False where that cannot be done.
   * @throws NodeJS.ErrnoException
   */
  punch(range: ByteRange): boolean;
  /** Gives the descriptor back when the last operation has ended: resolves then. Nothing may follow. Idempotent. */
  close(): Promise<void>;
}

export interface BorrowedFile {
  readonly descriptor: number;
  /** To be called once. */
  release(): void;
}

export interface SparseFileOptions {
  /** Where it is, or is to be created: asked whenever it is opened. */
  readonly path: string;
  /** The length it has from its creation on, in bytes. */
  readonly size: number;
  /** It was created before. */
  readonly exists: boolean;
  /** Frees disk space, where the machine can. */
  readonly addon?: Pick<NativeAddon, 'punchHole'> | undefined;
  /** Told when closing fails. */
  readonly onProblem: (error: Error) => void;
}

export class SparseFile implements LocalFile {
  readonly #options: SparseFileOptions;
  readonly #closed = new Deferred<void>();
  #fd: number | undefined;
  #exists: boolean;
  #busy = 0;
  #isClosing = false;

  constructor(options: SparseFileOptions) {
    this.#options = options;
    this.#exists = options.exists;
  }

  get path(): string {
    return this.#options.path;
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
    return use((this.#fd ??= this.#open()));
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

  punch({ start, end }: ByteRange): boolean {
    const { addon } = this.#options;
    if (addon === undefined) return false;
    this.lend((descriptor) => addon.punchHole(descriptor, start, end));
    return true;
  }

  close(): Promise<void> {
    this.#isClosing = true;
    this.#closeIfUnused();
    return this.#closed.promise;
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
    if (this.#isClosing) throw new Error(`${this.path} was closed`);
    const { size } = this.#options;
    const isNew = !this.#exists;
    const fd = isNew ? openSync(this.path, 'wx+', 0o600) : this.#openExisting();
    try {
      if (isNew) ftruncateSync(fd, size);
    } catch (error) {
      closeSync(fd);
      if (isNew) rmSync(this.path, { force: true });
      throw error;
    }
    this.#exists = true;
    return fd;
  }

  #openExisting(): number {
    try {
      return openSync(this.path, 'r+');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      // Another process has just given it its final name.
      return openSync(this.path, 'r+');
    }
  }

  #closeIfUnused(): void {
    if (!this.#isClosing || this.#busy > 0) return;
    const fd = this.#fd;
    // The number is free from here on, whatever close answers: it may be another file's in a moment.
    this.#fd = undefined;
    if (fd === undefined) return this.#closed.resolve();
    if (this.#options.size <= QUICK_CLOSE_BYTES) return this.#closeNow(fd);
    close(fd, (error) => {
      if (error) this.#options.onProblem(error);
      this.#closed.resolve();
    });
  }

  #closeNow(fd: number): void {
    try {
      closeSync(fd);
    } catch (error) {
      this.#options.onProblem(asError(error));
    }
    this.#closed.resolve();
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
