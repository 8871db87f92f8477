/**
 * How many requests for object bytes may be under way at once, all together and for fetching ahead: part of the
 * PartScheduler, which tells it what arrives. Pure but for the clock; sets no timers.
 *
 * All together: at most what the user allows; halved when the server asks to slow down, then one more for each round of
 * requests that succeed. Fetching ahead: begins with a few, doubles while that brings more bytes a second and readers
 * still wait, and goes back when it does not. So one fast connection's worth of server is not asked by twenty, and
 * where each connection is slow all are used.
 */
import type { Clock } from '../runtime/clock.js';
import type { Pace } from './pace.js';

/** A quarter of the connections stays free of prefetch; at least one, unless there is only one. */
const DEMAND_SHARE = 0.25;
/** Connections that fetching ahead begins with: more of them never helped without a network (measured). */
const NEAR_CONNECTIONS = 6;
/** From this round trip on the server is not next door, and one connection is rarely the whole wire. */
const FAR_ROUND_TRIP_MS = 5;
const FAR_CONNECTIONS = 12;
/** A connection more has to bring at least this share of what the others bring on average. */
const GAIN_MIN = 0.3;
/** With fewer connections more than this factor says, there is no telling what they bring. */
const GROWTH_MIN = 1.2;
/** New connections are left alone for a round trip and a half (their requests) before they are judged… */
const SETTLE_ROUND_TRIPS = 1.5;
/** …and are judged over this time at least, and so many bytes: less is noise. */
const MEASURE_MS = 25;
const MEASURE_BYTES = 4 * 1024 * 1024;
/** After more connections were of no use, it is not tried again for this long. */
const HOLD_MS = 2000;
/** Several requests are refused at once when a server has had enough: that counts once. */
const THROTTLE_INTERVAL_MS = 500;

/** What goes on while bytes arrive. */
export interface ConnectionUse {
  /** Requests under way, demand included. */
  readonly running: number;
  readonly prefetchRunning: number;
  readonly readersWait: () => boolean;
}

/** What so many connections brought. */
interface Step {
  readonly level: number;
  readonly running: number;
  readonly bytesPerMs: number;
}

export class ConnectionLimits {
  readonly #clock: Clock;
  readonly #pace: Pace;
  readonly #connectionsMax: number;
  #allowed: number;
  #throttledAtMs = Number.NEGATIVE_INFINITY;
  /** Undefined until the first requests have told how far the server is. */
  #level: number | undefined;
  /** The level before the last growth and what it brought, while the growth is judged. */
  #before: Step | undefined;
  #stepFromMs = Number.NEGATIVE_INFINITY;
  #stepBytes = 0;
  /** Bytes × requests under way when they came: divided by the bytes, how many were under way. */
  #stepLoad = 0;

  constructor(clock: Clock, pace: Pace, connectionsMax: number) {
    this.#clock = clock;
    this.#pace = pace;
    this.#connectionsMax = connectionsMax;
    this.#allowed = connectionsMax;
  }

  /** Requests at once. */
  get total(): number {
    return Math.floor(this.#allowed);
  }

  /** Requests at once that nobody waits for. */
  get prefetch(): number {
    return Math.min(this.#prefetchMax, this.#level ?? this.#firstLevel);
  }

  /** Of all requests at once, how many prefetch leaves to demand. */
  get reserved(): number {
    return this.total - this.#prefetchMax;
  }

  /** The server asks to slow down. */
  throttled(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#throttledAtMs < THROTTLE_INTERVAL_MS) return;
    this.#throttledAtMs = nowMs;
    this.#allowed = Math.max(1, this.total / 2);
    this.#restart(0);
  }

  /** A request brought all it was sent for. */
  succeeded(): void {
    this.#allowed = Math.min(this.#connectionsMax, this.#allowed + 1 / this.#allowed);
  }

  /** Bytes arrived; true when more may be fetched at once now than before. */
  arrived(bytes: number, use: ConnectionUse): boolean {
    const { prefetch } = this;
    const nowMs = this.#clock.nowMs();
    if (use.prefetchRunning < prefetch) {
      this.#restart(0);
      return false;
    }
    if (this.#stepFromMs === Number.NEGATIVE_INFINITY) this.#restart(SETTLE_ROUND_TRIPS);
    if (nowMs < this.#stepFromMs) return false;
    this.#stepBytes += bytes;
    this.#stepLoad += bytes * use.running;
    const elapsedMs = nowMs - this.#stepFromMs;
    if (elapsedMs < Math.max(MEASURE_MS, this.#pace.roundTripMs) || this.#stepBytes < MEASURE_BYTES)
      return false;
    const running = this.#stepLoad / this.#stepBytes;
    return this.#judge({ level: prefetch, running, bytesPerMs: this.#stepBytes / elapsedMs }, use);
  }

  #judge(step: Step, { readersWait }: ConnectionUse): boolean {
    const before = this.#before;
    this.#before = undefined;
    if (before !== undefined && isNoGain(before, step)) {
      this.#level = before.level;
      this.#restart(0);
      this.#stepFromMs = this.#clock.nowMs() + HOLD_MS;
      return false;
    }
    this.#restart(SETTLE_ROUND_TRIPS);
    if (step.level >= this.#prefetchMax || !readersWait()) return false;
    this.#before = step;
    this.#level = Math.min(2 * step.level, this.#prefetchMax);
    return true;
  }

  /** Measures anew after so many round trips; 0: when all connections are in use again. */
  #restart(roundTrips: number): void {
    const nowMs = this.#clock.nowMs();
    this.#stepBytes = 0;
    this.#stepLoad = 0;
    if (roundTrips > 0) this.#stepFromMs = nowMs + roundTrips * this.#pace.roundTripMs;
    else if (this.#stepFromMs <= nowMs) this.#stepFromMs = Number.NEGATIVE_INFINITY;
  }

  get #prefetchMax(): number {
    const { total } = this;
    return Math.max(1, total - Math.max(1, Math.floor(total * DEMAND_SHARE)));
  }

  get #firstLevel(): number {
    return this.#pace.measured && this.#pace.roundTripMs >= FAR_ROUND_TRIP_MS
      ? FAR_CONNECTIONS
      : NEAR_CONNECTIONS;
  }
}

/** More connections brought little more than those before them. */
function isNoGain(before: Step, after: Step): boolean {
  const growth = after.running / before.running;
  return growth >= GROWTH_MIN && after.bytesPerMs < (1 + GAIN_MIN * (growth - 1)) * before.bytesPerMs;
}
