/**
 * The file on local disk into which one object is fetched, and complete ones that are read to be compared. Open from the
 * beginning, so that what cannot be opened is known before anything is fetched.
 *
 * Promise: the descriptor is closed when nobody uses it any more: a transport may write for a moment longer than anybody
 * waits for its bytes.
 */
import {
  close,
  closeSync,
  constants,
  fstatSync,
  fsync,
  ftruncateSync,
  futimesSync,
  open,
  openSync,
  read,
  write,
} from 'node:fs';
import { promisify } from 'node:util';
import type { BorrowedFile, LocalFile } from '../file/sparse-file.js';
import { Deferred } from '../runtime/deferred.js';

const closeOf = promisify(close);
const openOf = promisify(open);
const readAt = promisify(read);
const syncOf = promisify(fsync);
const writeAt = promisify(write);

const { O_CREAT, O_NOFOLLOW, O_RDONLY, O_RDWR } = constants;

export class TempFile implements Pick<LocalFile, 'read' | 'write' | 'borrow'> {
  readonly path: string;
  /** It had its size already when it was opened. */
  readonly hadSize: boolean;
  readonly #descriptor: number;
  readonly #unused = new Deferred<void>();
  #users = 1;
  #closing: Promise<void> | undefined;

  private constructor(path: string, descriptor: number, hadSize: boolean) {
    this.path = path;
    this.hadSize = hadSize;
    this.#descriptor = descriptor;
  }

  /** Creates it when it is missing, and gives it its size. @throws NodeJS.ErrnoException */
  static async openToFill(path: string, size: number): Promise<TempFile> {
    // The mode is what the user's umask makes of it: it is the mode of the file in place.
    const descriptor = await openOf(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o666);
    try {
      const hadSize = fstatSync(descriptor).size === size;
      if (!hadSize) {
        ftruncateSync(descriptor, 0);
        ftruncateSync(descriptor, size);
      }
      return new TempFile(path, descriptor, hadSize);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  /** @throws NodeJS.ErrnoException */
  static openToRead(path: string): TempFile {
    return new TempFile(path, openSync(path, O_RDONLY | O_NOFOLLOW), true);
  }

  async read(target: Uint8Array, offset: number): Promise<void> {
    await this.#use(async () => {
      for (let at = 0; at < target.length;) {
        const left = target.length - at;
        const { bytesRead } = await readAt(this.#descriptor, target, at, left, offset + at);
        if (bytesRead === 0) throw new Error(`${this.path} was cut from outside`);
        at += bytesRead;
      }
    });
  }

  async write(
    chunks: readonly Uint8Array[],
    offset: number,
    onWritten: () => void = () => {},
  ): Promise<void> {
    await this.#use(async () => {
      let position = offset;
      for (const chunk of chunks) {
        for (let at = 0; at < chunk.length;) {
          const left = chunk.length - at;
          const { bytesWritten } = await writeAt(this.#descriptor, chunk, at, left, position);
          at += bytesWritten;
          position += bytesWritten;
        }
      }
      onWritten();
    });
  }

  borrow(): BorrowedFile {
    this.#users += 1;
    return { descriptor: this.#descriptor, release: () => this.#release() };
  }

  /** Brings all bytes to the disk, so that a name never stands for what a loss of power may undo. */
  async settle(modifiedMs: number): Promise<void> {
    await this.#use(async () => {
      futimesSync(this.#descriptor, modifiedMs / 1000, modifiedMs / 1000);
      await syncOf(this.#descriptor);
    });
  }

  /** Resolves when everybody has given it back and it is closed. Nothing may follow. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#release();
    await this.#unused.promise;
    await closeOf(this.#descriptor);
  }

  async #use(operation: () => Promise<void>): Promise<void> {
    this.#users += 1;
    try {
      await operation();
    } finally {
      this.#release();
    }
  }

  #release(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#unused.resolve();
  }
}
