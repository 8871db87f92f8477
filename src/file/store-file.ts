/**
 * The local file of a store as downloading uses it: what is there is looked at, what comes is written, by JavaScript or
 * by a transport to which the file is lent. When the disk is full, room is made once before it is an error. Owned by
 * TempFileStore.
 */
import { asError } from '../runtime/assert.js';
import { Deferred } from '../runtime/deferred.js';
import { rangesOverlap } from '../runtime/range.js';
import type { ByteRange } from '../runtime/range.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import { ContentError } from './content.js';
import type { PlaceOfPart } from './part-writer.js';
import type { BorrowedFile, LocalFile } from './sparse-file.js';
import { diskError, isNoSpace } from './store-state.js';

export interface StoreFileDeps {
  /** The disk is full: frees what it can, and says whether another try to write in `range` is worth it. */
  readonly makeRoom: (bytes: number, range: ByteRange) => boolean;
}

/** Freed at a time when a transport finds the disk full: its next attempt brings a part of some MiB. */
const ROOM_BYTES = 32 * 1024 * 1024;

interface BeingWritten extends ByteRange {
  isOrphan: boolean;
}

export class StoreFile {
  readonly #version: ObjectVersion;
  readonly #file: LocalFile;
  readonly #deps: StoreFileDeps;
  /** Where something may be written now. */
  readonly #beingWritten = new Set<BeingWritten>();
  #lent = 0;
  #quiet: Deferred<void> | undefined;

  constructor(version: ObjectVersion, file: LocalFile, deps: StoreFileDeps) {
    this.#version = version;
    this.#file = file;
    this.#deps = deps;
  }

  /** A transport has the file: it may write and publish at any moment. */
  get isLent(): boolean {
    return this.#lent > 0;
  }

  /** Nobody wants what is being written now any more; it may come all the same. */
  orphan(): void {
    for (const written of this.#beingWritten) written.isOrphan = true;
  }

  /** That may still come of what nobody wants any more. */
  get orphanBytes(): number {
    let bytes = 0;
    for (const { start, end, isOrphan } of this.#beingWritten) if (isOrphan) bytes += end - start;
    return bytes;
  }

  /** Something in `range` may be written at any moment. */
  isBeingWritten(range: ByteRange): boolean {
    for (const other of this.#beingWritten) if (rangesOverlap(other, range)) return true;
    return false;
  }

  /** Resolves when nothing is being written. */
  async whenQuiet(): Promise<void> {
    while (this.#beingWritten.size > 0) await (this.#quiet ??= new Deferred()).promise;
  }

  /** Bytes that are there. Rejects with what the system says. */
  async read({ start, end }: ByteRange): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - start);
    await this.#file.read(bytes, start);
    return bytes;
  }

  /** Fills `target` with bytes that are there. @throws ContentError disk_failed */
  async readInto(target: Uint8Array, offset: number): Promise<void> {
    try {
      await this.#file.read(target, offset);
    } catch (error) {
      const reason = `reading the local copy failed: ${asError(error).message}`;
      throw new ContentError('disk_failed', reason, error);
    }
  }

  /** @param onWritten publishes, before anybody may take the range for quiet. @throws ContentError no_space, disk_failed */
  async write(chunks: readonly Uint8Array[], offset: number, onWritten: () => void): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const written = this.#begin({ start: offset, end: offset + bytes });
    try {
      await this.#write(chunks, offset, bytes);
      onWritten();
    } finally {
      written();
    }
  }

  /** The file for a transport that writes into it from another thread, within `range`. @throws ContentError no_space, disk_failed */
  lend(range: ByteRange): Pick<PlaceOfPart, 'descriptor' | 'failed' | 'release'> {
    const borrowed = this.#borrow();
    const written = this.#begin(range);
    this.#lent += 1;
    return {
      descriptor: borrowed.descriptor,
      failed: (error) => {
        if (!isNoSpace(error) || !this.#deps.makeRoom(ROOM_BYTES, range))
          throw diskError(this.#version, error);
      },
      release: () => {
        this.#lent -= 1;
        borrowed.release();
        written();
      },
    };
  }

  async #write(chunks: readonly Uint8Array[], offset: number, bytes: number): Promise<void> {
    try {
      await this.#file.write(chunks, offset).catch((error: unknown) => {
        const range = { start: offset, end: offset + bytes };
        if (!isNoSpace(error) || !this.#deps.makeRoom(bytes, range)) throw error;
        return this.#file.write(chunks, offset);
      });
    } catch (error) {
      throw diskError(this.#version, asError(error));
    }
  }

  /** Returns the function that says that it was written. */
  #begin(range: ByteRange): () => void {
    // An object of its own: two parts may have the same range.
    const entry = { ...range, isOrphan: false };
    this.#beingWritten.add(entry);
    return () => {
      this.#beingWritten.delete(entry);
      if (this.#beingWritten.size > 0) return;
      this.#quiet?.resolve();
      this.#quiet = undefined;
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
