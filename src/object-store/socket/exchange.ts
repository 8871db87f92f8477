/**
 * One request for a part and its answer, in a worker thread: accepts the answer strictly, writes the body into the local
 * file as it arrives, sums it for the checksums of its blocks, publishes what was written, and says once what became of
 * it. Made by worker-core.ts.
 *
 * Promise: after `onEnded` neither the file nor the shared memory is touched. Publishing follows the write, as
 * `Availability` demands; bytes of another version, of another range or beyond it never reach the file.
 */
import { writeSync } from 'node:fs';
import { asError } from '../../runtime/assert.js';
import { BlockChecksummer } from '../../runtime/block-checksummer.js';
import type { ChecksumFunctions } from '../../runtime/checksum-functions.js';
import type { CancelTimer, Clock } from '../../runtime/clock.js';
import type { AttachedMemory } from '../../runtime/shared-memory.js';
import { checksumAnswerOf, isWholeCrc, objectChecksumsOf } from '../object-checksums.js';
import type { ObjectChecksums } from '../object-checksums.js';
import { judgeResponse, quoted } from '../part-response.js';
import { retryAfterMs } from '../retry-after.js';
import type { Connection, ConnectionUser } from './connection.js';
import type { ConnectionPool } from './connection-pool.js';
import type { FetchMessage, WorkerOutcome } from './messages.js';
import { LOOKS, RateFloor } from './rate-floor.js';
import { HeadReader } from './response-head.js';
import type { ResponseHead } from './response-head.js';

export interface ExchangeDeps {
  readonly clock: Clock;
  readonly pool: ConnectionPool;
  /** Wakes native readers of a file after publishing; may be called with a file that was closed. */
  readonly filePublished: (nativeFile: number) => void;
  readonly checksumFunctions: ChecksumFunctions;
  /** The answer, which is of the whole object, told what the server keeps of it. */
  readonly onTold: (exchange: Exchange, checksums: ObjectChecksums) => void;
  /** Bytes up to `exchange.position` are published. */
  readonly onAdvanced: (exchange: Exchange) => void;
  readonly onEnded: (exchange: Exchange, outcome: WorkerOutcome) => void;
}

/** What is left of a body that was cut, or of an error's: read to its end if so short, for the connection's sake. */
const DISCARD_BYTES_MAX = 256 * 1024;
/** Of a part, so much is published before more is written: somebody may wait for just that. */
const FIRST_PIECE_BYTES = 64 * 1024;

export class Exchange implements ConnectionUser {
  readonly id: number;
  /** Offset behind the last byte that is in the file. */
  position: number;
  readonly #message: FetchMessage;
  readonly #deps: ExchangeDeps;
  readonly #memory: AttachedMemory;
  readonly #summer: BlockChecksummer;
  readonly #floor = new RateFloor();
  readonly #headReader = new HeadReader();
  #connection: Connection | undefined;
  #isFresh = false;
  #head: ResponseHead | undefined;
  #end: number;
  /** Whole pages of the part before this are published. */
  #publishedPages: number;
  /** Of the body, still to come on the connection; beyond `#end` when the part was cut. */
  #bodyLeft = 0;
  #bytesReceived = 0;
  #cancelLook: CancelTimer | undefined;
  #ended = false;

  /** @param memory the file's, released at the end. */
  constructor(message: FetchMessage, memory: AttachedMemory, deps: ExchangeDeps) {
    this.id = message.id;
    this.position = message.range.start;
    this.#end = message.range.end;
    this.#message = message;
    this.#deps = deps;
    this.#memory = memory;
    this.#summer = new BlockChecksummer(memory.checksums, deps.checksumFunctions, this.position);
    const { pageBytes } = memory.availability;
    // The bytes of its page before the part's were written by the attempt that this one resumes.
    this.#publishedPages = Math.floor(this.position / pageBytes) * pageBytes;
  }

  start(): void {
    this.#lookLater();
    this.#send(false);
  }

