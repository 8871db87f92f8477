/** Clocks for real HTTP: time that passes, but not for pauses. */
import { systemClock } from '../../src/runtime/clock.js';
import type { Clock } from '../../src/runtime/clock.js';

/** A clock whose timers fire at once; `delays` has what was asked for. */
export function hurriedClock(): { readonly clock: Clock; readonly delays: readonly number[] } {
  const delays: number[] = [];
  const clock: Clock = {
    ...systemClock,
    after(delayMs, callback) {
      delays.push(delayMs);
      const timer = setImmediate(callback);
      return () => clearImmediate(timer);
    },
  };
  return { clock, delays };
}
