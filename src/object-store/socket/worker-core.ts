/**
 * What a worker thread of the transport does with the messages of the main thread; worker.ts runs it. Reports each end
 * at once, and progress a little later, for all fetches together: readers that wait natively hear of it without that.
 */
import type { Clock } from '../../runtime/clock.js';
import { asError, assert, unreachable } from '../../runtime/assert.js';
import type { ChecksumFunctions } from '../../runtime/checksum-functions.js';
import type { AttachedMemory, MapsFiles, SharedMemory } from '../../runtime/shared-memory.js';
import { AttachedMemories } from './attached-memories.js';
import { ConnectionPool } from './connection-pool.js';
import type { ConnectionPoolOptions } from './connection-pool.js';
import { Exchange } from './exchange.js';
import type { ExchangeDeps } from './exchange.js';
import type { FetchMessage, FromWorker, PlaceMessage, ToWorker, WorkerOutcome } from './messages.js';

export interface WorkerCoreDeps {
  readonly clock: Clock;
  readonly filePublished: (nativeFile: number) => void;
  readonly checksumFunctions: ChecksumFunctions;
  /** Undefined without the addon: no file's memory is mapped then. */
  readonly mapsFiles: MapsFiles | undefined;
  readonly post: (message: FromWorker) => void;
}

/** Long enough to gather the progress of many reads of a socket, short against a round trip. */
const PROGRESS_INTERVAL_MS = 2;

export class WorkerCore {
  readonly #deps: WorkerCoreDeps;
  readonly #pool: ConnectionPool;
  readonly #memories: AttachedMemories;
  readonly #exchangeDeps: ExchangeDeps;
  readonly #exchanges = new Map<number, Exchange>();
  readonly #advanced = new Set<Exchange>();

  constructor(deps: WorkerCoreDeps, options: ConnectionPoolOptions) {
    this.#deps = deps;
    this.#pool = new ConnectionPool(deps.clock, options);
    this.#memories = new AttachedMemories(deps.mapsFiles);
    this.#exchangeDeps = {
      clock: deps.clock,
      pool: this.#pool,
      filePublished: deps.filePublished,
      checksumFunctions: deps.checksumFunctions,
      onTold: ({ id }, checksums) => deps.post({ kind: 'told', id, checksums }),
      onAdvanced: (exchange) => this.#onAdvanced(exchange),
      onEnded: (exchange, outcome) => this.#onEnded(exchange, outcome),
    };
  }

  /** Open connections, and those being opened. */
  get connections(): number {
    return this.#pool.count;
  }

  handle(message: ToWorker): void {
    switch (message.kind) {
      case 'fetch':
        return this.#fetch(message);
      case 'ask':
        return this.#begin(new Exchange(message, undefined, this.#exchangeDeps));
      case 'place':
        return this.#place(message);
      // One that ended meanwhile is not there any more.
      case 'cut':
        return this.#exchanges.get(message.id)?.cut(message.end);
      case 'abort':
        return this.#exchanges.get(message.id)?.abort();
      case 'expect':
        return this.#pool.expect(message.origin, message.count);
      case 'trim':
        return this.#pool.trim(message.count);
      case 'close':
        for (const exchange of this.#exchanges.values()) exchange.abort();
        return this.#pool.close();
      default:
        unreachable(message);
    }
  }

  #fetch(message: FetchMessage): void {
    const memory = this.#attach(message.memory);
    if ('release' in memory) return this.#begin(new Exchange(message, memory, this.#exchangeDeps));
    this.#deps.post({ kind: 'ended', id: message.id, end: message.range.start, outcome: memory });
  }

  #place(message: PlaceMessage): void {
    const exchange = this.#exchanges.get(message.id);
    assert(exchange !== undefined, 'what was asked for waits for its place, or was aborted');
    const memory = this.#attach(message.memory);
    if ('release' in memory) exchange.place(message, memory);
    else exchange.abort(memory);
  }

  /** Or why that cannot be. */
  #attach(memory: SharedMemory): AttachedMemory | WorkerOutcome {
    try {
      return this.#memories.attach(memory);
    } catch (error) {
      const { message, code } = asError(error) as NodeJS.ErrnoException;
      // Of the system, for want of memory perhaps. Anything else is a bug.
      if (code === undefined) throw error;
      return { kind: 'local', message, code };
    }
  }

  #begin(exchange: Exchange): void {
    this.#exchanges.set(exchange.id, exchange);
    exchange.start();
  }

  #onAdvanced(exchange: Exchange): void {
    if (this.#advanced.size === 0) this.#deps.clock.after(PROGRESS_INTERVAL_MS, () => this.#report());
    this.#advanced.add(exchange);
  }

  #report(): void {
    const ends = Array.from(this.#advanced, ({ id, position }) => [id, position] as const);
    this.#advanced.clear();
    if (ends.length > 0) this.#deps.post({ kind: 'advanced', ends });
  }

  #onEnded(exchange: Exchange, outcome: WorkerOutcome): void {
    this.#exchanges.delete(exchange.id);
    this.#advanced.delete(exchange);
    this.#deps.post({ kind: 'ended', id: exchange.id, end: exchange.position, outcome });
  }
}
