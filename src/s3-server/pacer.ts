/**
 * Bandwidth caps: a `Pacer` lets bytes through at a rate. One per connection, one more for a response's own cap. The
 * bytes go in small steps with almost no burst, as they would come over a wire: a client that measures the rate, or
 * counts what is under way, sees that of the network it is to believe in.
 */
import { sleep, type Clock } from '../runtime/clock.js';

/** How much unused time may be caught up: timers fire late by about this, and the rate must hold on average. */
const CATCH_UP_MS = 5;
/** Shorter waits are not worth a timer: what they would hold back is due before it could fire. */
const WAIT_MS_MIN = 1;
/** A slow cap sends what is due in this time, so that progress is smooth. */
const PIECE_MS = 20;
/** A fast one sends this much at once: 64 KiB are 1 ms at 60 MiB/s. */
const PIECE_BYTES_MAX = 64 * 1024;
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
    if (startMs - nowMs >= WAIT_MS_MIN) await sleep(this.#clock, startMs - nowMs, signal);
  }
}

/** The largest piece that should be sent at once under this cap. */
export function pacedPieceBytes(bytesPerSecond: number): number {
  if (bytesPerSecond <= 0) return Infinity;
  const due = Math.floor((bytesPerSecond * PIECE_MS) / 1000);
  return Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_MIN, due));
}
