/**
 * Recognises sequential reading in the reads of one store, pure and without time: several readers (handles, mmap
 * threads) each leave a stream, reads near a stream's end continue it, others begin a new one. Tells the downloader
 * how much to ask for and how far ahead of each stream to fetch, and how much was read in order.
 */
import type { ByteRange } from '../runtime/range.js';

/** Kernels read ahead with several requests at once, which may change places: a few of 128 KiB, or one of 1 MiB. */
const REORDER_BYTES = (1024 + 256) * 1024;
/** Reading that leaves out more than a request of 128 KiB, or than it reads, is not reading in order. */
const GAP_BYTES_MAX = 128 * 1024;
/** Whoever left out so much, and did not come back for it, reads here and there: what comes next is anybody's guess. */
const SKIPPED_BYTES_MAX = 1024 * 1024;
/** Readers of one object that are told apart: loaders use a thread per core, and some more. */
const STREAMS_MAX = 128;
/** Reads this near to the end of an earlier one are local: the next one is likely to be near as well. */
const NEAR_BYTES = 64 * 1024;
/** Two of libfuse's largest requests may be one random read of 256 KiB: only a longer run is reading in order. */
const RUN_BYTES_MIN = 256 * 1024;
/**
 * One of the native driver's largest requests, with one of 128 KiB that an unaligned read or the kernel's reading
 * ahead adds, is a random read of 1 MiB. Only a longer run inside an object is worth a window.
 */
const WINDOW_RUN_BYTES_MIN = (1024 + 128) * 1024;
/** Reading from the very beginning is more telling: whoever reads on behind a header, reads the file. */
const HEAD_WINDOW_RUN_BYTES_MIN = 256 * 1024;
/** Windows inside an object are cautious up to here: random reads of a few MiB exist. */
const LONG_RUN_BYTES = 8 * 1024 * 1024;
const CAUTIOUS_WINDOW_FACTOR = 2;
/** A window of so many runs has a reader at full speed after two round trips. */
const WINDOW_FACTOR = 8;
/** Of a run, only what lies beyond this speaks for a load that is spread over several streams. */
const LOAD_RUN_BYTES_MIN = 4 * 1024 * 1024;
/** The first request of a file: small, because the first byte counts, large enough for most headers. */
const HEAD_DEMAND_BYTES = 1024 * 1024;
/** While a run is young, half of that: a random read of 1 MiB by 128 KiB is then amplified by a quarter, not by more. */
const RUN_DEMAND_BYTES = 512 * 1024;
const NEAR_DEMAND_BYTES = 64 * 1024;

export interface ReadStream {
  /** Offset behind the furthest byte read in order. */
  readonly position: number;
  /** Bytes read in order so far. */
  readonly runBytes: number;
  /** The run began with the first byte of the object. */
  readonly fromHead: boolean;
  /** The last read lay close to the end of the one before. */
  readonly isNear: boolean;
}

interface Stream {
  position: number;
  runBytes: number;
  fromHead: boolean;
  isNear: boolean;
  /** Left out between its reads; requests that change places come back for it. */
  skippedBytes: number;
}

export class ReadStreams {
  /** Most recently continued first. */
  #streams: Stream[] = [];
  #longestRunBytes = 0;
  #loadedBytes = 0;

  /** All streams, the most recently continued first. */
  get streams(): readonly ReadStream[] {
    return this.#streams;
  }

  /** The longest run seen since the last `reset`. */
  get longestRunBytes(): number {
    return this.#longestRunBytes;
  }

  /** Bytes of all runs together since the last `reset`, without their beginnings and without short ones. */
  get loadedBytes(): number {
    return this.#loadedBytes;
  }

  /** Notes one read and returns the stream it belongs to. */
  observe({ start, end }: ByteRange): ReadStream {
    const at = this.#streams.findIndex(
      ({ position }) => start <= position + REORDER_BYTES && end + REORDER_BYTES >= position,
    );
    const stream =
      at === -1
        ? { position: start, runBytes: 0, fromHead: start === 0, isNear: false, skippedBytes: 0 }
        : this.#streams.splice(at, 1)[0]!;
    if (at !== -1) stream.isNear = Math.abs(start - stream.position) <= NEAR_BYTES;
    if (end > stream.position) {
      if (start <= stream.position + Math.min(GAP_BYTES_MAX, end - start))
        this.#lengthen(stream, Math.min(end - stream.position, end - start));
      else this.#skip(stream, start - stream.position);
      stream.position = end;
    } else {
      stream.skippedBytes = Math.max(0, stream.skippedBytes - (end - start));
    }
    this.#streams.unshift(stream);
    if (this.#streams.length > STREAMS_MAX) this.#forgetOne();
    return stream;
  }

  reset(): void {
    this.#streams = [];
    this.#longestRunBytes = 0;
    this.#loadedBytes = 0;
  }

  #skip(stream: Stream, bytes: number): void {
    stream.skippedBytes += bytes;
    if (stream.skippedBytes <= SKIPPED_BYTES_MAX) return;
    stream.skippedBytes = 0;
    stream.runBytes = 0;
    stream.fromHead = false;
  }

  #lengthen(stream: { runBytes: number }, bytes: number): void {
    const before = Math.max(stream.runBytes, LOAD_RUN_BYTES_MIN);
    stream.runBytes += bytes;
    this.#loadedBytes += Math.max(0, stream.runBytes - before);
    this.#longestRunBytes = Math.max(this.#longestRunBytes, stream.runBytes);
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

/**
 * How many bytes to ask for at least when a reader misses those at `start`; 0: what it wants and no more.
 * @param cameBack the bytes before `start` are there: this is not one of several requests of a single read
 */
export function demandBytesMin(start: number, stream: ReadStream | undefined, cameBack: boolean): number {
  if (start === 0) return HEAD_DEMAND_BYTES;
  if (stream === undefined) return 0;
  if (stream.runBytes > windowRunBytesMin(stream)) return HEAD_DEMAND_BYTES;
  if (!cameBack) return 0;
  if (stream.runBytes > RUN_BYTES_MIN) return RUN_DEMAND_BYTES;
  return stream.isNear ? NEAR_DEMAND_BYTES : 0;
}

/**
 * How many bytes behind `stream.position` to have or to fetch: a multiple of what was read in order, so that the
 * window grows with each one consumed, up to `windowBytesMax`; 0 while the run is too short to tell.
 */
export function prefetchWindowBytes(stream: ReadStream, windowBytesMax: number): number {
  const { runBytes, fromHead } = stream;
  if (runBytes <= windowRunBytesMin(stream)) return 0;
  const factor = fromHead || runBytes >= LONG_RUN_BYTES ? WINDOW_FACTOR : CAUTIOUS_WINDOW_FACTOR;
  return Math.min(factor * runBytes, windowBytesMax);
}

function windowRunBytesMin({ fromHead }: ReadStream): number {
  return fromHead ? HEAD_WINDOW_RUN_BYTES_MIN : WINDOW_RUN_BYTES_MIN;
}
