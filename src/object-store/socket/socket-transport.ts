/**
 * The fast transport of object bytes: plain HTTP/1.1 in worker threads, from the socket straight into the local file.
 * This is its main-thread side: hands each fetch to a worker, and reports what became of it. Made by s3-connection.ts;
 * s3-object-store.ts decides what goes here, and does over by the SDK's path what comes back as 'unusual'.
 *
 * Promise: a fetch resolves once, when its file is not touched any more, whatever becomes of its worker.
 */
import { Worker } from 'node:worker_threads';
import { unreachable } from '../../runtime/assert.js';
import type { Clock } from '../../runtime/clock.js';
import type { Logger } from '../../observability/logger.js';
import type { ByteRange, FetchOptions, LocalPlace, ObjectVersion, PartOutcome } from '../object-store.js';
import type { Origin, SignedRequest } from '../presigned-get.js';
import { AskedAhead } from './asked-ahead.js';
import type { Asked } from './asked-ahead.js';
import { requestOf } from './request-text.js';
import type { FromWorker, ToWorker, WorkerOutcome, WorkerSettings } from './messages.js';

export interface SocketTransportOptions extends WorkerSettings {
  /** Worker threads, 1 or more. */
  readonly threads: number;
}

export interface SocketAsk {
  /** If-Match and Range are added here. */
  readonly request: SignedRequest;
  readonly version: ObjectVersion;
  readonly range: ByteRange;
  readonly stallTimeoutMs: number;
}

export interface SocketFetch extends Omit<SocketAsk, 'stallTimeoutMs'> {
  readonly place: LocalPlace;
  readonly options: FetchOptions;
}

export type SocketOutcome = PartOutcome | Extract<WorkerOutcome, { readonly kind: 'unusual' }>;

/** The local file could not be written, with the code of the system's error. */
export class LocalWriteError extends Error {
  override readonly name = 'LocalWriteError';
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

interface UnderWay {
  /** Undefined as long as it was only asked for. */
  readonly place: LocalPlace | undefined;
  readonly ended: (outcome: WorkerOutcome) => void;
}

interface Lane {
  readonly worker: Worker;
  readonly underWay: Map<number, UnderWay>;
  /** Connections that it may have open. */
  connections: number;
}

const WORKER = new URL('./worker.js', import.meta.url);
/** What somebody waits for is rarely more at once: such parts have a thread of their own, where there are several. */
const SMALL_PART_BYTES = 1024 * 1024;
/** Connections for small parts that are kept ready beside those of a load. */
const SMALL_PARTS_EXPECTED = 2;
/** A thread fails by a bug alone; the next one may meet it again. */
const CRASHES_MAX = 3;

export interface SocketTransportDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

export class SocketTransport {
  readonly #options: SocketTransportOptions;
  readonly #logger: Logger;
  readonly #clock: Clock;
  #lanes: Lane[] = [];
  readonly #asked: AskedAhead<Lane>;
  #idLast = 0;
  #crashes = 0;
  #closed = false;

  constructor(options: SocketTransportOptions, { clock, logger }: SocketTransportDeps) {
    this.#options = options;
    this.#logger = logger;
    this.#clock = clock;
    this.#asked = new AskedAhead(clock, ({ id, lane, origin }) => this.#abort(lane, id, origin));
  }

  /** False once its threads failed too often to be trusted. */
  get usable(): boolean {
    return !this.#closed && this.#crashes < CRASHES_MAX;
  }

