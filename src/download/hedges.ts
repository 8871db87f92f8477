/**
 * Second requests for parts that a reader waits for and that are slow beside the others of late: what has not arrived
 * of such a part is asked for once more, on another connection, and whichever request brings it first wins; the other
 * ends. One Hedges per downloader, which tells it when somebody waits; one HedgeBudget per mount.
 *
 * They are the one exception to parts never overlapping: both write the same bytes of the same version, and publishing
 * them twice changes nothing.
 */
import { AbortScope } from '../runtime/aborter.js';
import type { CancelTimer } from '../runtime/clock.js';
import type { ByteRange } from '../runtime/range.js';
import type { HedgeBudget } from './hedge-budget.js';
import type { Pace } from './pace.js';
import { Part } from './part.js';
import type { PartDeps } from './part.js';
import type { AttemptProgress } from './part-request.js';
import type { Lane } from './part-scheduler.js';
import type { PartsUnderWay } from './parts-under-way.js';
import type { DownloadTarget } from './target.js';

/** A part is slow when it takes, or is going to take, so many times what is usual. */
const SLOW_FACTOR = 3;
/** A part is not slow before this: what is usual next door is too short to judge by, and a busy processor is no network. */
const SLOW_MS_MIN = 200;
/** A smaller hedge, of a part that is larger, is not worth its request. */
const HEDGE_BYTES_MIN = 64 * 1024;
/** What may be on its way, and is wasted, when the slow request is ended; it counts as asked for twice. */
const ENDED_BYTES = 1024 * 1024;
/** Slow parts are looked for this often while readers wait. */
const LOOK_INTERVAL_MS = 20;

/** Whether a request with `leftBytes` to come takes much longer than is usual. */
export function isSlow(
  { startedMs, bytes }: AttemptProgress,
  leftBytes: number,
  pace: Pick<Pace, 'known' | 'roundTripMs' | 'bytesPerMs'>,
  nowMs: number,
): boolean {
  const elapsedMs = nowMs - startedMs;
  if (!pace.known || elapsedMs < SLOW_MS_MIN) return false;
  if (bytes === 0) return elapsedMs > SLOW_FACTOR * pace.roundTripMs;
  const expectedMs = (leftBytes * elapsedMs) / bytes;
  return (
    expectedMs > SLOW_FACTOR * (pace.roundTripMs + leftBytes / pace.bytesPerMs) && expectedMs > SLOW_MS_MIN
  );
}

/** What of a downloader hedges need. */
export interface HedgedParts {
  /** Those under way. */
  readonly parts: PartsUnderWay;
  readonly lane: Pick<Lane, 'demand'>;
  readonly stallTimeoutMs: number;
}

export class Hedges {
  readonly #target: DownloadTarget;
  readonly #deps: PartDeps;
  readonly #budget: HedgeBudget;
  readonly #hedged: HedgedParts;
  /** The hedge of each part that has one, undefined until its turn came. */
  readonly #hedges = new Map<Part, Part | undefined>();
  readonly #underWay = new AbortScope();
  #cancelLook: CancelTimer | undefined;

  constructor(target: DownloadTarget, deps: PartDeps, budget: HedgeBudget, hedged: HedgedParts) {
    this.#target = target;
    this.#deps = deps;
    this.#budget = budget;
    this.#hedged = hedged;
  }

  /** A reader waits for some part. */
  watch(): void {
    this.#cancelLook ??= this.#deps.clock.after(LOOK_INTERVAL_MS, () => {
      this.#cancelLook = undefined;
      this.#look();
    });
  }

  /** `part` ended: its hedge is not needed any more. */
  ended(part: Part): void {
    this.#hedges.get(part)?.abandon();
  }

  stop(): void {
    this.#underWay.end();
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    this.#hedges.clear();
  }

  #look(): void {
    const { clock, scheduler } = this.#deps;
    const nowMs = clock.nowMs();
    let isWaiting = false;
    for (const part of this.#hedged.parts) {
      if (!this.#target.wanted(part)) continue;
      isWaiting = true;
      const { progress } = part;
      if (progress === undefined || this.#hedges.has(part)) continue;
      if (isSlow(progress, part.end - part.position, scheduler.pace, nowMs)) this.#hedge(part);
    }
    if (isWaiting) this.watch();
  }

  #hedge(part: Part): void {
    const { pageBytes } = this.#target;
    // What is there may be more than the part was told of.
    const start = this.#target.firstMissing({ start: part.position, end: part.end })?.start;
    if (start === undefined) return;
    const taken = this.#budget.take(part.end - start + ENDED_BYTES);
    const bytes = taken - ENDED_BYTES;
    const end = bytes === part.end - start ? part.end : start + Math.floor(bytes / pageBytes) * pageBytes;
    if (end - start < Math.min(HEDGE_BYTES_MIN, part.end - start)) return this.#budget.refund(taken);
    const signal = this.#underWay.signal;
    this.#hedges.set(part, undefined);
    this.#hedged.lane.demand(async () => {
      const usedBytes = await this.#fetch(part, { start, end }, signal);
      this.#budget.refund(taken - usedBytes);
      if (!signal.aborted) this.#hedges.delete(part);
    });
  }

  /** One attempt; returns how many bytes it cost, on both requests. Never rejects. */
  async #fetch(part: Part, range: ByteRange, signal: AbortSignal): Promise<number> {
    if (signal.aborted || part.state === 'ended' || this.#target.firstMissing(range) === undefined) return 0;
    const hedge = new Part(this.#target, range, this.#deps, true);
    this.#hedges.set(part, hedge);
    const { parts, stallTimeoutMs } = this.#hedged;
    const { kind } = await parts.attempt(hedge, signal, stallTimeoutMs);
    const bytes = hedge.position - range.start;
    this.#deps.metrics.hedged(bytes);
    if (kind === 'complete' && part.position < range.end) part.abandon();
    // One of the two requests was ended before its end.
    return bytes + ENDED_BYTES;
  }
}
