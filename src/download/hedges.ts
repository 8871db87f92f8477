/**
 * Second requests for parts that a reader waits for and that are slow beside the others of late: what has not arrived
 * of such a part is asked for once more, on another connection, and whichever request brings it first wins; the other
 * ends. One HedgeBudget per mount, one Hedges per downloader, which tells it who waits.
 *
 * Promise: all hedges together ask for at most a hundredth of the bytes that parts brought. They are the one exception
 * to parts never overlapping: both write the same bytes of the same version, and publishing twice changes nothing.
 */
import type { CancelTimer, Clock } from '../runtime/clock.js';
import type { ByteRange } from '../runtime/range.js';
import type { Pace } from './pace.js';
import type { AttemptResult, Part } from './part.js';

const HEDGED_SHARE_MAX = 0.01;
/** What may be saved up: four of the first requests of files; without a limit a long quiet would pay for a flood. */
const SAVED_BYTES_MAX = 4 * 1024 * 1024;
/** A part is slow when it takes, or is going to take, so many times what is usual. */
const SLOW_FACTOR = 3;
/** What is usual on a network next door is too short to judge by: no part is slow before this. */
const SLOW_MS_MIN = 50;
/** A smaller hedge, of a part that is larger, is not worth its request. */
const HEDGE_BYTES_MIN = 64 * 1024;
/** Slow parts are looked for this often while readers wait. */
const LOOK_INTERVAL_MS = 20;

/** The bytes that may still be asked for twice. */
export class HedgeBudget {
  #bytes = 0;

  /** Parts brought `bytes`. */
  fetched(bytes: number): void {
    this.refund(bytes * HEDGED_SHARE_MAX);
  }

  /** Takes up to `bytes`; returns how many. */
  take(bytes: number): number {
    const taken = Math.min(bytes, Math.floor(this.#bytes));
    this.#bytes -= taken;
    return taken;
  }

  refund(bytes: number): void {
    this.#bytes = Math.min(SAVED_BYTES_MAX, this.#bytes + bytes);
  }
}

/** What a request under way has done so far. */
export interface AttemptProgress {
  readonly startedMs: number;
  readonly bytes: number;
}

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
  return expectedMs > SLOW_FACTOR * (pace.roundTripMs + leftBytes / pace.bytesPerMs) && expectedMs > SLOW_MS_MIN;
}

export interface HedgesDeps {
  readonly clock: Clock;
  readonly pace: Pace;
  readonly budget: HedgeBudget;
  readonly pageBytes: number;
  /** Parts under way that a reader waits for. */
  readonly waitedFor: () => Iterable<Part>;
  /** Fetches `range` besides its part: one attempt, ahead of all prefetch. Resolves undefined when it is too late. */
  readonly fetch: (range: ByteRange, begun: (hedge: Part) => void) => Promise<AttemptResult | undefined>;
  readonly hedged: (bytes: number) => void;
}

export class Hedges {
  readonly #deps: HedgesDeps;
  /** The part that each hedge is for. */
  readonly #hedges = new Map<Part, { hedge: Part | undefined }>();
  #cancelLook: CancelTimer | undefined;

  constructor(deps: HedgesDeps) {
    this.#deps = deps;
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
    this.#hedges.get(part)?.hedge?.abandon();
  }

  stop(): void {
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    this.#hedges.clear();
  }

  #look(): void {
    const { clock, pace } = this.#deps;
    const nowMs = clock.nowMs();
    let isWaiting = false;
    for (const part of this.#deps.waitedFor()) {
      isWaiting = true;
      const { progress } = part;
      if (progress === undefined || this.#hedges.has(part)) continue;
      if (isSlow(progress, part.end - part.position, pace, nowMs)) void this.#hedge(part);
    }
    if (isWaiting) this.watch();
  }

  async #hedge(part: Part): Promise<void> {
    const { budget, pageBytes, fetch, hedged } = this.#deps;
    const start = Math.floor(part.position / pageBytes) * pageBytes;
    const bytes = budget.take(part.end - start);
    const end = bytes === part.end - start ? part.end : start + Math.floor(bytes / pageBytes) * pageBytes;
    if (end - start < Math.min(HEDGE_BYTES_MIN, part.end - start)) return budget.refund(bytes);
    const entry: { hedge: Part | undefined } = { hedge: undefined };
    this.#hedges.set(part, entry);
    const result = await fetch({ start, end }, (hedge) => (entry.hedge = hedge));
    const fetchedBytes = (entry.hedge?.position ?? start) - start;
    budget.refund(bytes - fetchedBytes);
    hedged(fetchedBytes);
    this.#hedges.delete(part);
    if (result?.kind === 'complete' && part.position < end) part.abandon();
  }
}
