/**
 * Takes the bytes of one part, in order, from the transport to the local file. While one write is in progress the
 * next chunks gather and then go out together: small chunks cost few system calls, the first bytes wait for nobody.
 *
 * Promise: `publish` is called only after the write of those bytes returned, with ever growing ends; `write` asks the
 * transport to wait (by a promise) once `PENDING_BYTES_MAX` are in memory. A transport that borrows the file instead
 * writes and publishes by itself; `publish` is called for what it reports.
 */
import { assert, asError } from '../runtime/assert.js';
import type { PartTarget } from '../download/target.js';
import type { LocalPlace } from '../object-store/object-store.js';

/** The local file as one part may use it. */
export type PlaceOfPart = Omit<LocalPlace, 'advanced'>;

export interface WrittenFile {
  /** Writes `chunks`, one after the other, at `offset`, then calls `onWritten`. @throws what the disk does */
  write(chunks: readonly Uint8Array[], offset: number, onWritten: () => void): Promise<void>;
}

/** With the chunks that are being written, at most as many again: memory is bounded to connections × 4 MiB. */
const PENDING_BYTES_MAX = 2 * 1024 * 1024;

export class PartWriter implements PartTarget {
  readonly lend: (() => LocalPlace) | undefined;
  readonly #file: WrittenFile;
  readonly #publish: (end: number) => void;
  #position: number;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #draining: Promise<void> | undefined;
  #error: Error | undefined;

  /**
   * @param publish told the end of what is safely in the file, counted from the start of the object.
   * @param borrow gives the file to a transport that writes into it by itself; absent when it is not to be had.
   */
  constructor(file: WrittenFile, start: number, publish: (end: number) => void, borrow?: () => PlaceOfPart) {
    this.lend = borrow && (() => this.#lend(borrow));
    this.#file = file;
    this.#position = start;
    this.#publish = publish;
  }

  /** Offset behind the last byte accepted: where a resumed request starts. */
  get position(): number {
    return this.#position;
  }

  /** @throws what an earlier write to the file failed with. */
  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#error) throw this.#error;
    if (chunk.length === 0) return undefined;
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    this.#position += chunk.length;
    this.#draining ??= this.#drain();
    return this.#pendingBytes >= PENDING_BYTES_MAX ? this.flush() : undefined;
  }

  /** What was accepted by `write` is in the file: a transport either writes or lends. */
  #lend(borrow: () => PlaceOfPart): LocalPlace {
    assert(this.#draining === undefined, 'a file is lent while it is written to');
    if (this.#error) throw this.#error;
    return {
      ...borrow(),
      advanced: (end) => {
        if (end <= this.#position) return;
        this.#position = end;
        this.#publish(end);
      },
    };
  }

  /** Forgets what is not being written yet; `position` moves back with it. */
  drop(): void {
    this.#position -= this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /** Resolves when everything accepted is in the file and published. @throws what a write failed with. */
  async flush(): Promise<void> {
    await this.#draining;
    if (this.#error) throw this.#error;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#pending.length > 0) {
        const chunks = this.#pending;
        const offset = this.#position - this.#pendingBytes;
        const end = this.#position;
        this.#pending = [];
        this.#pendingBytes = 0;
        await this.#file.write(chunks, offset, () => this.#publish(end));
      }
    } catch (error) {
      this.#error = asError(error);
      this.#pending = [];
      this.#pendingBytes = 0;
    } finally {
      this.#draining = undefined;
    }
  }
}
