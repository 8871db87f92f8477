/**
 * What the cache did for one daemon, counted for `status`. The layers that know call it through `CacheMetrics`: file/
 * when files are opened, filled and found wrong, cache/ when copies are evicted. Totals only grow.
 */

export interface CacheMetrics {
  /** A file was opened. `complete`: every byte of it was in the cache already. */
  opened(complete: boolean): void;
  /** So many bytes of a copy that this process began to use were there before, and were right if that had to be looked at. */
  found(bytes: number): void;
  /** A copy became complete, and was not found wrong; `fillMs` since this process began to fill it. */
  filled(fillMs: number): void;
  /** An object whose copy failed or was wrong is fetched again from the start. */
  refetched(): void;
  /** A copy, or a block of one, was not what it should be. */
  verificationFailed(): void;
  /** A copy of so many bytes was removed to make room. */
  evicted(bytes: number): void;
}

export interface CacheTotals {
  /** Opens that found every byte in the cache, and the others. */
  readonly hits: number;
  readonly misses: number;
  /** Bytes that were there already when a copy was taken into use, those that were verified first included. */
  readonly bytesFromCache: number;
  /** Copies that this daemon completed, and how long that took on average; null while there are none. */
  readonly fills: number;
  readonly fillMsAverage: number | null;
  /** Objects that were fetched again because their copy failed or was wrong. */
  readonly retries: number;
  readonly verificationFailures: number;
  readonly evictions: number;
  readonly evictedBytes: number;
}

export class CacheCounters implements CacheMetrics {
  readonly #totals = {
    hits: 0,
    misses: 0,
    bytesFromCache: 0,
    fills: 0,
    retries: 0,
    verificationFailures: 0,
    evictions: 0,
    evictedBytes: 0,
  };
  #fillMs = 0;

  get totals(): CacheTotals {
    const { fills } = this.#totals;
    return { ...this.#totals, fillMsAverage: fills === 0 ? null : Math.round(this.#fillMs / fills) };
  }

  opened(complete: boolean): void {
    this.#totals[complete ? 'hits' : 'misses'] += 1;
  }

  found(bytes: number): void {
    this.#totals.bytesFromCache += bytes;
  }

  filled(fillMs: number): void {
    this.#totals.fills += 1;
    this.#fillMs += fillMs;
  }

  refetched(): void {
    this.#totals.retries += 1;
  }

  verificationFailed(): void {
    this.#totals.verificationFailures += 1;
  }

  evicted(bytes: number): void {
    this.#totals.evictions += 1;
    this.#totals.evictedBytes += bytes;
  }
}
