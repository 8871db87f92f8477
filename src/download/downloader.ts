/**
 * Fetches one object version: keeps its parts under way, from the moment somebody waits for bytes, or is likely to, to
 * the moment they are in the local copy. One per TempFileStore, which calls `demand` for a reader that waits, `observe`
 * for every read, and `stop` when the last handle closed. What to fetch ahead is said by prefetch-plan.ts, when by the
 * scheduler, why by read-streams.ts and load-recognition.ts.
 *
 * Invariants: parts under way never overlap (each byte is asked for once, but for hedges.ts); what a reader waits for
 * is asked for first, and at once: what several readers want at the same moment in one request, where it is one range;
 * a part that waits for its next attempt holds no connection; without readers nothing is fetched but gently.
 */
import type { FormatProbe } from '../formats/load-plan.js';
import { AbortScope } from '../runtime/aborter.js';
import type { ByteRange } from '../runtime/range.js';
import { GatheredRanges } from './gathered-ranges.js';
import { Hedges } from './hedges.js';
import { LoadRecognition } from './load-recognition.js';
import { Part } from './part.js';
import type { AttemptResult, PartDeps } from './part.js';
import type { Lane, LaneSource, Prefetch } from './part-scheduler.js';
import { PartsUnderWay } from './parts-under-way.js';
import { nextOfFill, nextPrefetch, PART_BYTES_MIN, prefetchLimits } from './prefetch-plan.js';
import type { PrefetchLimits, PrefetchState } from './prefetch-plan.js';
import { demandBytesMin, ReadStreams } from './read-streams.js';
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

/** Before what else: `gently` below all prefetch, for an object that nobody has open yet. */
export type FillKind = 'gently' | 'as prefetch';

export interface DownloaderDeps extends PartDeps {
  /** @param size bytes of the object */
  readonly createProbe: (size: number) => FormatProbe;
}

/** Gentle requests are small: their connection is soon free for a load that begins. */
const GENTLE_PART_BYTES_MAX = 4 * 1024 * 1024;
/** Whoever opens an object reads its beginning, and then some other part of it. */
const OPENED_FETCHES = 2;
/** After a part was given up or failed, nothing is prefetched for this long; demand still is. */
const PREFETCH_PAUSE_MS = 2000;
/** A reader that wants bytes this far ahead of a prefetch part's last byte gets a request of its own… */
const CUT_BYTES_MIN = 2 * 1024 * 1024;
/** …unless the part brings them within so many round trips, or so soon: ending a connection wastes what is on its way. */
const CUT_ROUND_TRIPS = 1.5;
const CUT_WAIT_MS = 100;
/** A prefetch part that sleeps after a failure is tried again this soon once a reader waits for it. */
const URGED_RETRY_MS = 50;

export class Downloader implements LaneSource {
  readonly #target: DownloadTarget;
  readonly #deps: DownloaderDeps;
  readonly #options: DownloaderOptions;
  readonly #partBytesMax: number;
  readonly #lane: Lane;
  readonly #streams = new ReadStreams();
  readonly #load: LoadRecognition;
  readonly #parts = new PartsUnderWay();
  readonly #underWay = new AbortScope();
  readonly #hedges: Hedges | undefined;
  readonly #moment = new GatheredRanges((ranges) => this.#askFor(ranges));
  /** Prefetch parts whose next attempt is due. */
  #due: Part[] = [];
  #isPaused = false;
  /** Somebody reads, or has it filled: else the local copy may be gone, and is not looked at. */
  #isInUse = false;
  #fill: FillKind | undefined;
  #expected = 0;