  /** Starts the threads, which takes some 50 ms, ahead of the first fetch. */
  start(): void {
    while (!this.#closed && this.#lanes.length < this.#options.threads) this.#lanes.push(this.#startLane());
  }

  /** Have so many connections open that are idle. */
  expect(origin: Origin, count: number): void {
    this.start();
    const [small, ...large] = this.#lanes;
    const toLarge = large.length > 0 && count > SMALL_PARTS_EXPECTED ? Math.ceil(count / large.length) : 0;
    for (const lane of toLarge > 0 ? large : []) this.#expectOn(lane, origin, toLarge);
    if (small) this.#expectOn(small, origin, toLarge > 0 ? SMALL_PARTS_EXPECTED : count);
  }

  /**
   * Sends a request that `fetch` is about to be asked for; one that it is not is given up. False when that cannot be.
   * @param onEnd called once, when it was taken over or given up
   */
  ask(ask: SocketAsk, onEnd: (isTaken: boolean) => void): boolean {
    const { request, version, range, stallTimeoutMs } = ask;
    this.start();
    const lane = this.#laneFor(range);
    if (lane === undefined || this.#closed || !this.#asked.hasRoomFor(version)) return false;
    this.#reserve(lane, lane.underWay.size + 1);
    const { worker, underWay } = lane;
    const id = this.#nextId();
    underWay.set(id, { place: undefined, ended: () => void underWay.delete(id) });
    post(worker, { kind: 'ask', id, stallTimeoutMs, ...requestOf(request, version, range) });
    const sentMs = this.#clock.nowMs();
    this.#asked.add(version, { id, lane, range, origin: request.origin, sentMs, onEnd });
    return true;
  }

  /** Others need a connection: the request goes that was sent ahead first of those that nobody has taken. */
  giveUpAsked(): void {
    this.#asked.giveUpOne();
  }

  /** @throws LocalWriteError */
  fetch(fetch: SocketFetch): Promise<SocketOutcome> {
    this.start();
    const { version, range, options } = fetch;
    const asked = options.signal.aborted ? undefined : this.#asked.take(version, range);
    const lane = asked?.lane ?? this.#laneFor(range);
    if (lane === undefined || this.#closed || options.signal.aborted)
      return Promise.resolve({ kind: 'aborted' });
    if (asked === undefined) this.#reserve(lane, lane.underWay.size + 1);
    return new Promise((resolve, reject) => this.#begin(lane, fetch, asked, resolve, reject));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const lane of this.#lanes) {
      this.#asked.lost(lane);
      post(lane.worker, { kind: 'close' });
    }
  }

  /**
   * A thread that carries large parts at full speed is busy for tens of milliseconds at a time. Small parts go by the
   * first thread, large ones by the others: there by the one with the fewest under way.
   */
  #laneFor({ start, end }: ByteRange): Lane | undefined {
    const [small, ...large] = this.#lanes;
    if (end - start <= SMALL_PART_BYTES || large.length === 0) return small;
    return large.toSorted((a, b) => a.underWay.size - b.underWay.size)[0];
  }

  #expectOn(lane: Lane, origin: Origin, count: number): void {
    let free = this.#options.connectionsMax;
    for (const { underWay } of this.#lanes) free -= underWay.size;
    const ahead = Math.min(count, free);
    if (ahead <= 0) return;
    this.#reserve(lane, lane.underWay.size + ahead);
    post(lane.worker, { kind: 'expect', origin, count: ahead });
  }

  /** `lane` is to have so many connections: what is too much then for all together, others close of their idle ones. */
  #reserve(lane: Lane, count: number): void {
    lane.connections = Math.max(lane.connections, count);
    let excess = -this.#options.connectionsMax;
    for (const { connections } of this.#lanes) excess += connections;
    for (const other of this.#lanes) {
      if (excess <= 0) return;
      if (other === lane) continue;
      const spare = Math.min(excess, other.connections - other.underWay.size);
      if (spare <= 0) continue;
      other.connections -= spare;
      excess -= spare;
      post(other.worker, { kind: 'trim', count: other.connections });
    }
  }

  #begin(
    lane: Lane,
    { request, version, range, place, options }: SocketFetch,
    asked: Asked<Lane> | undefined,
    resolve: (outcome: SocketOutcome) => void,
    reject: (error: Error) => void,
  ): void {
    const id = asked?.id ?? this.#nextId();
    const { worker, underWay } = lane;
    const onAbort = () => this.#abort(lane, id, request.origin);
    underWay.set(id, {
      place,
      ended: (outcome) => {
        underWay.delete(id);
        options.signal.removeEventListener('abort', onAbort);
        if (outcome.kind === 'local') reject(new LocalWriteError(outcome.message, outcome.code));
        else resolve(toOutcome(outcome));
      },
    });
    options.signal.addEventListener('abort', onAbort, { once: true });
    options.onCut?.((end) => post(worker, { kind: 'cut', id, end }));
    const { descriptor, memory, nativeFile } = place;
    const file = { descriptor, memory, nativeFile };
    if (asked !== undefined) {
      options.onSentAhead?.(asked.sentMs);
      return post(worker, { kind: 'place', id, ...file });
    }
    const { stallTimeoutMs } = options;
    post(worker, { kind: 'fetch', id, stallTimeoutMs, ...requestOf(request, version, range), ...file });
  }

  #abort(lane: Lane, id: number, origin: Origin): void {
    post(lane.worker, { kind: 'abort', id });
    // It takes its connection with it, which whoever looks into one file after another would miss.
    if (lane === this.#lanes[0] && !this.#closed) this.#expectOn(lane, origin, SMALL_PARTS_EXPECTED);
  }

  #nextId(): number {
    this.#idLast += 1;
    return this.#idLast;
  }

