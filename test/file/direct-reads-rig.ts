/** One store that is awake, read directly, with a downloader that fetches only what the test publishes. */
import type { DownloadTarget } from '../../src/download/target.js';
import { TempFileStore } from '../../src/file/temp-file-store.js';
import { Slots } from '../../src/object-store/slots.js';
import { CacheCounters } from '../../src/observability/cache-metrics.js';
import { createLogger } from '../../src/observability/logger.js';
import { ReadTracer } from '../../src/observability/read-trace.js';
import { assert } from '../../src/runtime/assert.js';
import type { ByteRange } from '../../src/runtime/range.js';
import { MemoryCopies } from '../support/memory-copies.js';
import { MemoryDirectReads } from '../support/memory-direct-reads.js';
import { MemoryFile } from '../support/memory-file.js';
import type { MemoryFileHooks } from '../support/memory-file.js';
import { checksumDeps, NO_SUMS } from '../support/store-harness.js';
import { SimulatedClock } from '../support/simulated-clock.js';

export const PAGE = 4096;
export const PAGES = 8;
export const DEADLINE_MS = 60_000;

export class DirectReadsRig {
  readonly clock = new SimulatedClock();
  readonly session = new MemoryDirectReads();
  readonly lines: Record<string, unknown>[] = [];
  readonly reads: ReadTracer;
  readonly demanded: ByteRange[] = [];
  readonly observed: ByteRange[] = [];
  readonly store: TempFileStore;
  /** The store as its downloader sees it. */
  readonly target: DownloadTarget;

  constructor(hooks: MemoryFileHooks = {}, size = PAGES * PAGE) {
    const logger = createLogger('info', {
      write: (line) => void this.lines.push(JSON.parse(line) as Record<string, unknown>),
    });
    this.reads = new ReadTracer({ clock: this.clock, logger }, { traceReads: false });
    const version = { endpoint: 'e', bucket: 'b', key: 'model', etag: '"1"', size };
    const copies = new MemoryCopies({
      bytesMax: size,
      createFile: () => new MemoryFile(size, { descriptor: () => 77, ...hooks }),
    });
    const checksums = checksumDeps(NO_SUMS);
    let target: DownloadTarget | undefined;
    this.store = new TempFileStore(
      version,
      copies.acquire(version),
      {
        clock: this.clock,
        logger,
        reads: this.reads,
        directReads: this.session,
        createFile: (copy) => copies.fileOf(copy),
        createFetcher: (given) => {
          target = given;
          return {
            partsInFlight: 0,
            bytesInFlight: 0,
            isUnderWay: () => false,
            observe: (range) => this.observed.push(range),
            demand: (range) => this.demanded.push(range),
            fill: () => {},
            stop: () => {},
          };
        },
        makeRoom: () => false,
        onCorrupt: () => {},
        checksums,
        cacheMetrics: new CacheCounters(),
        verification: { functions: checksums.functions, turns: new Slots(1), logger },
      },
      { id: 's1', readDeadlineMs: DEADLINE_MS },
    );
    assert(target, 'a store has something to fetch with');
    this.target = target;
    this.store.wake();
  }

  get file() {
    return this.session.file;
  }

  get readsWaiting(): number {
    return this.store.status(1).readsWaiting;
  }

  async publish(start: number, end: number): Promise<void> {
    const part = this.target.beginPart({ start, end });
    await part.write(new Uint8Array(end - start));
    await part.flush();
  }

  /** Parks a read and lets the store hear of it. */
  park(start: number, end: number, ageMs = 0): number {
    const id = this.file.read(start, end, ageMs);
    this.file.tell();
    return id;
  }

  exits() {
    return this.reads
      .recent()
      .filter(({ event }) => event === 'EXIT')
      .map(({ id, result, waitedMs, waitedFor }) => ({ id, result, waitedMs, waitedFor }));
  }

  /** What must be true whenever the store has heard everything. */
  problems(): string[] {
    const { parked } = this.file;
    const problems = [...this.session.violations];
    const traced = this.reads.inFlight().map(({ id }) => Number(id.slice(1)));
    const ids = [...parked.keys()];
    if (this.readsWaiting !== parked.size)
      problems.push(`${this.readsWaiting} waiters for ${parked.size} reads`);
    if (traced.length !== ids.length || !ids.every((id) => traced.includes(id)))
      problems.push(`${traced.join()} are traced, not ${ids.join()}`);
    if (parked.size > 0 && this.store.state.kind !== 'filling')
      problems.push(`reads wait though ${this.store.state.kind}`);
    for (const { id, start, end } of parked.values()) {
      if (this.store.availability.has({ start, end })) problems.push(`r${id} waits for what is there`);
      if (!this.demanded.some((range) => range.start <= start && end <= range.end))
        problems.push(`nobody asked for the bytes of r${id}`);
    }
    return problems;
  }
}
