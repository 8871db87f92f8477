/**
 * Reads the bytes of segments one after the other. Used by the body writer and by copies. Whoever creates one has
 * the segments pinned, and closes it.
 */
import { closeSync, readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { fillPattern } from '../runtime/pattern.js';
import type { BlobStore } from './blob-store.js';
import type { Segment } from './model.js';

/** Of a blob, so much is read in this thread: handing it to others three times takes as long, and theirs as well. */
const SMALL_BYTES_MAX = 1024 * 1024;

export class SegmentReader {
  readonly #blobs: BlobStore;
  readonly #segments: readonly Segment[];
  #current = 0;
  /** Within the current segment. */
  #position = 0;
  #handle: FileHandle | undefined;
  /** Of a small segment, in place of the handle. */
  #descriptor: number | undefined;

  constructor(blobs: BlobStore, segments: readonly Segment[]) {
    this.#blobs = blobs;
    this.#segments = segments;
  }

  /** Fills `target` from its start and returns how many bytes; fewer than its length only at the end. */
  async read(target: Buffer): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const segment = this.#segments[this.#current];
      if (segment === undefined) break;
      const wanted = Math.min(target.length - filled, segment.length - this.#position);
      filled += await this.#readFrom(segment, target.subarray(filled, filled + wanted));
      if (this.#position === segment.length) await this.#nextSegment();
    }
    return filled;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    const descriptor = this.#descriptor;
    this.#handle = undefined;
    this.#descriptor = undefined;
    if (descriptor !== undefined) closeSync(descriptor);
    await handle?.close();
  }

  async #readFrom(segment: Segment, target: Buffer): Promise<number> {
    const offset = segment.offset + this.#position;
    if (segment.kind === 'blob') {
      const bytesRead = await this.#readBlob(
        segment.blobId,
        target,
        offset,
        segment.length <= SMALL_BYTES_MAX,
      );
      if (bytesRead === 0) throw new Error(`blob ${segment.blobId} is shorter than the journal says`);
      this.#position += bytesRead;
      return bytesRead;
    }
    if (segment.kind === 'pattern') fillPattern(target, segment.seed, offset);
    else Buffer.from(segment.data, 'base64').copy(target, 0, offset);
    this.#position += target.length;
    return target.length;
  }

  #readBlob(blobId: string, target: Buffer, offset: number, small: boolean): number | Promise<number> {
    if (!small) return this.#readLarge(blobId, target, offset);
    this.#descriptor ??= this.#blobs.openNow(blobId);
    return readSync(this.#descriptor, target, 0, target.length, offset);
  }

  async #readLarge(blobId: string, target: Buffer, offset: number): Promise<number> {
    this.#handle ??= await this.#blobs.open(blobId);
    const { bytesRead } = await this.#handle.read(target, 0, target.length, offset);
    return bytesRead;
  }

  async #nextSegment(): Promise<void> {
    this.#current++;
    this.#position = 0;
    await this.close();
  }
}