  #startLane(): Lane {
    const { authorities, idleTimeoutMs, connectionsMax } = this.#options;
    const settings: WorkerSettings = { authorities, idleTimeoutMs, connectionsMax };
    const worker = new Worker(WORKER, { workerData: settings });
    const lane: Lane = { worker, underWay: new Map(), connections: 0 };
    worker.unref();
    // Node hands over a thousand messages in one turn of the event loop, those that come meanwhile among them. If each
    // were answered there and then, by the next fetch, small objects would let no timer and no signal through.
    const inbox: FromWorker[] = [];
    const readInbox = () => {
      for (const message of inbox.splice(0)) this.#onMessage(lane, message);
    };
    worker.on('message', (message: FromWorker) => {
      if (inbox.push(message) === 1) setImmediate(readInbox);
    });
    worker.on('error', (err) => {
      this.#crashes += 1;
      this.#logger.error({ err }, 'a transport thread failed');
    });
    worker.on('exit', () => {
      readInbox();
      this.#asked.lost(lane);
      this.#lanes = this.#lanes.filter((other) => other !== lane);
      const message = 'the transport thread ended';
      const outcome = this.#closed
        ? ({ kind: 'aborted' } as const)
        : ({ kind: 'unreachable', message } as const);
      for (const { ended } of lane.underWay.values()) ended(outcome);
    });
    return lane;
  }

  #onMessage({ underWay }: Lane, message: FromWorker): void {
    switch (message.kind) {
      case 'advanced':
        for (const [id, end] of message.ends) underWay.get(id)?.place?.advanced(end);
        return;
      case 'told':
        return underWay.get(message.id)?.place?.told(message.checksums);
      case 'ended': {
        const fetch = underWay.get(message.id);
        fetch?.place?.advanced(message.end);
        return fetch?.ended(message.outcome);
      }
      default:
        unreachable(message);
    }
  }
}

function post(worker: Worker, message: ToWorker): void {
  worker.postMessage(message);
}

function toOutcome(outcome: Exclude<WorkerOutcome, { readonly kind: 'local' }>): SocketOutcome {
  switch (outcome.kind) {
    case 'short':
    case 'broken':
    case 'unreachable': {
      const { message, code } = outcome;
      return {
        kind: outcome.kind,
        cause: Object.assign(new Error(message), code === undefined ? {} : { code }),
      };
    }
    case 'complete':
    case 'changed':
    case 'aborted':
    case 'throttled':
    case 'unusual':
      return outcome;
    default:
      return unreachable(outcome);
  }
}
