/**
 * The connections of one worker thread: kept open between requests, opened ahead of need, closed when idle for long.
 * How many there may be is decided by the main thread, which sends no more fetches than that at once.
 */
import type { SecureContext } from 'node:tls';
import type { Clock } from '../../runtime/clock.js';
import { Connection } from './connection.js';
import type { ConnectionUser } from './connection.js';
import type { Origin } from '../presigned-get.js';

export interface ConnectionPoolOptions {
  readonly trust: SecureContext | undefined;
  readonly idleTimeoutMs: number;
  /** Beyond this none is opened ahead. */
  readonly connectionsMax: number;
}

interface Idle {
  readonly connection: Connection;
  readonly cancelTimeout: () => void;
}

/** One read takes what the kernel has, up to this: larger reads cost fewer calls, and more of the processor's cache. */
const READ_BYTES_MAX = 1024 * 1024;
/** Closed this much before the server says that it will. */
const KEEP_ALIVE_MARGIN_MS = 500;

export class ConnectionPool {
  readonly #clock: Clock;
  readonly #options: ConnectionPoolOptions;
  readonly #buffer = new Uint8Array(READ_BYTES_MAX);
  /** By origin; the one that was used last at the end, those that may still be opening at the beginning. */
  readonly #idle = new Map<string, Idle[]>();
  readonly #all = new Set<Connection>();

  constructor(clock: Clock, options: ConnectionPoolOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Open connections, and those being opened. */
  get count(): number {
    return this.#all.size;
  }

  /** An idle connection, if there is one. */
  takeIdle(origin: Origin): Connection | undefined {
    const idle = this.#idle.get(keyOf(origin))?.pop();
    idle?.cancelTimeout();
    return idle?.connection;
  }

  /** A new connection. */
  open(origin: Origin): Connection {
    const connection = new Connection(origin, {
      buffer: this.#buffer,
      trust: this.#options.trust,
      onClosed: () => this.#forget(origin, connection),
    });
    this.#all.add(connection);
    return connection;
  }

  /** Takes back a connection whose last answer was read to its end. */
  giveBack(origin: Origin, connection: Connection, keepAliveMs: number | undefined): void {
    connection.user = undefined;
    if (!connection.closed) this.#keep(origin, connection, keepAliveMs);
  }

  /** Takes back a connection once the `bytes` left of its answer came, which nobody wants. */
  discard(origin: Origin, connection: Connection, bytes: number, keepAliveMs: number | undefined): void {
    let left = bytes;
    const user: ConnectionUser = {
      received: (_bytes, from, to) => {
        left -= to - from;
        if (left > 0) return;
        cancelTimeout();
        if (left === 0) this.giveBack(origin, connection, keepAliveMs);
        else connection.destroy(new Error('more bytes than announced'));
      },
      closed: () => cancelTimeout(),
    };
    const late = () => connection.destroy(new Error('the rest of an answer did not come'));
    const cancelTimeout = this.#clock.after(this.#options.idleTimeoutMs, late);
    connection.user = user;
  }

  /** Opens connections until so many are idle. */
  expect(origin: Origin, count: number): void {
    const idle = this.#idle.get(keyOf(origin))?.length ?? 0;
    const free = this.#options.connectionsMax - this.#all.size;
    for (let missing = Math.min(count - idle, free); missing > 0; missing -= 1) {
      this.#keep(origin, this.open(origin), undefined, 'opening');
    }
  }

  /** Closes idle connections until `count` are open, or none is idle. */
  trim(count: number): void {
    for (const idle of this.#idle.values()) {
      while (idle.length > 0 && this.#all.size > count) {
        // Takes itself out of the list.
        idle[0]!.connection.destroy(new Error('others need a connection'));
      }
    }
  }

  close(): void {
    for (const connection of this.#all) connection.destroy(new Error('the transport is closed'));
  }

  #keep(
    origin: Origin,
    connection: Connection,
    keepAliveMs: number | undefined,
    state: 'opening' | 'open' = 'open',
  ): void {
    const allowedMs = Math.max(0, (keepAliveMs ?? Infinity) - KEEP_ALIVE_MARGIN_MS);
    const timeoutMs = Math.min(this.#options.idleTimeoutMs, allowedMs);
    const cancelTimeout = this.#clock.after(timeoutMs, () =>
      connection.destroy(new Error('idle for too long')),
    );
    const key = keyOf(origin);
    const idle = this.#idle.get(key) ?? [];
    if (state === 'open') idle.push({ connection, cancelTimeout });
    else idle.unshift({ connection, cancelTimeout });
    this.#idle.set(key, idle);
  }

  #forget(origin: Origin, connection: Connection): void {
    this.#all.delete(connection);
    const idle = this.#idle.get(keyOf(origin)) ?? [];
    const at = idle.findIndex((entry) => entry.connection === connection);
    if (at !== -1) idle.splice(at, 1)[0]!.cancelTimeout();
  }
}

function keyOf({ protocol, hostname, port }: Origin): string {
  return `${protocol}//${hostname}:${port}`;
}
