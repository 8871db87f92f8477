/**
 * Decides what to fetch next of one object version, and keeps the parts under way. One per TempFileStore, which calls
 * `demand` for a reader that waits, `observe` for every read, and `stop` when the last handle closed.
 *
 * Invariants: parts under way never overlap (each byte is asked for once); what a reader waits for is asked for
 * before anything else; without readers nothing is fetched. Fetching ahead: a window per sequential stream, and once
 * the reading looks like a load, the rest of the object (see `#fills`).
 */
import { createAborter } from '../runtime/aborter.js';
import type { ByteRange } from '../runtime/range.js';
import { subtractRanges } from '../runtime/range.js';
import type { PartFetchDeps, PartResult } from './part-fetch.js';
import { fetchPart } from './part-fetch.js';
import type { Scheduler } from './part-scheduler.js';
import { prefetchWindowBytes, ReadStreams } from './read-streams.js';
import type { ReadStream } from './read-streams.js';
import type { DownloadTarget } from './target.js';

export interface DownloaderOptions {
  /** Largest request. */
  readonly partBytesMax: number;
  /** Furthest prefetch ahead of a sequential reader, before the reading looks like a load. */
  readonly prefetchBytesMax: number;
  /** Objects above this are never filled in the background, only windows ahead of their readers. */
  readonly fillBytesMax: number;
  readonly stallTimeoutMs: number;
}

export interface DownloaderDeps extends PartFetchDeps {
  readonly scheduler: Scheduler;
}

/** A sequential reader's first request: small, because the first byte counts, large enough for most headers. */
const STREAM_PART_BYTES_MIN = 1024 * 1024;
/** A random reader's request: at 20 ms a round trip, 64 KiB cost no more than 4. */
const RANDOM_PART_BYTES_MIN = 64 * 1024;
/** In-order reading of this much, or of three largest parts, is a load. */
const LOAD_BYTES = 32 * 1024 * 1024;
const LOAD_PARTS = 3;
/** After a part was given up or denied, nothing is prefetched for this long; demand still is. */
const PREFETCH_PAUSE_MS = 2000;

export class Downloader {
  readonly #target: DownloadTarget;
  readonly #deps: DownloaderDeps;
  readonly #options: DownloaderOptions;
  readonly #streams = new ReadStreams();
  readonly #parts = new Set<ByteRange>();
  #aborter = createAborter();
  #prefetchTurns = 0;
  #prefetchPausedUntilMs = 0;

  constructor(target: DownloadTarget, deps: DownloaderDeps, options: DownloaderOptions) {
    this.#target = target;
    this.#deps = deps;
    this.#options = options;
  }

  /** Parts queued for a reader or under way. */
  get partsInFlight(): number {
    return this.#parts.size;
  }

  /** Notes a read, whether its bytes are there or not, and fetches ahead of it. */
  observe(range: ByteRange): void {
    this.#streams.observe(range);
    this.#pump();
  }

