/** Bandwidth caps: a `Pacer` lets bytes through at a rate. One per connection, one more for a response's own cap. */
import { sleep, type Clock } from '../runtime/clock.js';

/** How much unused time may be caught up: timers fire late by about this, and the rate must hold on average. */
const CATCH_UP_MS = 20;
/** A cap sends pieces of this duration, so that progress is smooth. */
const PIECE_MS = 20;
const PIECE_BYTES_MIN = 256;

export class Pacer {
  readonly #clock: Clock;
  #freeAtMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when `bytes` may pass, or when `signal` aborts. 0 = no cap. */
  async take(bytes: number, bytesPerSecond: number, signal: AbortSignal): Promise<void> {
    if (bytesPerSecond <= 0) return;
    const nowMs = this.#clock.nowMs();
    const startMs = Math.max(this.#freeAtMs, nowMs - CATCH_UP_MS);
    // Reserved before waiting: two takers queue one behind the other.
    this.#freeAtMs = startMs + (bytes / bytesPerSecond) * 1000;
    if (startMs > nowMs) await sleep(this.#clock, startMs - nowMs, signal);
  }
}

/** The largest piece that should be sent at once under this cap. */
export function pacedPieceBytes(bytesPerSecond: number): number {
  return bytesPerSecond <= 0
    ? Infinity
    : Math.max(PIECE_BYTES_MIN, Math.floor((bytesPerSecond * PIECE_MS) / 1000));
}
