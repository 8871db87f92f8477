/**
 * Recognises sequential reading in the reads of one store, pure and without time: several readers (handles, mmap
 * threads) each leave a stream, reads near a stream's end continue it, others begin a new one. Tells the downloader
 * how much to ask for and how far ahead of each stream to fetch, and how long the longest run was.
 */
import type { ByteRange } from '../runtime/range.js';

/** Kernels read ahead with several requests at once, which may arrive out of order by a few requests of 128 KiB. */
const REORDER_BYTES = 512 * 1024;
/** Reading that leaves out more than one such request between reads is not reading in order. */
const GAP_BYTES_MAX = 128 * 1024;
/** Readers of one object that are told apart: loaders use a thread per core, and some more. */
const STREAMS_MAX = 128;
/**
 * Two of libfuse's largest requests may be one random read of 256 KiB, and one of the native driver's a random read of
 * 1 MiB: only a longer run is reading in order, and only a still longer one is worth a window.
 */
const RUN_BYTES_MIN = 256 * 1024;
const WINDOW_RUN_BYTES_MIN = 1024 * 1024;
/** The first request of a file: small, because the first byte counts, large enough for most headers. */
const HEAD_DEMAND_BYTES = 1024 * 1024;
/** While a run is young, half of that: a random read of 1 MiB by 128 KiB is then amplified by a quarter, not by more. */
const RUN_DEMAND_BYTES = 512 * 1024;
/** A random reader's request: at 20 ms a round trip, 64 KiB cost no more than 4. */
const RANDOM_DEMAND_BYTES = 64 * 1024;

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
      if (start <= stream.position + GAP_BYTES_MAX)
        stream.runBytes += Math.min(end - stream.position, end - start);
      stream.position = end;
    }
    this.#longestRunBytes = Math.max(this.#longestRunBytes, stream.runBytes);
    this.#streams.unshift(stream);
    if (this.#streams.length > STREAMS_MAX) this.#forgetOne();
    return stream;
  }

  reset(): void {
    this.#streams = [];
    this.#longestRunBytes = 0;
  }

  /** The shortest run tells least; among equals the one that was quiet for longest. */
  #forgetOne(): void {
    let shortest = this.#streams.length - 1;
    for (let at = shortest; at > 0; at -= 1) {
      if (this.#streams[at]!.runBytes < this.#streams[shortest]!.runBytes) shortest = at;
    }
    this.#streams.splice(shortest, 1);
  }
}

/** How many bytes to ask for at least when a reader misses those at `start`. */
export function demandBytesMin(start: number, stream: ReadStream | undefined): number {
  const runBytes = stream?.runBytes ?? 0;
  if (start === 0 || runBytes > WINDOW_RUN_BYTES_MIN) return HEAD_DEMAND_BYTES;
  return runBytes > RUN_BYTES_MIN ? RUN_DEMAND_BYTES : RANDOM_DEMAND_BYTES;
}

/**
 * How many bytes behind `stream.position` to have or to fetch: twice what was read in order, so that the window
 * doubles with each one consumed, up to `prefetchBytesMax`; 0 while the run is too short to tell.
 */
export function prefetchWindowBytes(stream: ReadStream, prefetchBytesMax: number): number {
  return stream.runBytes <= WINDOW_RUN_BYTES_MIN ? 0 : Math.min(2 * stream.runBytes, prefetchBytesMax);
}
