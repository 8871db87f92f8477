/**
 * Decides what to fetch next of one object version, and keeps the parts under way. One per TempFileStore, which calls
 * `demand` for a reader that waits, `observe` for every read, and `stop` when the last handle closed.
 *
 * Invariants: parts under way never overlap (each byte is asked for once); what a reader waits for is asked for
 * before anything else; a part that waits for its next attempt holds no connection; without readers nothing is
 * fetched. Fetching ahead: a window per sequential stream, and once the reading looks like a load, the rest of the
 * object (see `#fills`).
 */
import { createAborter } from '../runtime/aborter.js';
import type { ByteRange } from '../runtime/range.js';
import { rangesOverlap, subtractRanges } from '../runtime/range.js';
import { Part } from './part.js';
import type { AttemptResult, PartDeps } from './part.js';
import type { Scheduler } from './part-scheduler.js';
import { demandBytesMin, prefetchWindowBytes, ReadStreams } from './read-streams.js';
import type { ReadStream } from './read-streams.js';
import type { DownloadTarget } from './target.js';

export interface DownloaderOptions {
  /** Largest request, rounded up to whole pages. */
  readonly partBytesMax: number;
  /** Furthest prefetch ahead of a sequential reader, before the reading looks like a load. */
  readonly prefetchBytesMax: number;
  /** Objects above this are never filled in the background, only windows ahead of their readers. */
  readonly fillBytesMax: number;
  readonly stallTimeoutMs: number;
}

export interface DownloaderDeps extends PartDeps {
  readonly scheduler: Scheduler;
}

/** Windows are fetched in quarters, but not in requests smaller than this. */
const WINDOW_PART_BYTES_MIN = 1024 * 1024;
/** In-order reading of this much, or of three largest parts, is a load. */
const LOAD_BYTES = 32 * 1024 * 1024;
const LOAD_PARTS = 3;
/** After a part was given up or failed, nothing is prefetched for this long; demand still is. */
const PREFETCH_PAUSE_MS = 2000;
/** A reader that wants bytes this far ahead of a prefetch part's last byte gets a request of its own. */
const CUT_BYTES_MIN = 2 * 1024 * 1024;
/** A prefetch part that sleeps after a failure is tried again this soon once a reader waits for it. */
const URGED_RETRY_MS = 50;

export class Downloader {
  readonly #target: DownloadTarget;
  readonly #deps: DownloaderDeps;
  readonly #options: DownloaderOptions;
  readonly #partBytesMax: number;
  readonly #streams = new ReadStreams();
  readonly #parts = new Set<Part>();
  #aborter = createAborter();
  #prefetchTurns = 0;
  #prefetchPaused = false;
  #isGentle = false;

  constructor(target: DownloadTarget, deps: DownloaderDeps, options: DownloaderOptions) {
    this.#target = target;
    this.#deps = deps;
    this.#options = options;
    this.#partBytesMax = this.#wholePages(options.partBytesMax);
  }

  /** Parts queued, under way, or waiting for their next attempt. */
  get partsInFlight(): number {
    return this.#parts.size;
  }

  /** Notes a read, whether its bytes are there or not, and fetches ahead of it. */
  observe(range: ByteRange): void {
    this.#pump([this.#streams.observe(range)]);
  }

  /** Asks for what is missing of `range`, ahead of all prefetch. The range was observed just before. */
  demand(range: ByteRange): void {
    for (const gap of this.#target.missing(range)) {
      for (const part of this.#parts) if (rangesOverlap(part, gap)) this.#urge(part, gap.start);
      for (const piece of subtractRanges(gap, this.#parts)) {
        const { start, end } = this.#extend(piece);
        for (let at = start; at < end; at += this.#partBytesMax) {
          this.#queue(this.#begin({ start: at, end: Math.min(end, at + this.#partBytesMax) }, true));
        }
      }
    }
  }

  /** Fetches the whole object when nothing else is to be fetched, until `stop`. */
  fillGently(): void {
    this.#isGentle = this.#target.version.size <= this.#options.fillBytesMax;
    this.#pump(this.#streams.streams);
  }

  /** Ends all parts under way; what arrived stays. A later `demand` or `observe` starts anew. */
  stop(): void {
    this.#aborter.abort();
    this.#aborter = createAborter();
    for (const part of this.#parts) part.cancelSleep?.();
    this.#parts.clear();
    this.#isGentle = false;
    this.#streams.reset();
  }

  #begin(range: ByteRange, demanded: boolean): Part {
    const part = new Part(this.#target, range, this.#deps, demanded);
    this.#parts.add(part);
    return part;
  }

  #queue(part: Part): void {
    const signal = this.#aborter.signal;
    const turn = () => this.#attempt(part, signal);
    if (part.demanded) this.#deps.scheduler.demand(turn);
    else this.#deps.scheduler.prefetch(turn);
  }

  /** A reader now waits for bytes from `start` on of a part that is under way. */
  #urge(part: Part, start: number): void {
    if (part.demanded) return;
    if (part.state === 'running' && start - part.position >= CUT_BYTES_MIN) {
      part.cut(start);
      return;
    }
    part.demanded = true;
    if (part.state === 'sleeping') this.#sleep(part, URGED_RETRY_MS);
    else if (part.state === 'queued') this.#queue(part);
  }

  /** A demand part reaches a little further than was asked: the reader's next request is likely to be there. */
  #extend({ start, end }: ByteRange): ByteRange {
    const bytes = demandBytesMin(start, this.#streams.streams[0]);
    const limit = Math.min(Math.max(end, start + this.#wholePages(bytes)), this.#target.version.size);
    const gapEnd = this.#target.firstMissing({ start, end: limit })?.end ?? end;
    const free = subtractRanges({ start, end: Math.min(limit, gapEnd) }, this.#parts);
    return free[0] ?? { start, end };
  }

  /** One attempt of a part that waits for its turn. Never rejects. */
  async #attempt(part: Part, signal: AbortSignal): Promise<void> {
    if (signal.aborted || part.state !== 'queued') return;
    part.state = 'running';
    let result: AttemptResult = { kind: 'complete' };
    // Readers may have gone while it was queued.
    if (!part.demanded || this.#target.wanted(part)) {
      result = await part.attempt(signal, this.#options.stallTimeoutMs);
    }
    if (signal.aborted) return;
    if (result.kind === 'again') {
      this.#sleep(part, result.delayMs);
      return;
    }
    part.state = 'ended';
    this.#parts.delete(part);
    if (result.kind === 'failed' || result.kind === 'gave_up') this.#pausePrefetch();
    // A reader that came while the part was ending found it among the parts under way and asked for nothing.
    if (result.kind !== 'aborted' && this.#target.wanted(part)) this.demand(part);
    this.#pump(this.#streams.streams);
  }

  #sleep(part: Part, delayMs: number): void {
    part.cancelSleep?.();
    part.state = 'sleeping';
    part.cancelSleep = this.#deps.clock.after(delayMs, () => {
      part.cancelSleep = undefined;
      part.state = 'queued';
      this.#queue(part);
    });
  }

  #pausePrefetch(): void {
    if (this.#prefetchPaused) return;
    this.#prefetchPaused = true;
    this.#deps.clock.after(PREFETCH_PAUSE_MS, () => {
      this.#prefetchPaused = false;
      this.#pump(this.#streams.streams);
    });
  }

