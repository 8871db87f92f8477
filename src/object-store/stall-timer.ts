/**
 * Notices that nothing happens, or so little that waiting is no use: calls `onStall` once when fewer than
 * `PROGRESS_BYTES_MIN` came within `timeoutMs`. Progress costs at most one clock reading, not a timer, since it is
 * reported for every chunk.
 */
import type { CancelTimer, Clock } from '../runtime/clock.js';

/** A link that carries less than this in 3 s (21 KiB/s) is worse than another attempt, which resumes where it was. */
export const PROGRESS_BYTES_MIN = 64 * 1024;

export class StallTimer {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onStall: () => void;
  #progressAtMs: number;
  /** Bytes since then, too few to be progress. */
  #bytes = 0;
  #cancel: CancelTimer;

  constructor(clock: Clock, timeoutMs: number, onStall: () => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onStall = onStall;
    this.#progressAtMs = clock.nowMs();
    this.#cancel = this.#arm(timeoutMs);
  }

  /** Bytes came; without a number: something that counts as much as enough of them. */
  progress(bytes = PROGRESS_BYTES_MIN): void {
    this.#bytes += bytes;
    if (this.#bytes < PROGRESS_BYTES_MIN) return;
    this.#bytes = 0;
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
