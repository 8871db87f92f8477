/**
 * Requests under way, shared by everybody who asks for the same thing meanwhile (single flight). Used by
 * directory-cache.ts and name-lookup.ts.
 *
 * A flight is joined only while its answer will be fresh: its age stays below the metadata TTL and nothing was heard
 * that outdates it. So a TTL of 0 joins none: each question is asked after it arose.
 */
import { createAborter } from '../runtime/aborter.js';
import type { Clock } from '../runtime/clock.js';
import { NEVER } from './node-table.js';

export class Flight {
  readonly startedMs: number;
  readonly #aborter = createAborter();
  #outdated = false;

  constructor(startedMs: number) {
    this.startedMs = startedMs;
  }

  /** Aborts the requests of the flight. */
  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** What to note as the time of an answer whose request was sent at `sentMs`. */
  checkedMs(sentMs: number = this.startedMs): number {
    return this.#outdated ? NEVER : sentMs;
  }

  outdate(): void {
    this.#outdated = true;
  }

  abort(): void {
    this.#aborter.abort();
  }
}

export class Flights<Result> {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #joinable = new Map<string, { readonly flight: Flight; readonly result: Promise<Result> }>();
  readonly #underWay = new Set<Flight>();

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }

  /** Joins the flight of `key`, or starts one. */
  share(key: string, start: (flight: Flight) => Promise<Result>): Promise<Result> {
    const nowMs = this.#clock.nowMs();
    const joinable = this.#joinable.get(key);
    if (joinable && nowMs - joinable.flight.startedMs < this.#ttlMs) return joinable.result;
    const flight = new Flight(nowMs);
    const result = this.#run(key, flight, start);
    this.#joinable.set(key, { flight, result });
    return result;
  }

  /** The answer of the flight of `key` will not be relied on; whoever asks from now on starts another. */
  outdate(key: string): void {
    this.#joinable.get(key)?.flight.outdate();
    this.#joinable.delete(key);
  }

  abortAll(): void {
    for (const flight of this.#underWay) flight.abort();
  }

  async #run(key: string, flight: Flight, start: (flight: Flight) => Promise<Result>): Promise<Result> {
    this.#underWay.add(flight);
    try {
      return await start(flight);
    } finally {
      this.#underWay.delete(flight);
      if (this.#joinable.get(key)?.flight === flight) this.#joinable.delete(key);
    }
  }
}
