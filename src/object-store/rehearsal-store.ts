/**
 * A store of made-up objects for the rehearsal of a mount (src/rehearsal.ts): it knows every key, and their bytes come
 * through the very code, threads and signatures of the real store, from a listener of its own on this machine's loopback
 * that answers each request. Made by s3-object-store.ts. Nothing of it is ever asked of the bucket.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { ObjectStoreError } from './errors.js';
import { NO_CHECKSUMS } from './object-checksums.js';
import type {
  ByteRange,
  FetchOptions,
  ListPage,
  ObjectChecksums,
  ObjectInfo,
  ObjectStore,
  ObjectVersion,
  PartOutcome,
  PartSink,
} from './object-store.js';
import type { PartFetch } from './part-fetch.js';
import type { Origin } from './presigned-get.js';

export interface RehearsalStoreDeps {
  readonly endpoint: string;
  readonly bucket: string;
  /** Fetches from `origin` what would be fetched from the bucket; gives up what it cannot fetch in the ordinary way. */
  readonly fetch: (fetch: PartFetch, origin: Origin) => Promise<PartOutcome>;
}

/** As many small files are: more than one read wants, and quickly sent. */
const OBJECT_BYTES = 16 * 1024;
const ETAG = '"rehearsal"';
const RANGE = /\r\nRange: bytes=(\d{1,15})-(\d{1,15})\r\n/;
const END_OF_HEAD = '\r\n\r\n';

export class RehearsalStore implements ObjectStore {
  readonly endpoint: string;
  readonly bucket: string;
  readonly stats = { controlRequests: 0, partRequests: 0, bytesFetched: 0 };
  readonly #fetch: RehearsalStoreDeps['fetch'];
  readonly #origin: Origin;
  readonly #listener: Listener;

  private constructor({ endpoint, bucket, fetch }: RehearsalStoreDeps, listener: Listener) {
    this.endpoint = endpoint;
    this.bucket = bucket;
    this.#fetch = fetch;
    this.#listener = listener;
    this.#origin = { protocol: 'http:', hostname: '127.0.0.1', port: listener.port };
  }

  /** Rejects when nothing can listen on the loopback. */
  static async open(deps: RehearsalStoreDeps): Promise<RehearsalStore> {
    return new RehearsalStore(deps, await Listener.open());
  }

  async check(): Promise<void> {}

  async list(): Promise<ListPage> {
    return { objects: [], prefixes: [], continuation: undefined };
  }

  async head(key: string): Promise<ObjectInfo> {
    return { key, size: OBJECT_BYTES, etag: ETAG, lastModifiedMs: 0, archived: false };
  }

  async objectChecksums(): Promise<ObjectChecksums> {
    return NO_CHECKSUMS;
  }

  async partSizes(): Promise<undefined> {}

  /** Whatever goes wrong is final: nobody needs these bytes. */
  async fetchPart(
    version: ObjectVersion,
    range: ByteRange,
    sink: PartSink,
    options: FetchOptions,
  ): Promise<PartOutcome> {
    const outcome = await this.#fetch({ version, range, sink, options }, this.#origin);
    if (outcome.kind === 'complete' || outcome.kind === 'aborted') return outcome;
    const facts = { operation: 'get', key: version.key };
    return {
      kind: 'denied',
      error: new ObjectStoreError('unreachable', `rehearsal: ${outcome.kind}`, facts),
    };
  }

  expectFetches(): void {}

  askAhead(): void {}

  /** Ends the listener and its connections. Idempotent. */
  close(): void {
    this.#listener.close();
  }
}

/** Answers requests for an object, or ranges of it, with zeros. */
class Listener {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static open(): Promise<Listener> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.unref());
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      answerRequests(socket);
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(new Listener(server.unref(), sockets)));
    });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function answerRequests(socket: Socket): void {
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
    if (!text.endsWith(END_OF_HEAD)) return;
    const [, first, last] = RANGE.exec(text) ?? [];
    text = '';
    const bytes = first === undefined ? OBJECT_BYTES : Number(last) - Number(first) + 1;
    if (!(bytes > 0 && bytes <= OBJECT_BYTES)) {
      socket.destroy();
      return;
    }
    const range = first === undefined ? undefined : `bytes ${first}-${last}/${OBJECT_BYTES}`;
    socket.write(answerHead(range, bytes), 'latin1');
    socket.write(Buffer.alloc(bytes));
  });
}

/** With as many headers as S3 sends. */
function answerHead(contentRange: string | undefined, contentLength: number): string {
  const lines = [
    contentRange === undefined ? 'HTTP/1.1 200 OK' : 'HTTP/1.1 206 Partial Content',
    'x-amz-id-2: rehearsal',
    'x-amz-request-id: rehearsal',
    'Date: Thu, 01 Jan 1970 00:00:00 GMT',
    'Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT',
    `ETag: ${ETAG}`,
    'Accept-Ranges: bytes',
    ...(contentRange === undefined ? [] : [`Content-Range: ${contentRange}`]),
    'Content-Type: application/octet-stream',
    `Content-Length: ${contentLength}`,
    'Server: rehearsal',
  ];
  return `${lines.join('\r\n')}${END_OF_HEAD}`;
}
