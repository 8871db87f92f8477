/**
 * Notices that nothing happens: calls `onStall` once when no progress was reported for `timeoutMs`. Progress costs
 * one clock reading, not a timer, since it is reported for every chunk.
 */
import type { CancelTimer, Clock } from '../runtime/clock.js';

export class StallTimer {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onStall: () => void;
  #progressAtMs: number;
  #cancel: CancelTimer;

  constructor(clock: Clock, timeoutMs: number, onStall: () => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onStall = onStall;
    this.#progressAtMs = clock.nowMs();
    this.#cancel = this.#arm(timeoutMs);
  }

  /** Something happened. */
  progress(): void {
    this.#progressAtMs = this.#clock.nowMs();
  }

  /** Stops watching, while the other side is not to blame. */
  pause(): void {
    this.#cancel();
  }

  /** Watches again, from now on. */
  resume(): void {
    this.progress();
    this.#cancel();
    this.#cancel = this.#arm(this.#timeoutMs);
  }

  #arm(delayMs: number): CancelTimer {
    return this.#clock.after(delayMs, () => {
      const leftMs = this.#progressAtMs + this.#timeoutMs - this.#clock.nowMs();
      if (leftMs <= 0) this.#onStall();
      else this.#cancel = this.#arm(leftMs);
    });
  }
}
