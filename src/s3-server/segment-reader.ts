/**
 * Reads the bytes of segments one after the other. Used by the body writer and by copies. Whoever creates one has
 * the segments pinned, and closes it.
 */
import type { FileHandle } from 'node:fs/promises';
import { fillPattern } from '../runtime/pattern.js';
import type { BlobStore } from './blob-store.js';
import type { Segment } from './model.js';

export class SegmentReader {
  readonly #blobs: BlobStore;
  readonly #segments: readonly Segment[];
  #current = 0;
  /** Within the current segment. */
  #position = 0;
  #handle: FileHandle | undefined;

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
    this.#handle = undefined;
    await handle?.close();
  }

  async #readFrom(segment: Segment, target: Buffer): Promise<number> {
    const offset = segment.offset + this.#position;
    if (segment.kind === 'blob') {
      this.#handle ??= await this.#blobs.open(segment.blobId);
      const { bytesRead } = await this.#handle.read(target, 0, target.length, offset);
      if (bytesRead === 0) throw new Error(`blob ${segment.blobId} is shorter than the journal says`);
      this.#position += bytesRead;
      return bytesRead;
    }
    if (segment.kind === 'pattern') fillPattern(target, segment.seed, offset);
    else Buffer.from(segment.data, 'base64').copy(target, 0, offset);
    this.#position += target.length;
    return target.length;
  }

  async #nextSegment(): Promise<void> {
    this.#current++;
    this.#position = 0;
    await this.close();
  }
}
