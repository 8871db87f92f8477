/**
 * What the server knows of each connection: when it was opened, and how much of its rate is used up. server.ts notes
 * each as it comes; exchange.ts simulates the network with it. Times go by the injected clock.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../runtime/clock.js';
import { Pacer } from './pacer.js';

export class Connections {
  readonly #clock: Clock;
  readonly #connections = new WeakMap<Socket, Connection>();

  constructor(clock: Clock) {
    this.#clock = clock;
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
