/** Counters of one mount and their rates, for `status`. Cheap enough for every chunk; no locks, no timers. */
import type { Clock } from '../runtime/clock.js';
import { CacheCounters } from './cache-metrics.js';

const RATE_WINDOW_SECONDS = 10;

/** Sums over the last 10 s, in one bucket a second. */
export class RateMeter {
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #buckets = new Float64Array(RATE_WINDOW_SECONDS);
  #second: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
    this.#second = Math.floor(this.#startMs / 1000);
  }

  add(amount: number): void {
    this.#roll();
    this.#buckets[this.#second % RATE_WINDOW_SECONDS]! += amount;
  }

  /** Average per second over the window, or over the meter's life while that is shorter. */
  perSecond(): number {
    this.#roll();
    const aliveSeconds = (this.#clock.nowMs() - this.#startMs) / 1000;
    const total = this.#buckets.reduce((sum, bucket) => sum + bucket, 0);
    return total / Math.min(RATE_WINDOW_SECONDS, Math.max(1, aliveSeconds));
  }

  #roll(): void {
    const now = Math.floor(this.#clock.nowMs() / 1000);
    const gone = Math.min(now - this.#second, RATE_WINDOW_SECONDS);
    for (let step = 1; step <= gone; step += 1)
      this.#buckets[(this.#second + step) % RATE_WINDOW_SECONDS] = 0;
    this.#second = now;
  }
}

export interface OutsideReads {
  readonly reads: number;
  readonly readErrors: number;
  readonly bytesRead: number;
}

export class TransferMetrics {
  readonly #fetchedRate: RateMeter;
  readonly #readRate: RateMeter;
  readonly cache = new CacheCounters();
  readonly totals = {
    reads: 0,
    readErrors: 0,
    bytesRead: 0,
    partRequests: 0,
    partRetries: 0,
    bytesFetched: 0,
    hedges: 0,
    hedgedBytes: 0,
  };

  constructor(clock: Clock) {
    this.#fetchedRate = new RateMeter(clock);
    this.#readRate = new RateMeter(clock);
  }

  partRequested(): void {
    this.totals.partRequests += 1;
  }

  partRetried(): void {
    this.totals.partRetries += 1;
  }

  /** A second request for a slow part ended, and brought so many bytes (counted by `bytesFetched` as well). */
  hedged(bytes: number): void {
    this.totals.hedges += 1;
    this.totals.hedgedBytes += bytes;
  }

  bytesFetched(bytes: number): void {
    this.totals.bytesFetched += bytes;
    this.#fetchedRate.add(bytes);
  }

  readEnded(bytes: number): void {
    this.totals.reads += 1;
    this.totals.bytesRead += bytes;
    this.#readRate.add(bytes);
  }

  readFailed(): void {
    this.totals.reads += 1;
    this.totals.readErrors += 1;
  }

  /** Reads that were answered outside of JavaScript since the last call: how many ended, how many of those failed. */
  readsEndedOutside({ reads, readErrors, bytesRead }: OutsideReads): void {
    this.totals.reads += reads;
    this.totals.readErrors += readErrors;
    this.totals.bytesRead += bytesRead;
    this.#readRate.add(bytesRead);
  }

  rates(): { readonly bytesReadPerSecond: number; readonly bytesFetchedPerSecond: number } {
    return {
      bytesReadPerSecond: Math.round(this.#readRate.perSecond()),
      bytesFetchedPerSecond: Math.round(this.#fetchedRate.perSecond()),
    };
  }
}
