/**
 * A `Clock` whose time moves only when a test says so. `advance` fires the timers that fall due in order, each at its
 * own time; timers set by a callback fire in the same call when they fall due before its end.
 */
import type { CancelTimer, Clock } from '../../src/runtime/clock.js';

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

export interface SimulatedClockOptions {
  /** Wall-clock time at the start; default 2024-01-01 UTC. */
  readonly wallTimeMs?: number | undefined;
  /** Seed of `random`; any 32-bit integer. */
  readonly seed?: number | undefined;
}

export class SimulatedClock implements Clock {
  readonly #wallOffsetMs: number;
  /** In order of setting; equal due times fire in this order. */
  readonly #timers = new Set<Timer>();
  #nowMs = 0;
  #randomState: number;

  constructor({ wallTimeMs = Date.UTC(2024, 0, 1), seed = 1 }: SimulatedClockOptions = {}) {
    this.#wallOffsetMs = wallTimeMs;
    this.#randomState = seed;
  }

  /** Timers that are set and have neither fired nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallTimeMs(): number {
    return this.#wallOffsetMs + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): CancelTimer {
    if (!(delayMs >= 0)) throw new RangeError(`delayMs must be ≥ 0, got ${delayMs}`);
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Mulberry32: a fixed sequence for a seed. */
  random(): number {
    this.#randomState = (this.#randomState + 0x6d2b79f5) | 0;
    let mixed = this.#randomState;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** Moves time on by `ms` ≥ 0. Synchronous: promises that a timer settles are seen after the caller's next await. */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`ms must be ≥ 0, got ${ms}`);
    const endMs = this.#nowMs + ms;
    for (let timer = this.#nextDue(endMs); timer !== undefined; timer = this.#nextDue(endMs)) {
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.callback();
    }
    this.#nowMs = endMs;
  }

  #nextDue(endMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}
