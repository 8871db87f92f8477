/** How long to wait before a part is tried again: exponential with full jitter, bounded so that no reader loses seconds. */

/** The first retry comes at once in human terms, but not in the same instant for all connections. */
const BASE_DELAY_MS = 50;
/** Retries keep coming this often however long the trouble lasts: readers have deadlines, not patience. */
const DELAY_MS_MAX = 2000;
/** A server may ask for more with Retry-After, up to this. */
const RETRY_AFTER_MS_MAX = 4000;

/**
 * @param failures attempts that failed in a row, from 1 on
 * @param random a number in [0, 1)
 * @param retryAfterMs what the server asked for
 * @returns milliseconds
 */
export function backoffDelayMs(failures: number, random: number, retryAfterMs = 0): number {
  const ceiling = Math.min(DELAY_MS_MAX, BASE_DELAY_MS * 2 ** (failures - 1));
  return Math.max(ceiling * (0.5 + random / 2), Math.min(retryAfterMs, RETRY_AFTER_MS_MAX));
}
