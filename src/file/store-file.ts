/**
 * The local file of a store as downloading uses it: what is there is looked at, what comes is written, by JavaScript or
 * by a transport to which the file is lent. When the disk is full, room is made once before it is an error. Owned by
 * TempFileStore.
 */
import { asError } from '../runtime/assert.js';
import type { ByteRange } from '../runtime/range.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import type { PlaceOfPart } from './part-writer.js';
import type { BorrowedFile, LocalFile } from './sparse-file.js';
import { diskError, isNoSpace } from './store-state.js';

export interface StoreFileDeps {
  /** See `TempFileStoreDeps`. */
  readonly makeRoom: (bytes: number) => boolean;
}

/** Freed at a time when a transport finds the disk full: its next attempt brings a part of some MiB. */
const ROOM_BYTES = 32 * 1024 * 1024;

export class StoreFile {
  readonly #version: ObjectVersion;
  readonly #file: LocalFile;
  readonly #deps: StoreFileDeps;
  #lent = 0;

  constructor(version: ObjectVersion, file: LocalFile, deps: StoreFileDeps) {
    this.#version = version;
    this.#file = file;
    this.#deps = deps;
  }

  /** A transport has the file: it may write and publish at any moment. */
  get isLent(): boolean {
    return this.#lent > 0;
  }

  /** Bytes that are there. Rejects with what the system says. */
  async read({ start, end }: ByteRange): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - start);
    await this.#file.read(bytes, start);
    return bytes;
  }

  /** @throws ContentError no_space, disk_failed */
  async write(chunks: readonly Uint8Array[], offset: number): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    try {
      await this.#file.write(chunks, offset).catch((error: unknown) => {
        if (!isNoSpace(error) || !this.#deps.makeRoom(bytes)) throw error;
        return this.#file.write(chunks, offset);
      });
    } catch (error) {
      throw diskError(this.#version, asError(error));
    }
  }

  /** The file for a transport that writes into it from another thread. @throws ContentError no_space, disk_failed */
  lend(): Pick<PlaceOfPart, 'descriptor' | 'failed' | 'release'> {
    const borrowed = this.#borrow();
    this.#lent += 1;
    return {
      descriptor: borrowed.descriptor,
      failed: (error) => {
        if (!isNoSpace(error) || !this.#deps.makeRoom(ROOM_BYTES)) throw diskError(this.#version, error);
      },
      release: () => {
        this.#lent -= 1;
        borrowed.release();
      },
    };
  }

  #borrow(): BorrowedFile {
    try {
      return this.#file.borrow();
    } catch (error) {
      throw diskError(this.#version, asError(error));
    }
  }
}
