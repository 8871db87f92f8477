/**
 * TempFileStores over a given object store, wired as mount.ts wires them, with files in memory or in a folder of the
 * test's own, and a simulated or the real clock.
 */
import { Downloader } from '../../src/download/downloader.js';
import type { DownloaderOptions } from '../../src/download/downloader.js';
import { HedgeBudget } from '../../src/download/hedge-budget.js';
import { PartScheduler } from '../../src/download/part-scheduler.js';
import type { DownloadTarget } from '../../src/download/target.js';
import type { ChecksumDeps } from '../../src/file/store-checksums.js';
import type { DirectReads } from '../../src/file/direct-reads.js';
import type { FormatProbe } from '../../src/formats/load-plan.js';
import { SparseFile } from '../../src/file/sparse-file.js';
import type { LocalFile } from '../../src/file/sparse-file.js';
import { TempFileStores } from '../../src/file/temp-file-stores.js';
import { NO_CHECKSUMS } from '../../src/object-store/object-checksums.js';
import type { ObjectStore } from '../../src/object-store/object-store.js';
import { Slots } from '../../src/object-store/slots.js';
import { silentLogger } from '../../src/observability/logger.js';
import type { Logger } from '../../src/observability/logger.js';
import { TransferMetrics } from '../../src/observability/metrics.js';
import { ReadTracer } from '../../src/observability/read-trace.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import type { Clock } from '../../src/runtime/clock.js';
import type { CopySource, CopyTrust, LocalCopy } from '../../src/cache/local-copy.js';
import { MemoryCopies } from './memory-copies.js';
import { MemoryFile } from './memory-file.js';
import { SimulatedClock } from './simulated-clock.js';

export interface HarnessOptions extends Partial<DownloaderOptions> {
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly traceReads?: boolean;
  readonly connectionsMax?: number;
  readonly cacheBytesMax?: number;
  readonly readDeadlineMs?: number;
  readonly directReads?: DirectReads;
  /** Second requests for slow parts; default: none. */
  readonly hedge?: boolean;
  /** Default: nothing is known of any format. */
  readonly createProbe?: (size: number) => FormatProbe;
  readonly checksums?: Partial<ChecksumDeps>;
  readonly createFile?: (path: string, size: number) => LocalFile;
  /** A real cache, with real files. Default: one in memory, of `cacheBytesMax`, whose files `createFile` makes. */
  readonly copies?: CopySource;
  /** What copies that were released before are acquired as. */
  readonly trust?: CopyTrust;
}

const MIB = 1024 * 1024;
/** Of a format that nobody knows. */
export const NO_PROBE: FormatProbe = { wants: undefined, plan: undefined, look() {} };

export function createStores(objectStore: ObjectStore, options: HarnessOptions = {}) {
  const clock = options.clock ?? new SimulatedClock();
  const logger = options.logger ?? silentLogger;
  const metrics = new TransferMetrics(clock);
  const reads = new ReadTracer({ clock, logger }, { traceReads: options.traceReads ?? false });
  const scheduler = new PartScheduler({ clock }, { connectionsMax: options.connectionsMax ?? 8 });
  const hedgeBudget = options.hedge ? new HedgeBudget() : undefined;
  const createProbe = options.createProbe ?? (() => NO_PROBE);
  const downloader: DownloaderOptions = {
    partBytesMax: options.partBytesMax ?? 8 * MIB,
    prefetchBytesMax: options.prefetchBytesMax ?? 128 * MIB,
    fillBytesMax: options.fillBytesMax ?? 1024 * MIB,
    stallTimeoutMs: options.stallTimeoutMs ?? 3000,
  };
  const createFetcher = (target: DownloadTarget) =>
    new Downloader(
      target,
      { objectStore, clock, logger, metrics, scheduler, hedgeBudget, createProbe },
      downloader,
    );
  const createFile = options.createFile ?? ((_path: string, size: number) => new MemoryFile(size));
  const bytesMax = options.cacheBytesMax ?? 1024 * MIB;
  const copies = new MemoryCopies({ bytesMax, createFile, trust: options.trust });
  const checksums = checksumDeps(objectStore, options.checksums);
  const stores = new TempFileStores(
    {
      clock,
      logger,
      metrics,
      reads,
      directReads: options.directReads,
      createFetcher,
      checksums,
      verification: { functions: checksums.functions, turns: new Slots(1), logger },
      copies: options.copies ?? copies,
      createFile: (copy, size) => (options.copies === undefined ? copies.fileOf(copy) : realFile(copy, size)),
      makeRoom: (bytes) => copies.free(bytes),
    },
    { expectBytesMax: bytesMax, readDeadlineMs: options.readDeadlineMs ?? 60_000 },
  );
  return { stores, copies, metrics, reads, scheduler, clock };
}

function realFile(copy: LocalCopy, size: number): SparseFile {
  const { exists } = copy;
  const onProblem = (error: Error) => {
    throw error;
  };
  return new SparseFile({
    get path() {
      return copy.path;
    },
    size,
    exists,
    onProblem,
  });
}

/** A server that keeps no checksums. */
export const NO_SUMS: ChecksumDeps['server'] = {
  objectChecksums: async () => NO_CHECKSUMS,
  partSizes: async () => undefined,
};

/** As a machine without the addon has them: CRC64NVME cannot be compared. */
export function checksumDeps(
  server: ChecksumDeps['server'],
  changes: Partial<ChecksumDeps> = {},
): ChecksumDeps {
  return {
    functions: checksumFunctions(undefined),
    server,
    verify: 'crc',
    asking: new Slots(1),
    summing: new Slots(1),
    ...changes,
  };
}

/** Lets everything that is ready run: promise jobs and one turn of the event loop, several times. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
