/**
 * Retries of control calls (list, head, check). Sluice's own instead of the SDK's: its retries share one token bucket
 * per client, so that a burst of faults leaves later calls without retries, and its pauses cannot be aborted.
 */
import type { Logger } from '../observability/logger.js';
import { sleep } from '../runtime/clock.js';
import type { Clock } from '../runtime/clock.js';
import type { Failure } from './s3-errors.js';

/** Attempt n + 1 follows after half to all of `100 ms · 2ⁿ⁻¹`: five pauses of 1.6–3.1 s together. */
export const ATTEMPTS_MAX = 6;
const PAUSE_BASE_MS = 100;
/** A server may ask for any pause; a name lookup that somebody waits for grants it this much. */
const RETRY_AFTER_MAX_MS = 5000;

export interface RetryDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Calls `attempt` until it succeeds, fails for good, or has failed `attemptsMax` times; `explain` says what its
 * failure means. An abort ends the pause, and the attempt's own failure is thrown.
 * @throws the last failure's ObjectStoreError
 */
export async function withRetries<T>(
  { clock, logger }: RetryDependencies,
  attemptsMax: number,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  explain: (thrown: unknown, attempts: number) => Failure,
): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt();
    } catch (thrown) {
      const { error, transient, retryAfterMs } = explain(thrown, attempts);
      if (!transient || attempts === attemptsMax || signal.aborted) throw error;
      const backoffMs = PAUSE_BASE_MS * 2 ** (attempts - 1) * (1 + clock.random()) * 0.5;
      const delayMs = Math.max(backoffMs, Math.min(retryAfterMs ?? 0, RETRY_AFTER_MAX_MS));
      logger.debug({ code: error.code, ...error.facts, delayMs }, 'object store call is tried again');
      await sleep(clock, delayMs, signal);
    }
  }
}
