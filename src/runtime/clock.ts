/**
 * Time, injected. Every layer takes a `Clock`, so that tests decide when timers fire; nothing outside
 * runtime/ calls `Date.now`, `Math.random` or a bare `setTimeout`.
 */

/** Cancels a timer; calling it after the timer fired, or twice, does nothing. */
export type CancelTimer = () => void;

export interface Clock {
  /** Monotonic time in milliseconds from an arbitrary start; for durations and deadlines. */
  nowMs(): number;
  /** Wall-clock time in milliseconds since 1970-01-01 UTC; for attributes and logs only. */
  wallTimeMs(): number;
  /** Calls `callback` once after `delayMs` ≥ 0. A pending timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): CancelTimer;
  /** A number in [0, 1), for jitter and names; seeded in tests. */
  random(): number;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallTimeMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

/**
 * Resolves after `delayMs`, or as soon as `signal` aborts (it never rejects: the caller looks at its signal).
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = () => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.after(delayMs, finish);
    signal?.addEventListener('abort', finish, { once: true });
  });
}
