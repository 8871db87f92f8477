/**
 * A network on a simulated clock between a test and an object store in memory: each request costs a round trip before
 * its first byte, each connection has its rate, and all together share a wire. For tests of what is fetched when:
 * `run` moves time on, and says how long the work took on that clock. Bytes are zeros: only who asks for what counts.
 */
import type {
  ByteRange,
  FetchOptions,
  ObjectStore,
  ObjectVersion,
  PartOutcome,
  PartSink,
} from '../../src/object-store/object-store.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { MemoryObjectStore } from './memory-object-store.js';
import { SimulatedClock } from './simulated-clock.js';
import { settle } from './store-harness.js';

const MIB = 1024 * 1024;
const TICK_MS = 1;

export interface SimulatedNetworkOptions {
  readonly roundTripMs: number;
  /** MiB per second of one connection. */
  readonly connectionRate?: number;
  /** MiB per second of all connections together. */
  readonly wireRate?: number;
  /** Overrides the answer of a request, or slows it down; called when it is sent. */
  readonly script?: (request: SimulatedRequest) => RequestFate | undefined;
}

export interface RequestFate {
  /** Instead of bytes, after the round trip. */
  readonly outcome?: PartOutcome;
  readonly connectionRate?: number;
  readonly roundTripMs?: number;
}

export interface SimulatedRequest extends ByteRange {
  readonly key: string;
  readonly number: number;
}

interface Transfer {
  readonly sink: PartSink;
  readonly options: FetchOptions;
  readonly bytesPerTick: number;
  readonly ended: Deferred<PartOutcome>;
  readonly firstByteMs: number;
  readonly outcome: PartOutcome | undefined;
  left: number;
  credit: number;
  busy: boolean;
}

export class SimulatedNetwork {
  readonly clock = new SimulatedClock();
  readonly objects = new MemoryObjectStore();
  readonly requests: SimulatedRequest[] = [];
  readonly objectStore: ObjectStore;
  /** Bytes that reached a sink. */
  bytes = 0;
  /** What was told to `expectFetches`, in order. */
  readonly expected: number[] = [];
  runningMax = 0;
  readonly #options: SimulatedNetworkOptions;
  readonly #transfers = new Set<Transfer>();

  constructor(options: SimulatedNetworkOptions) {
    this.#options = options;
    const fetchPart: ObjectStore['fetchPart'] = (version, range, sink, fetchOptions) =>
      this.#fetch(version, range, sink, fetchOptions);
    const expectFetches = (count: number) => void this.expected.push(count);
    this.objectStore = Object.assign(this.objects, { fetchPart, expectFetches });
  }

  get running(): number {
    return this.#transfers.size;
  }

  /** Lets time pass until `work` settles; returns the milliseconds it took. */
  async run(work: Promise<unknown>): Promise<number> {
    const startMs = this.clock.nowMs();
    let done = false;
    const finished = work.finally(() => {
      done = true;
    });
    finished.catch(() => {});
    while (!done) {
      await settle(1);
      if (!done) this.tick();
    }
    await finished;
    return this.clock.nowMs() - startMs;
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += TICK_MS) {
      await settle(1);
      this.tick();
    }
    await settle(1);
  }

  tick(): void {
    this.clock.advance(TICK_MS);
    const nowMs = this.clock.nowMs();
    const active = [...this.#transfers].filter(({ firstByteMs }) => nowMs >= firstByteMs);
    const fairShare =
      ((this.#options.wireRate ?? Infinity) * MIB * TICK_MS) / 1000 / Math.max(1, active.length);
    for (const transfer of active) {
      transfer.credit += Math.min(transfer.bytesPerTick, fairShare);
      this.#deliver(transfer);
    }
  }

  #fetch(
    version: ObjectVersion,
    range: ByteRange,
    sink: PartSink,
    options: FetchOptions,
  ): Promise<PartOutcome> {
    const request = { key: version.key, ...range, number: this.requests.length };
    this.requests.push(request);
    const fate = this.#options.script?.(request);
    const rate = fate?.connectionRate ?? this.#options.connectionRate ?? Infinity;
    const transfer: Transfer = {
      sink,
      options,
      bytesPerTick: (rate * MIB * TICK_MS) / 1000,
      ended: new Deferred(),
      firstByteMs: this.clock.nowMs() + (fate?.roundTripMs ?? this.#options.roundTripMs),
      outcome: fate?.outcome,
      left: range.end - range.start,
      credit: 0,
      busy: false,
    };
    this.#transfers.add(transfer);
    this.runningMax = Math.max(this.runningMax, this.#transfers.size);
    options.signal.addEventListener('abort', () => this.#end(transfer, { kind: 'aborted' }), { once: true });
    return transfer.ended.promise;
  }

  #deliver(transfer: Transfer): void {
    if (transfer.outcome !== undefined) return this.#end(transfer, transfer.outcome);
    const bytes = Math.min(transfer.left, Math.floor(transfer.credit));
    if (bytes === 0 || transfer.busy) return;
    transfer.credit -= bytes;
    transfer.left -= bytes;
    this.bytes += bytes;
    const written = transfer.sink.write(new Uint8Array(bytes));
    if (transfer.left === 0) return this.#end(transfer, { kind: 'complete' });
    if (written === undefined) return;
    transfer.busy = true;
    void written.then(() => {
      transfer.busy = false;
    });
  }

  #end(transfer: Transfer, outcome: PartOutcome): void {
    this.#transfers.delete(transfer);
    transfer.ended.resolve(outcome);
  }
}
