/**
 * Recognises sequential reading in the reads of one store, pure and without time: several readers (handles, mmap
 * threads) each leave a stream, reads near a stream's end continue it, others begin a new one. Tells the downloader
 * how far ahead of each stream to fetch, and whether the reading as a whole looks like a load of the object.
 */
import type { ByteRange } from '../runtime/range.js';

/**
 * Kernels read ahead with several requests at once, which may arrive out of order by a few requests of 128 KiB.
 */
const REORDER_BYTES = 512 * 1024;
/** Readers of one object that are told apart; the one that was quiet for longest is forgotten. */
const STREAMS_MAX = 16;
/** A run shorter than this may be one large random read that the kernel cut into requests: nothing is prefetched. */
const RUN_BYTES_MIN = 256 * 1024;

export interface ReadStream {
  /** Offset behind the furthest byte read in order. */
  readonly position: number;
  /** Bytes read in order so far. */
  readonly runBytes: number;
}

export class ReadStreams {
  /** Most recently continued first. */
  #streams: { position: number; runBytes: number }[] = [];
  #longestRunBytes = 0;

  /** All streams, the most recently continued first. */
  get streams(): readonly ReadStream[] {
    return this.#streams;
  }

  /** The longest run seen since the last `reset`. */
  get longestRunBytes(): number {
    return this.#longestRunBytes;
  }

  /** Notes one read and returns the stream it belongs to. */
  observe({ start, end }: ByteRange): ReadStream {
    const at = this.#streams.findIndex(
      ({ position }) => start <= position + REORDER_BYTES && end + REORDER_BYTES >= position,
    );
    const stream = at === -1 ? { position: start, runBytes: 0 } : this.#streams.splice(at, 1)[0]!;
    if (end > stream.position) {
      stream.runBytes += Math.min(end - stream.position, end - start);
      stream.position = end;
    }
    this.#longestRunBytes = Math.max(this.#longestRunBytes, stream.runBytes);
    this.#streams.unshift(stream);
    this.#streams.length = Math.min(this.#streams.length, STREAMS_MAX);
    return stream;
  }

  reset(): void {
    this.#streams = [];
    this.#longestRunBytes = 0;
  }
}

/**
 * How many bytes behind `stream.position` to have or to fetch: twice what was read in order, so that the window
 * doubles with each one consumed, up to `prefetchBytesMax`; 0 while the run is too short to tell.
 */
export function prefetchWindowBytes(stream: ReadStream, prefetchBytesMax: number): number {
  return stream.runBytes < RUN_BYTES_MIN ? 0 : Math.min(2 * stream.runBytes, prefetchBytesMax);
}