  /** Ends the part at `end`, if that is still ahead. */
  cut(end: number): void {
    if (this.#ended || end >= this.#end) return;
    this.#end = Math.max(end, this.position);
    if (this.position >= this.#end) this.#finish({ kind: 'complete' });
  }

  abort(): void {
    this.#finish({ kind: 'aborted' });
  }

  received(bytes: Uint8Array, from: number, to: number): void {
    this.#bytesReceived += to - from;
    let at = from;
    if (this.#head === undefined) {
      const read = this.#headReader.read(bytes, from, to);
      if (read.kind === 'more') return;
      if (read.kind === 'malformed') return this.#refuse(read.reason, undefined);
      this.#head = read.head;
      at = read.bodyStart;
      if (!this.#accept(read.head, to - at)) return;
    }
    if (at < to) this.#take(bytes, at, to);
  }

  closed(cause: Error): void {
    this.#connection = undefined;
    // Closed by the server while it was idle, which crossed our request: that says nothing of the server's health.
    if (this.#bytesReceived === 0 && !this.#isFresh && !this.#ended) return this.#send(true);
    const code = 'code' in cause ? String(cause.code) : undefined;
    this.#finish({ kind: this.#head ? 'short' : 'unreachable', message: cause.message, code });
  }

  #send(fresh: boolean): void {
    const { origin, request } = this.#message;
    const { pool } = this.#deps;
    const idle = fresh ? undefined : pool.takeIdle(origin);
    this.#isFresh = idle === undefined;
    const connection = (this.#connection = idle ?? pool.open(origin));
    connection.send(request, this);
  }

  /** True when the body is to be taken; else the exchange has ended. @param bodyBytes of it that came with the head */
  #accept(head: ResponseHead, bodyBytes: number): boolean {
    const { status, contentLength, contentRange, encoded } = head;
    if (status === 200 || status === 206) {
      if (encoded || contentLength === undefined) {
        this.#refuse('the body is encoded or has no length', status);
        return false;
      }
      this.#bodyLeft = contentLength;
      const etag = head.etag === undefined ? undefined : quoted(head.etag);
      const objection = judgeResponse({ status, etag, contentRange, contentLength }, this.#message, {
        start: this.position,
        end: this.#message.range.end,
      });
      if (objection === undefined) {
        if (contentLength === this.#message.size) this.#tell(head);
        return true;
      }
      if (objection.kind === 'broken') this.#finish({ kind: 'broken', message: objection.cause.message });
      else this.#finish({ kind: 'changed' });
      return false;
    }
    // What is left of the error's body; without a length the connection is not used again.
    this.#bodyLeft = encoded ? Infinity : Math.max(0, (contentLength ?? Infinity) - bodyBytes);
    this.#answer(head);
    return false;
  }

  /** Blocks that begin from now on are summed with the object's own kind of CRC as well. */
  #tell({ headers, contentLength }: ResponseHead): void {
    const told = objectChecksumsOf(this.#message, checksumAnswerOf(headers, contentLength));
    const { checksums } = this.#memory;
    const functions = this.#deps.checksumFunctions;
    const own = told.digests.filter(isWholeCrc).find(({ kind }) => functions[kind] !== undefined);
    if (own !== undefined && checksums.kind === undefined) checksums.expectKind(own.kind);
    this.#deps.onTold(this, told);
  }

  #answer({ status, headers }: ResponseHead): void {
    switch (status) {
      case 412:
        return this.#finish({ kind: 'changed' });
      case 429:
      case 503:
        return this.#finish({
          kind: 'throttled',
          retryAfterMs: retryAfterMs(headers.get('retry-after'), this.#deps.clock),
        });
      case 500:
      case 502:
      case 504:
        return this.#finish({ kind: 'broken', message: `the server answered ${status}` });
      default:
        return this.#refuse(`status ${status}`, status);
    }
  }

  #refuse(reason: string, status: number | undefined): void {
    this.#finish({ kind: 'unusual', reason, status });
  }

  #take(bytes: Uint8Array, from: number, to: number): void {
    const length = Math.min(to - from, this.#end - this.position);
    this.#bodyLeft -= to - from;
    const isFirst = this.position === this.#message.range.start;
    try {
      const first = isFirst ? Math.min(length, FIRST_PIECE_BYTES) : 0;
      if (first > 0) this.#store(bytes, from, first);
      if (first < length) this.#store(bytes, from + first, length - first);
    } catch (error) {
      const { message, code } = asError(error) as NodeJS.ErrnoException;
      return this.#finish({ kind: 'local', message, code });
    }
    if (this.position === this.#end) this.#finish({ kind: 'complete' });
    else this.#deps.onAdvanced(this);
  }

  #store(bytes: Uint8Array, from: number, length: number): void {
    this.#write(bytes, from, length);
    // Before publishing: who finds the file complete finds its blocks summed.
    this.#summer.update(bytes, from, from + length);
    this.#publish();
  }

  #write(bytes: Uint8Array, from: number, length: number): void {
    for (let written = 0; written < length;) {
      const left = length - written;
      const now = writeSync(this.#message.descriptor, bytes, from + written, left, this.position);
      written += now;
      this.position += now;
    }
  }

  #publish(): void {
    const { availability } = this.#memory;
    const { pageBytes } = availability;
    availability.publish({ start: this.#publishedPages, end: this.position });
    this.#publishedPages = Math.floor(this.position / pageBytes) * pageBytes;
    const { nativeFile } = this.#message;
    if (nativeFile !== undefined) this.#deps.filePublished(nativeFile);
  }

  #finish(outcome: WorkerOutcome): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelLook?.();
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) this.#letGo(connection);
    this.#memory.release();
    this.#deps.onEnded(this, outcome);
  }

  /** The connection is used again if its answer has ended, or nearly so. */
  #letGo(connection: Connection): void {
    const { pool } = this.#deps;
    const { origin } = this.#message;
    const head = this.#head;
    connection.user = undefined;
    if (head?.keepAlive !== true || this.#bodyLeft < 0 || this.#bodyLeft > DISCARD_BYTES_MAX) {
      connection.destroy(new Error('its answer was not read to its end'));
    } else if (this.#bodyLeft === 0) {
      pool.giveBack(origin, connection, head.keepAliveMs);
    } else {
      pool.discard(origin, connection, this.#bodyLeft, head.keepAliveMs);
    }
  }

  #lookLater(): void {
    const { clock } = this.#deps;
    this.#cancelLook = clock.after(this.#message.stallTimeoutMs / LOOKS, () => {
      // A thread that was busy writing runs its timers first: what arrived meanwhile has to be read before the look.
      setImmediate(() => this.#look());
    });
  }

  #look(): void {
    if (this.#ended) return;
    if (!this.#floor.look(this.#bytesReceived)) return this.#lookLater();
    const { stallTimeoutMs } = this.#message;
    const message = `too few bytes in ${stallTimeoutMs} ms (${this.#bytesReceived} so far)`;
    this.#finish({ kind: this.#head ? 'short' : 'unreachable', message, code: 'ETIMEDOUT' });
  }
}
