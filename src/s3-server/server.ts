/**
 * The embedded S3 server: starts, listens, closes. Tests, the demo and `sluice serve-s3` run it in-process. See
 * docs/S3-SERVER.md for what it supports; exchange.ts handles one request, storage.ts holds the state.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { systemClock, type Clock } from '../runtime/clock.js';
import { Connections } from './connections.js';
import { Counters } from './counters.js';
import { Exchange, type ExchangeContext } from './exchange.js';
import { FaultScript } from './faults.js';
import {
  LocalAccess,
  type PutObjectOptions,
  type PutOptions,
  type PutSyntheticOptions,
} from './local-access.js';
import type { VersioningStatus } from './model.js';
import type { Credentials } from './sigv4.js';
import { Storage } from './storage.js';
import { xmlErrorDocument } from './xml.js';

export interface S3ServerOptions {
  /** Created when missing. The objects of earlier runs are found again; one server at a time. */
  readonly dir: string;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** Default 0: any free one. */
  readonly port?: number | undefined;
  /** Default us-east-1. Requests signed for another one are refused as S3 does. */
  readonly region?: string | undefined;
  /** Default: one pair, `sluice` and `sluice-secret`. */
  readonly credentials?: readonly Credentials[] | undefined;
  /** Unsigned requests may read and list. Default false. */
  readonly anonymousRead?: boolean | undefined;
  /** PEM texts; serves https when given. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Simulated from the start; `faults` of the running server changes it. */
  readonly network?: SimulatedNetwork | undefined;
  readonly clock?: Clock | undefined;
  /** Told of every error that is not the client's: a bug or a failing disk. The client gets InternalError. */
  readonly onInternalError?: ((error: Error) => void) | undefined;
}

/** What a server that is far away would be like. */
export interface SimulatedNetwork {
  /** Passes before each answer, and once more for a connection that was not opened as long before. Default 0. */
  readonly roundTripMs?: number | undefined;
  /** Of bodies, in either direction. Default 0: no cap. */
  readonly connectionBytesPerSecond?: number | undefined;
}

export interface S3Server {
  /** Such as `http://127.0.0.1:38211`, without a slash at the end. */
  readonly endpoint: string;
  readonly port: number;
  readonly faults: FaultScript;
  readonly counters: Counters;
  createBucket(bucket: string): Promise<void>;
  setVersioning(bucket: string, status: Exclude<VersioningStatus, 'Unversioned'>): Promise<void>;
  putObject(
    bucket: string,
    key: string,
    body: Uint8Array | string,
    options?: PutObjectOptions,
  ): Promise<{ etag: string }>;
  putSynthetic(bucket: string, key: string, options: PutSyntheticOptions): Promise<{ etag: string }>;
  putMany(
    bucket: string,
    keys: Iterable<string>,
    options?: PutOptions & { readonly body?: string | undefined },
  ): Promise<number>;
  deleteObject(bucket: string, key: string): Promise<void>;
  /** Ends all connections, waits for the requests under way, closes the files. Idempotent. */
  close(): Promise<void>;
}

export const DEFAULT_CREDENTIALS: Credentials = { accessKeyId: 'sluice', secretAccessKey: 'sluice-secret' };
const DEFAULT_REGION = 'us-east-1';

/** A key of 1,024 bytes takes 3 KiB in a request line, a presigned URL with a session token 2 KiB more. */
const HEADER_BYTES_MAX = 32 * 1024;
/** Longer than the idle time of the usual clients, so that they, not the server, close idle connections. */
const KEEP_ALIVE_MS = 75_000;
const HEADERS_TIMEOUT_MS = 60_000;

export async function startS3Server(options: S3ServerOptions): Promise<S3Server> {
  const clock = options.clock ?? systemClock;
  const storage = new Storage(options.dir, clock);
  try {
    const server = new RunningServer(storage, clock, options);
    await server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
    return server;
  } catch (error) {
    await storage.close();
    throw error;
  }
}

class RunningServer extends LocalAccess implements S3Server {
  readonly faults = new FaultScript();
  readonly counters = new Counters();
  readonly #storage: Storage;
  readonly #server: http.Server | https.Server;
  readonly #exchanges = new Set<Promise<void>>();
  #endpoint = '';
  #port = 0;
  #closed: Promise<void> | undefined;

  constructor(storage: Storage, clock: Clock, options: S3ServerOptions) {
    super(storage, clock);
    this.#storage = storage;
    this.faults.roundTripMs = options.network?.roundTripMs ?? 0;
    this.faults.connectionBytesPerSecond = options.network?.connectionBytesPerSecond ?? 0;
    const connections = new Connections(clock);
    const context: ExchangeContext = {
      storage,
      clock,
      region: options.region ?? DEFAULT_REGION,
      credentials: options.credentials ?? [DEFAULT_CREDENTIALS],
      anonymousRead: options.anonymousRead ?? false,
      faults: this.faults,
      counters: this.counters,
      connections,
      onInternalError: options.onInternalError ?? (() => undefined),
    };
    // An upload may take any time: only the head of a request has a deadline.
    const limits = {
      maxHeaderSize: HEADER_BYTES_MAX,
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: 0,
    };
    const { tls } = options;
    this.#server = tls === undefined ? http.createServer(limits) : https.createServer({ ...limits, ...tls });
    this.#server.on('connection', (socket: Socket) => {
      this.counters.connectionOpened();
      socket.once('close', () => this.counters.connectionClosed());
      socket.setNoDelay(true);
    });
    this.#server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) =>
      connections.opened(socket),
    );
    this.#server.on('clientError', answerMalformed);
    this.#server.on('request', (message, response) => {
      this.counters.exchangeBegun();
      const exchange = new Exchange(message, response, context).run();
      this.#exchanges.add(exchange);
      void exchange.then(() => {
        this.#exchanges.delete(exchange);
        this.counters.exchangeEnded();
      });
    });
  }

  get endpoint(): string {
    return this.#endpoint;
  }

  get port(): number {
    return this.#port;
  }

  async listen(port: number, host: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.removeListener('error', reject);
        resolve();
      });
    });
    this.#port = (this.#server.address() as AddressInfo).port;
    const scheme = this.#server instanceof https.Server ? 'https' : 'http';
    this.#endpoint = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${this.#port}`;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const stopped = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await stopped;
    await Promise.all(this.#exchanges);
    await this.#storage.close();
  }
}

/** What is no HTTP at all. node has given up on the connection: the answer is written by hand. */
function answerMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const isTooLong = error.code === 'HPE_HEADER_OVERFLOW';
  const code = isTooLong ? 'RequestHeaderSectionTooLarge' : 'InvalidRequest';
  const message = isTooLong
    ? `The request head exceeds ${HEADER_BYTES_MAX} bytes`
    : 'The request is not well-formed HTTP';
  const body = xmlErrorDocument({ Code: code, Message: message });
  const head = [
    'HTTP/1.1 400 Bad Request',
    'Content-Type: application/xml',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
