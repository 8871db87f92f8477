/**
 * One connection to an S3 server: bytes out, bytes in, no HTTP. Owned by connection-pool.ts; whoever uses it at the
 * moment is its user. What arrives lies in a buffer that is used again: it is valid during the call only.
 */
import { connect as connectPlain, isIP } from 'node:net';
import type { OnReadOpts, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { Origin } from '../presigned-get.js';

export interface ConnectionUser {
  /** `[from, to)` of `bytes` arrived. */
  received(bytes: Uint8Array, from: number, to: number): void;
  /** Nothing arrives any more. */
  closed(cause: Error): void;
}

export interface ConnectionOptions {
  /** Shared by all connections of the thread: each read is dealt with before the next one. */
  readonly buffer: Uint8Array;
  readonly trust: SecureContext | undefined;
  /** The connection is of no use any more. Called once, before its user hears of it. */
  readonly onClosed: (connection: Connection) => void;
}

/**
 * TLS brings records of 16 KiB: so many bytes are gathered from those that lie ready, as one write costs less than
 * sixteen. Measured with 1 GiB over loopback: 16 KiB 640 MB/s, 256 KiB 800, 1 MiB the same.
 */
const TLS_GATHER_BYTES = 256 * 1024;
const TLS_RECORD_BYTES = 16 * 1024;

export class Connection {
  user: ConnectionUser | undefined;
  readonly #socket: Socket;
  readonly #onClosed: (connection: Connection) => void;
  #closed = false;
  #cause: Error | undefined;
  /** Delivers what was gathered. */
  #flush: () => void = () => {};

  constructor(origin: Origin, { buffer, trust, onClosed }: ConnectionOptions) {
    this.#onClosed = onClosed;
    const { hostname: host, port } = origin;
    if (origin.protocol === 'http:') {
      this.#socket = connectPlain({ host, port, noDelay: true, onread: this.#readInto(buffer) });
    } else {
      // An address is no name to ask for.
      const servername = isIP(host) ? '' : host;
      const secure = trust === undefined ? {} : { secureContext: trust };
      // Passed on to the socket below, though the types of TLS do not say so.
      const onread = this.#gather();
      const options = { host, port, servername, ALPNProtocols: ['http/1.1'], ...secure, onread };
      this.#socket = connectTls(options);
      this.#socket.setNoDelay(true);
    }
    this.#socket.unref();
    this.#socket.on('error', (error) => (this.#cause ??= error));
    this.#socket.on('end', () => {
      this.#flush();
      this.destroy(new Error('the server ended the connection'));
    });
    this.#socket.on('close', () => {
      this.#flush();
      this.#close();
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sends a request; its answer goes to `user`. A connection that is still being opened sends it then. */
  send(request: string, user: ConnectionUser): void {
    this.user = user;
    this.#socket.write(request, 'latin1');
  }

  /** What arrives is left in the system's buffers, but for what TLS has gathered, until `resume`. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends it at once; the user is told, if there is one. */
  destroy(cause: Error): void {
    this.#cause ??= cause;
    this.#socket.destroy();
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClosed(this);
    const { user } = this;
    this.user = undefined;
    user?.closed(this.#cause ?? new Error('the connection was closed'));
  }

  #deliver(bytes: Uint8Array, from: number, to: number): void {
    if (this.#closed) return;
    // Nobody asked: whatever this is, the next answer on this connection could not be told from it.
    if (this.user === undefined) this.destroy(new Error('bytes that nobody asked for'));
    else this.user.received(bytes, from, to);
  }

  #readInto(buffer: Uint8Array): OnReadOpts {
    return {
      buffer,
      callback: (bytes) => {
        this.#deliver(buffer, 0, bytes);
        return true;
      },
    };
  }

  /** Records that are there already are decrypted one behind the other, and delivered together. */
  #gather(): OnReadOpts {
    const gathered = new Uint8Array(TLS_GATHER_BYTES);
    let from = 0;
    let to = 0;
    /** Where the next record goes: fixed when the one before was taken, whatever was delivered since. */
    let next = 0;
    let scheduled = false;
    this.#flush = () => {
      const [start, end] = [from, to];
      from = to = 0;
      if (end > start) this.#deliver(gathered, start, end);
    };
    const flushLater = () => {
      if (scheduled) return;
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        this.#flush();
      });
    };
    return {
      buffer: () => {
        next = to;
        return gathered.subarray(next);
      },
      callback: (bytes) => {
        if (from === to) from = next;
        to = next + bytes;
        if (gathered.length - to < TLS_RECORD_BYTES) this.#flush();
        else flushLater();
        return true;
      },
    };
  }
}
