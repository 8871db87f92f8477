/**
 * One request for a part and its answer, in a worker thread: accepts the answer strictly, writes the body into the local
 * file as it arrives, sums it for the checksums of its blocks, publishes what was written, and says once what became of
 * it. Made by worker-core.ts. A request may be sent before there is a place for its answer, which is held back then.
 *
 * Promise: after `onEnded` neither the file nor the shared memory is touched. Publishing follows the write, as
 * `Availability` demands; bytes of another version, of another range or beyond it never reach the file.
 */
import { writeSync } from 'node:fs';
import { asError, assert } from '../../runtime/assert.js';
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
import type { AskMessage, FetchMessage, FetchPlace, WorkerOutcome } from './messages.js';
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

/** Where the body goes. */
interface Landing {
  readonly file: Pick<FetchPlace, 'descriptor' | 'nativeFile'>;
  readonly memory: AttachedMemory;
  readonly summer: BlockChecksummer;
}

export class Exchange implements ConnectionUser {
  readonly id: number;
  /** Offset behind the last byte that is in the file. */
  position: number;
  readonly #message: Omit<AskMessage, 'kind'>;
  readonly #deps: ExchangeDeps;
  #landing: Landing | undefined;
  /** What arrived, and what became of the request, before there was a place for it. */
  #held: Uint8Array[] = [];
  #early: WorkerOutcome | undefined;
  readonly #floor = new RateFloor();
  readonly #headReader = new HeadReader();
  #connection: Connection | undefined;
  #isFresh = false;
  #head: ResponseHead | undefined;
  #end: number;
  /** Whole pages of the part before this are published. */
  #publishedPages = 0;
  /** Of the body, still to come on the connection; beyond `#end` when the part was cut. */
  #bodyLeft = 0;
  #bytesReceived = 0;
  #cancelLook: CancelTimer | undefined;
  #ended = false;

  /** @param memory the file's, released at the end; undefined: `place` tells of it later. */
  constructor(message: FetchMessage | AskMessage, memory: AttachedMemory | undefined, deps: ExchangeDeps) {
    this.id = message.id;
    this.position = message.range.start;
    this.#end = message.range.end;
    this.#message = message;
    this.#deps = deps;
    if (message.kind === 'fetch' && memory !== undefined) this.#land(message, memory);
  }

  start(): void {
    this.#lookLater();
    this.#send(false);
  }

  /** What was asked for goes here. @param memory as of the constructor */
  place(file: FetchPlace, memory: AttachedMemory): void {
    this.#land(file, memory);
    this.#connection?.resume();
    const held = Buffer.concat(this.#held.splice(0));
    if (held.length > 0) this.#receive(held, 0, held.length);
    if (this.#early !== undefined) this.#finish(this.#early);
  }

  /** Ends the part at `end`, if that is still ahead. */
  cut(end: number): void {
    if (this.#ended || end >= this.#end) return;
    this.#end = Math.max(end, this.position);
    if (this.position >= this.#end) this.#finish({ kind: 'complete' });
  }

  abort(outcome: WorkerOutcome = { kind: 'aborted' }): void {
    this.#settle(outcome);
  }

  received(bytes: Uint8Array, from: number, to: number): void {
    this.#bytesReceived += to - from;
    if (this.#landing !== undefined) return this.#receive(bytes, from, to);
    this.#held.push(bytes.slice(from, to));
    this.#connection?.pause();
  }

  #receive(bytes: Uint8Array, from: number, to: number): void {
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
    const checksums = this.#landing?.memory.checksums;
    const functions = this.#deps.checksumFunctions;
    const own = told.digests.filter(isWholeCrc).find(({ kind }) => functions[kind] !== undefined);
    if (own !== undefined && checksums?.kind === undefined) checksums?.expectKind(own.kind);
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

  #land({ descriptor, nativeFile }: FetchPlace, memory: AttachedMemory): void {
    const summer = new BlockChecksummer(memory.checksums, this.#deps.checksumFunctions, this.position);
    this.#landing = { file: { descriptor, nativeFile }, memory, summer };
    const { pageBytes } = memory.availability;
    // The bytes of its page before the part's were written by the attempt that this one resumes.
    this.#publishedPages = Math.floor(this.position / pageBytes) * pageBytes;
  }

  #take(bytes: Uint8Array, from: number, to: number): void {
    const length = Math.min(to - from, this.#end - this.position);
    this.#bodyLeft -= to - from;
    const isFirst = this.position === this.#message.range.start;
    const landing = this.#landing;
    assert(landing !== undefined, 'a body is taken once there is a place for it');
    try {
      const first = isFirst ? Math.min(length, FIRST_PIECE_BYTES) : 0;
      if (first > 0) this.#store(landing, bytes.subarray(from, from + first));
      if (first < length) this.#store(landing, bytes.subarray(from + first, from + length));
    } catch (error) {
      const { message, code } = asError(error) as NodeJS.ErrnoException;
      return this.#finish({ kind: 'local', message, code });
    }
    if (this.position === this.#end) this.#finish({ kind: 'complete' });
    else this.#deps.onAdvanced(this);
  }

  #store(landing: Landing, bytes: Uint8Array): void {
    const { descriptor, nativeFile } = landing.file;
    for (let written = 0; written < bytes.length;) {
      const now = writeSync(descriptor, bytes, written, bytes.length - written, this.position);
      written += now;
      this.position += now;
    }
    // Before publishing: who finds the file complete finds its blocks summed.
    landing.summer.update(bytes, 0, bytes.length);
    const { availability } = landing.memory;
    const { pageBytes } = availability;
    availability.publish({ start: this.#publishedPages, end: this.position });
    this.#publishedPages = Math.floor(this.position / pageBytes) * pageBytes;
    if (nativeFile !== undefined) this.#deps.filePublished(nativeFile);
  }

  /** Who asked hears of it once there is a place: until then nobody waits. */
  #finish(outcome: WorkerOutcome): void {
    if (this.#landing === undefined) this.#early ??= outcome;
    else this.#settle(outcome);
  }

  #settle(outcome: WorkerOutcome): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelLook?.();
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) this.#letGo(connection);
    this.#landing?.memory.release();
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