  /** Queues turns for prefetch, as long as there is something to fetch ahead of `streams`. */
  #pump(streams: readonly ReadStream[]): void {
    const signal = this.#aborter.signal;
    while (
      this.#prefetchTurns < this.#deps.scheduler.prefetchTurnsMax &&
      this.#nextAhead(streams) !== undefined
    ) {
      this.#prefetchTurns += 1;
      this.#deps.scheduler.prefetch(() => this.#prefetchTurn(signal));
      // What to fetch is decided when the turn comes: one queued turn stands for all that is ahead now.
      if (this.#prefetchTurns > this.#parts.size) break;
    }
  }

  async #prefetchTurn(signal: AbortSignal): Promise<void> {
    const range = signal.aborted ? undefined : this.#nextAhead(this.#streams.streams);
    if (range !== undefined) {
      const part = this.#begin(range, false);
      this.#pump(this.#streams.streams);
      await this.#attempt(part, signal);
    }
    this.#prefetchTurns -= 1;
    this.#pump(this.#streams.streams);
  }

  /** The next range to fetch ahead of the readers, or undefined. */
  #nextAhead(streams: readonly ReadStream[]): ByteRange | undefined {
    if (this.#prefetchPaused) return undefined;
    for (const stream of streams) {
      const range = this.#nextInWindow(stream);
      if (range !== undefined) return range;
    }
    if (!this.#isGentle && !this.#fills()) return undefined;
    const position = this.#streams.streams[0]?.position ?? 0;
    const { size } = this.#target.version;
    return (
      this.#firstFree({ start: position, end: size }, this.#partBytesMax) ??
      this.#firstFree({ start: 0, end: position }, this.#partBytesMax)
    );
  }

  #nextInWindow(stream: ReadStream): ByteRange | undefined {
    const bytes = prefetchWindowBytes(stream, this.#options.prefetchBytesMax);
    if (bytes === 0) return undefined;
    const partBytes = this.#wholePages(Math.max(WINDOW_PART_BYTES_MIN, bytes / 4));
    const end = Math.min(stream.position + bytes, this.#target.version.size);
    const range = this.#firstFree({ start: stream.position, end }, partBytes);
    if (range === undefined) return undefined;
    // A sliver at the far edge waits until the window has moved on: else each read would send a small request.
    const isSliver =
      range.end >= end && end < this.#target.version.size && range.end - range.start < partBytes;
    return isSliver && range.start > stream.position + bytes / 4 ? undefined : range;
  }

  /** True once the reading looks like a load and the whole object may lie on disk. */
  #fills(): boolean {
    const loadBytes = Math.min(LOAD_BYTES, LOAD_PARTS * this.#partBytesMax);
    return (
      this.#streams.longestRunBytes >= loadBytes && this.#target.version.size <= this.#options.fillBytesMax
    );
  }

  /** The first whole pages of `range` that are neither there nor under way, at most `bytesMax` of them. */
  #firstFree(range: ByteRange, bytesMax: number): ByteRange | undefined {
    const end = Math.min(range.end, this.#target.version.size);
    const partBytes = Math.min(bytesMax, this.#partBytesMax);
    for (let start = range.start; start < end;) {
      const gap = this.#target.firstMissing({ start, end });
      if (gap === undefined) return undefined;
      const free = subtractRanges(gap, this.#parts)[0];
      if (free !== undefined) return { start: free.start, end: Math.min(free.end, free.start + partBytes) };
      start = gap.end;
    }
    return undefined;
  }

  #wholePages(bytes: number): number {
    const { pageBytes } = this.#target;
    return Math.ceil(bytes / pageBytes) * pageBytes;
  }
}