  /** Asks for what is missing of `range`, ahead of all prefetch. The range was observed before. */
  demand(range: ByteRange): void {
    const signal = this.#aborter.signal;
    for (const gap of this.#target.missing(range)) {
      for (const piece of subtractRanges(gap, this.#parts)) {
        for (const part of this.#cut(this.#extend(piece))) {
          this.#parts.add(part);
          this.#deps.scheduler.demand(() => this.#run(part, signal, true));
        }
      }
    }
  }

  /** Ends all parts under way; what arrived stays. A later `demand` or `observe` starts anew. */
  stop(): void {
    this.#aborter.abort();
    this.#aborter = createAborter();
    this.#parts.clear();
    this.#streams.reset();
  }

  /** A demand part reaches a little further than was asked: the reader's next request is likely to be there. */
  #extend({ start, end }: ByteRange): ByteRange {
    const stream = this.#streams.streams[0];
    const sequential = start === 0 || (stream !== undefined && this.#window(stream) > 0);
    const wanted = Math.max(end, start + (sequential ? STREAM_PART_BYTES_MIN : RANDOM_PART_BYTES_MIN));
    const limit = Math.min(wanted, this.#target.version.size);
    if (limit <= end) return { start, end };
    const gapEnd = this.#target.firstMissing({ start, end: limit })?.end ?? end;
    const free = subtractRanges({ start, end: Math.min(limit, gapEnd) }, this.#parts);
    return free[0] ?? { start, end };
  }

  #cut({ start, end }: ByteRange): ByteRange[] {
    const parts: ByteRange[] = [];
    for (let at = start; at < end; at += this.#options.partBytesMax) {
      parts.push({ start: at, end: Math.min(end, at + this.#options.partBytesMax) });
    }
    return parts;
  }

  /** Runs one part that is already among `#parts`. Never rejects. */
  async #run(part: ByteRange, signal: AbortSignal, onDemand: boolean): Promise<void> {
    if (signal.aborted) return;
    let result: PartResult = 'complete';
    if (!onDemand || this.#target.wanted(part)) {
      result = await fetchPart(this.#target, part, this.#deps, {
        signal,
        stallTimeoutMs: this.#options.stallTimeoutMs,
      });
    }
    if (signal.aborted) return;
    this.#parts.delete(part);
    if (result === 'failed' || result === 'gave_up') this.#pausePrefetch();
    // A reader that came while the part was ending found it among the parts under way and asked for nothing.
    if (this.#target.wanted(part)) this.demand(part);
    this.#pump();
  }

  #pausePrefetch(): void {
    this.#prefetchPausedUntilMs = this.#deps.clock.nowMs() + PREFETCH_PAUSE_MS;
    this.#deps.clock.after(PREFETCH_PAUSE_MS, () => this.#pump());
  }

  /** Queues turns for prefetch, as long as there is something to fetch ahead. */
  #pump(): void {
    const signal = this.#aborter.signal;
    while (this.#prefetchTurns < this.#deps.scheduler.prefetchTurnsMax && this.#nextAhead() !== undefined) {
      this.#prefetchTurns += 1;
      this.#deps.scheduler.prefetch(() => this.#turn(signal));
      // What to fetch is decided when the turn comes: one queued turn stands for all that is ahead now.
      if (this.#prefetchTurns > this.#parts.size) break;
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const part = signal.aborted ? undefined : this.#nextAhead();
    if (part !== undefined) {
      this.#parts.add(part);
      this.#pump();
      await this.#run(part, signal, false);
    }
    this.#prefetchTurns -= 1;
    this.#pump();
  }

  /** The next part to fetch ahead of the readers, or undefined. */
  #nextAhead(): ByteRange | undefined {
    if (this.#deps.clock.nowMs() < this.#prefetchPausedUntilMs) return undefined;
    for (const stream of this.#streams.streams) {
      const window = this.#window(stream);
      if (window === 0) continue;
      const partBytes = Math.max(STREAM_PART_BYTES_MIN, window / 4);
      const part = this.#firstFree({ start: stream.position, end: stream.position + window }, partBytes);
      if (part !== undefined) return part;
    }
    const newest = this.#streams.streams[0];
    if (!this.#fills() || newest === undefined) return undefined;
    const { size } = this.#target.version;
    const partBytes = this.#options.partBytesMax;
    return (
      this.#firstFree({ start: newest.position, end: size }, partBytes) ??
      this.#firstFree({ start: 0, end: newest.position }, partBytes)
    );
  }

  /** True once the reading looks like a load and the whole object may lie on disk. */
  #fills(): boolean {
    const loadBytes = Math.min(LOAD_BYTES, LOAD_PARTS * this.#options.partBytesMax);
    return (
      this.#streams.longestRunBytes >= loadBytes && this.#target.version.size <= this.#options.fillBytesMax
    );
  }

  #window(stream: ReadStream): number {
    return prefetchWindowBytes(stream, this.#options.prefetchBytesMax);
  }

  /** The first bytes of `range` that are neither there nor under way, at most about `partBytes` of them. */
  #firstFree(range: ByteRange, partBytes: number): ByteRange | undefined {
    const bytesMax = Math.min(this.#options.partBytesMax, 4096 * Math.ceil(partBytes / 4096));
    let start = range.start;
    const end = Math.min(range.end, this.#target.version.size);
    while (start < end) {
      const gap = this.#target.firstMissing({ start, end });
      if (gap === undefined) return undefined;
      const free = subtractRanges(gap, this.#parts)[0];
      if (free !== undefined) return { start: free.start, end: Math.min(free.end, free.start + bytesMax) };
      start = gap.end;
    }
    return undefined;
  }
}