  constructor(target: DownloadTarget, deps: DownloaderDeps, options: DownloaderOptions) {
    this.#target = target;
    this.#deps = deps;
    this.#options = options;
    this.#partBytesMax = this.#wholePages(options.partBytesMax);
    this.#lane = deps.scheduler.openLane(this);
    this.#load = new LoadRecognition(target, deps.createProbe(target.version.size), options);
    const { hedgeBudget } = deps;
    const hedged = { parts: this.#parts, lane: this.#lane, stallTimeoutMs: options.stallTimeoutMs };
    this.#hedges = hedgeBudget && new Hedges(target, deps, hedgeBudget, hedged);
    this.#expect(Math.min(OPENED_FETCHES, Math.ceil(target.version.size / PART_BYTES_MIN)));
  }

  /** Parts queued, under way, or waiting for their next attempt. */
  get partsInFlight(): number {
    return this.#parts.count;
  }

  /** What is still to come of them, in bytes. */
  get bytesInFlight(): number {
    return this.#parts.bytesLeft((range) => this.#target.missing(range));
  }

  /** Something in `range` is fetched, or about to be, or written still. */
  isUnderWay(range: ByteRange): boolean {
    return this.#parts.mayWrite(range);
  }

  /** Notes a read, whether its bytes are there or not, and fetches ahead of it. */
  observe(range: ByteRange): void {
    this.#isInUse = true;
    this.#streams.observe(range);
    this.#load.observe(range, this.#streams);
    this.#moment.begin();
  }

  /** Asks for what is missing of `range`, ahead of all prefetch. The range was observed just before. */
  demand(range: ByteRange): void {
    this.#isInUse = true;
    this.#streams.waited();
    for (const gap of this.#target.missing(range)) {
      for (const part of this.#parts.overlapping(gap)) this.#urge(part, Math.max(gap.start, part.start));
      for (const piece of this.#parts.free(gap)) this.#moment.add(this.#extend(piece));
    }
    this.#hedges?.watch();
  }

  /** Fetches all of the object, unless it is larger than what may be filled, or a window, until `stop`. */
  fill(kind: FillKind): void {
    if (this.#target.version.size > this.#options.fillBytesMax) return;
    this.#isInUse = true;
    if (this.#fill !== 'as prefetch') this.#fill = kind;
    this.#lane.offer();
  }

  /** Ends all parts under way; what arrived stays. A later `demand` or `observe` starts anew. */
  stop(): void {
    this.#isInUse = false;
    if (!this.#parts.isIdle) this.#underWay.end();
    for (const part of this.#parts) part.cancelSleep?.();
    this.#parts.clear();
    this.#hedges?.stop();
    this.#moment.clear();
    this.#due = [];
    this.#fill = undefined;
    this.#expected = 0;
    this.#streams.reset();
    this.#load.reset();
  }

  // What the scheduler calls (LaneSource):
  get readersWait(): boolean {
    return this.#fill === 'as prefetch' || this.#target.wanted({ start: 0, end: this.#target.version.size });
  }

  nextPrefetch(): Prefetch | undefined {
    for (let part = this.#due.shift(); part !== undefined; part = this.#due.shift()) {
      if (part.state === 'queued' && !part.demanded) return this.#prefetchOf(part);
    }
    if (this.#isPaused || !this.#isInUse) return undefined;
    const limits = this.#prefetchLimits(this.#partBytesMax);
    const range = nextPrefetch(this.#prefetchState(), limits);
    if (range === undefined || !this.#target.hasRoom(range)) return undefined;
    this.#expect(limits.connections);
    return this.#prefetchOf(this.#begin(range, false));
  }

  nextGentle(): Prefetch | undefined {
    if (this.#fill !== 'gently' || this.#target.isWindow || this.#isPaused) return undefined;
    const limits = this.#prefetchLimits(Math.min(this.#partBytesMax, GENTLE_PART_BYTES_MAX));
    const range = nextOfFill(this.#prefetchState(), limits);
    if (range === undefined || !this.#target.hasRoom(range)) return undefined;
    return this.#prefetchOf(this.#begin(range, false));
  }

  #prefetchOf(part: Part): Prefetch {
    const signal = this.#underWay.signal;
    return { bytes: part.end - part.position, turn: (ending) => this.#attempt(part, signal, ending) };
  }

  #begin(range: ByteRange, demanded: boolean): Part {
    const part = new Part(this.#target, range, this.#deps, demanded);
    this.#parts.add(part);
    return part;
  }

  /** A part whose turn is to come: by demand, or when prefetch has a connection. */
  #queue(part: Part): void {
    if (part.demanded) {
      const signal = this.#underWay.signal;
      this.#lane.demand(() => this.#attempt(part, signal));
    } else {
      this.#due.push(part);
      this.#lane.offer();
    }
  }

  /** A reader now waits for bytes from `start` on of a part that is under way. */
  #urge(part: Part, start: number): void {
    if (part.demanded) return;
    if (part.state === 'running' && start - this.#arrivedEnd(part) >= this.#cutBytesMin()) {
      part.cut(start);
      return;
    }
    part.demanded = true;
    if (part.state === 'sleeping') this.#sleep(part, URGED_RETRY_MS);
    else if (part.state === 'queued') this.#queue(part);
  }

  /** Where the bytes of a part end that are there: its transport tells of them a little later. */
  #arrivedEnd({ position, end }: Part): number {
    const gap = this.#target.firstMissing({ start: position, end });
    return gap === undefined ? end : Math.max(position, gap.start);
  }

  #cutBytesMin(): number {
    const { known, roundTripMs, bytesPerMs } = this.#deps.scheduler.pace;
    const waitMs = Math.max(CUT_ROUND_TRIPS * roundTripMs, known ? CUT_WAIT_MS : 0);
    return Math.max(CUT_BYTES_MIN, waitMs * bytesPerMs);
  }

  /** A demand part may reach further than was asked, where the reader's next request is likely to be. */
  #extend({ start, end }: ByteRange): ByteRange {
    const before = { start: Math.max(0, start - 1), end: start };
    const cameBack = start > 0 && this.#target.firstMissing(before) === undefined;
    const bytes = this.#load.fills
      ? PART_BYTES_MIN
      : demandBytesMin(start, this.#streams.streams[0], cameBack);
    const limit = Math.min(Math.max(end, start + this.#wholePages(bytes)), this.#target.version.size);
    const gapEnd = this.#target.firstMissing({ start, end: limit })?.end ?? end;
    return this.#parts.free({ start, end: Math.min(limit, gapEnd) })[0] ?? { start, end };
  }

  /** The end of a moment: what readers wait for first, then what lies ahead of them. */
  #askFor(ranges: readonly ByteRange[]): void {
    const gaps = ranges.flatMap((range) => this.#target.missing(range));
    // All of them, before the first has its turn: that may end at once, and what is fetched ahead take its place.
    const parts: Part[] = [];
    for (const { start, end } of gaps.flatMap((gap) => this.#parts.free(gap))) {
      for (let at = start; at < end; at += this.#partBytesMax)
        parts.push(this.#begin({ start: at, end: Math.min(end, at + this.#partBytesMax) }, true));
    }
    for (const part of parts) this.#queue(part);
    this.#lane.offer();
  }

  /** One attempt of a part that waits for its turn. Never rejects. */
  async #attempt(part: Part, signal: AbortSignal, ending?: () => void): Promise<void> {
    if (signal.aborted || part.state !== 'queued') return;
    part.state = 'running';
    let result: AttemptResult = { kind: 'complete' };
    // Readers may have gone while it was queued, or a hedge have brought it.
    if ((!part.demanded || this.#target.wanted(part)) && this.#target.firstMissing(part) !== undefined) {
      result = await this.#parts.attempt(part, signal, this.#options.stallTimeoutMs, ending);
    }
    if (signal.aborted) return;
    if (result.kind === 'again') this.#sleep(part, result.delayMs);
    else this.#end(part, result);
  }

  #end(part: Part, { kind }: AttemptResult): void {
    part.state = 'ended';
    this.#parts.delete(part);
    this.#hedges?.ended(part);
    if (kind === 'failed' || kind === 'gave_up') this.#pausePrefetch();
    // A reader that came while the part was ending found it among the parts under way and asked for nothing.
    if (kind !== 'aborted' && this.#target.wanted(part)) this.demand(part);
    this.#lane.offer();
    void this.#load.look(() => this.#lane.offer());
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
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#deps.clock.after(PREFETCH_PAUSE_MS, () => {
      this.#isPaused = false;
      this.#lane.offer();
    });
  }

  #prefetchState(): PrefetchState {
    const { size } = this.#target.version;
    return {
      size,
      streams: this.#streams.streams,
      first: this.#load.first,
      fills: this.#load.fills || (this.#fill === 'as prefetch' && !this.#target.isWindow),
      firstFree: ({ start, end }) =>
        this.#parts.firstFree({ start, end: Math.min(end, size) }, (range) =>
          this.#target.firstMissing(range),
        ),
    };
  }

  #prefetchLimits(partBytesMax: number): PrefetchLimits {
    const { pageBytes } = this.#target;
    const bytesMax = { part: partBytesMax, window: this.#options.prefetchBytesMax };
    return prefetchLimits(this.#deps.scheduler.pace, this.#lane.connections, pageBytes, bytesMax);
  }

  /** Has connections opened ahead, when more are about to be used than were before. */
  #expect(fetches: number): void {
    if (fetches <= this.#expected) return;
    this.#expected = fetches;
    this.#deps.objectStore.expectFetches(fetches, this.#target.version);
  }

  #wholePages(bytes: number): number {
    const { pageBytes } = this.#target;
    return Math.ceil(bytes / pageBytes) * pageBytes;
  }
}
