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
/** Reading from the very beginning is more telling: whoever reads on behind a header, reads the file… */
const HEAD_WINDOW_RUN_BYTES_MIN = 256 * 1024;
/** …but so much the kernel asks for when 256 KiB are read there. */
const HEAD_LOOK_BYTES = 512 * 1024;
const HEAD_LOOK_WINDOW_FACTOR = 2;
/** A stream that has this share of all bytes read is the only one that counts. */
const ALONE_SHARE = 0.9;
/** A shorter run inside an object may end here as well as there: the window of a reader who is alone doubles it… */
const LONG_RUN_BYTES = 8 * 1024 * 1024;
const ALONE_WINDOW_FACTOR = 1;
/** …and of each of several no more than this is fetched, or asked for by the kernel, ahead of its reader. */
const ONE_OF_MANY_WINDOW_FACTOR = 0.2;
/** Less is not worth a request. */
const WINDOW_BYTES_MIN = 256 * 1024;
/** Of a run, only what lies beyond this speaks for a load that is spread over several streams. */
const LOAD_RUN_BYTES_MIN = 4 * 1024 * 1024;
/** A window of so many runs has a reader at full speed after two round trips. */
const WINDOW_FACTOR = 8;
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
  /** `runBytes` when its reader last found bytes missing: what is fetched ahead was too little then, and is enough since. */
  readonly waitedRunBytes: number;
  /** Bytes of the last read: with a kernel that reads ahead, they lie before its reader still. */
  readonly lastBytes: number;
  /** It has most of what was read of the object so far. */
  readonly isAlone: boolean;
  /** The last read lay close to the end of the one before. */
  readonly isNear: boolean;
}

interface Stream {
  position: number;
  runBytes: number;
  fromHead: boolean;
  waitedRunBytes: number;
  lastBytes: number;
  isAlone: boolean;
  isNear: boolean;
  /** Of all its reads, in order or not. */
  readBytes: number;
  /** Left out between its reads; requests that change places come back for it. */
  skippedBytes: number;
}

const NO_STREAM: Stream = {
  position: 0,
  runBytes: 0,
  fromHead: false,
  waitedRunBytes: 0,
  lastBytes: 0,
  isAlone: false,
  isNear: false,
  readBytes: 0,
  skippedBytes: 0,
};

export class ReadStreams {
  /** Most recently continued first. */
  #streams: Stream[] = [];
  #longestRunBytes = 0;
  #loadedBytes = 0;
  #loading = 0;
  #readBytes = 0;
  /** Of which most was read, alone or not. */
  #mostRead: Stream | undefined;

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

  /** How many runs have a part in `loadedBytes`. */
  get loading(): number {
    return this.#loading;
  }

  /** Notes one read and returns the stream it belongs to. */
  observe({ start, end }: ByteRange): ReadStream {
    const at = this.#streams.findIndex(
      ({ position }) => start <= position + REORDER_BYTES && end + REORDER_BYTES >= position,
    );
    const stream =
      at === -1 ? { ...NO_STREAM, position: start, fromHead: start === 0 } : this.#streams.splice(at, 1)[0]!;
    this.#count(stream, end - start);
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

  /** What was observed last was not there. */
  waited(): void {
    const stream = this.#streams[0];
    if (stream !== undefined) stream.waitedRunBytes = stream.runBytes;
  }

  reset(): void {
    this.#streams = [];
    this.#longestRunBytes = 0;
    this.#loadedBytes = 0;
    this.#loading = 0;
    this.#readBytes = 0;
    this.#mostRead = undefined;
  }

  #count(stream: Stream, bytes: number): void {
    this.#readBytes += bytes;
    stream.readBytes += bytes;
    stream.lastBytes = bytes;
    // No more than one can be.
    if (this.#mostRead !== undefined) this.#mostRead.isAlone = false;
    if (this.#mostRead === undefined || stream.readBytes > this.#mostRead.readBytes) this.#mostRead = stream;
    this.#mostRead.isAlone = this.#mostRead.readBytes >= ALONE_SHARE * this.#readBytes;
  }

  #skip(stream: Stream, bytes: number): void {
    stream.skippedBytes += bytes;
    if (stream.skippedBytes <= SKIPPED_BYTES_MAX) return;
    stream.skippedBytes = 0;
    stream.runBytes = 0;
    stream.waitedRunBytes = 0;
    stream.fromHead = false;
  }

  #lengthen(stream: { runBytes: number }, bytes: number): void {
    const before = Math.max(stream.runBytes, LOAD_RUN_BYTES_MIN);
    stream.runBytes += bytes;
    if (before === LOAD_RUN_BYTES_MIN && stream.runBytes > before) this.#loading += 1;
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
  const { runBytes } = stream;
  if (runBytes > windowRunBytesMin(stream)) return HEAD_DEMAND_BYTES;
  if (!cameBack) return 0;
  if (runBytes > RUN_BYTES_MIN) return RUN_DEMAND_BYTES;
  return stream.isNear ? NEAR_DEMAND_BYTES : 0;
}

/** What is asked for when the first reader of an object begins at its beginning, whatever it wants of it. */
export function firstRequestOf({ size }: { readonly size: number }, partBytesMax: number): ByteRange {
  return { start: 0, end: Math.min(HEAD_DEMAND_BYTES, partBytesMax, size) };
}

/**
 * How many bytes behind `stream.position` to have or to fetch, up to `windowBytesMax`: a share or a multiple of what was
 * read in order when the reader last found bytes missing. So it widens with what is read as long as it is too
 * narrow, and no further; 0 while the run is too short to tell.
 */
export function prefetchWindowBytes(stream: ReadStream, windowBytesMax: number): number {
  const runBytes = Math.min(stream.runBytes, stream.waitedRunBytes);
  if (runBytes <= windowRunBytesMin(stream)) return 0;
  const factor = windowFactor(stream, runBytes);
  const bytes = factor * runBytes - (factor < 1 ? stream.lastBytes : 0);
  return bytes < WINDOW_BYTES_MIN ? 0 : Math.min(bytes, windowBytesMax);
}

function windowFactor(stream: ReadStream, runBytes: number): number {
  if (isOfWhole(stream)) return runBytes <= HEAD_LOOK_BYTES ? HEAD_LOOK_WINDOW_FACTOR : WINDOW_FACTOR;
  const isLong = runBytes >= LONG_RUN_BYTES;
  if (stream.isAlone) return isLong ? WINDOW_FACTOR : ALONE_WINDOW_FACTOR;
  return isLong ? Math.min(runBytes / LONG_RUN_BYTES, WINDOW_FACTOR) : ONE_OF_MANY_WINDOW_FACTOR;
}

function windowRunBytesMin(stream: ReadStream): number {
  return isOfWhole(stream) ? HEAD_WINDOW_RUN_BYTES_MIN : WINDOW_RUN_BYTES_MIN;
}

/** Read in order from the first byte on, and hardly elsewhere: who does that reads all of the object. */
function isOfWhole({ fromHead, isAlone }: ReadStream): boolean {
  return fromHead && isAlone;
}
