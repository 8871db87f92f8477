/**
 * What the server knows of each connection: when it was opened, and how much of its rate is used up. server.ts notes
 * each as it comes; exchange.ts simulates the network with it. Times go by the injected clock.
 */
import type { Socket } from 'node:net';
import { sleep } from '../runtime/clock.js';
import type { Clock } from '../runtime/clock.js';
import { Pacer } from './pacer.js';

/** Later than that is an event loop that has much to do: the server's time, not the network's. */
const TIMER_LATE_MS_MAX = 2;
/** How much the last timer says of the next one. */
const TIMER_LATE_WEIGHT = 0.1;

export class Connections {
  readonly #clock: Clock;
  readonly #connections = new WeakMap<Socket, Connection>();

  /** How late timers fire: by a millisecond or more, as they count whole ones. */
  #timerLateMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Resolves when a request that arrives now may be answered, so that a client sees the round trip that was asked for, or
   * when `signal` aborts. Timers are set earlier by as much as they were late.
   */
  async travel(socket: Socket, roundTripMs: number, signal: AbortSignal): Promise<void> {
    const timerMs = Math.max(0, this.of(socket).delayMs(roundTripMs) - this.#timerLateMs);
    const dueMs = this.#clock.nowMs() + timerMs;
    await sleep(this.#clock, timerMs, signal);
    if (signal.aborted) return;
    const lateMs = Math.min(Math.max(0, this.#clock.nowMs() - dueMs), TIMER_LATE_MS_MAX);
    this.#timerLateMs += TIMER_LATE_WEIGHT * (lateMs - this.#timerLateMs);
  }

  /** The socket that requests come from: over TLS, the decrypted side. */
  opened(socket: Socket): void {
    this.#connections.set(socket, new Connection(this.#clock));
  }

  of(socket: Socket): Connection {
    let connection = this.#connections.get(socket);
    if (connection === undefined) this.#connections.set(socket, (connection = new Connection(this.#clock)));
    return connection;
  }
}

export class Connection {
  readonly pacer: Pacer;
  readonly #clock: Clock;
  readonly #openedMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#openedMs = clock.nowMs();
    this.pacer = new Pacer(clock);
  }

  /**
   * How long a request that arrives now would have taken to arrive and its answer to leave, were the network that far:
   * its own round trip, and what is left of the handshake's. A connection that was opened ahead has paid that.
   */
  delayMs(roundTripMs: number): number {
    const shakenMs = this.#openedMs + roundTripMs;
    return roundTripMs + Math.max(0, shakenMs - this.#clock.nowMs());
  }
}
