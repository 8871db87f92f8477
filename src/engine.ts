/**
 * What lies below the filesystem: the files of one bucket, filled from its object store into a folder, with the one
 * queue of parts and the figures that all of them share. Built by mount.ts, which puts filesystem and session above it,
 * and by the commands that fetch objects without a mount.
 *
 *     object store ─► downloaders (one scheduler, one hedge budget) ─► TempFileStores
 */
import type { TransferConfig } from './config/mount-config.js';
import { Downloader } from './download/downloader.js';
import { HedgeBudget } from './download/hedge-budget.js';
import { PartScheduler } from './download/part-scheduler.js';
import type { DirectReads } from './file/direct-reads.js';
import type { MountFolder } from './file/mount-folder.js';
import { SparseFile } from './file/sparse-file.js';
import { TempFileStores } from './file/temp-file-stores.js';
import { createFormatProbe } from './formats/recognise.js';
import { nativeAddonIfAny } from './native.js';
import type { ObjectStore } from './object-store/object-store.js';
import { Slots, splitConnections } from './object-store/slots.js';
import type { Logger } from './observability/logger.js';
import type { TransferMetrics } from './observability/metrics.js';
import type { ReadTracer } from './observability/read-trace.js';
import { checksumFunctions } from './runtime/checksum-functions.js';
import type { Clock } from './runtime/clock.js';

export type EngineConfig = Pick<
  TransferConfig,
  | 'connectionsMax'
  | 'hedge'
  | 'partBytesMax'
  | 'prefetchBytesMax'
  | 'stallTimeoutMs'
  | 'readDeadlineMs'
  | 'cacheBytesMax'
  | 'verify'
>;

export interface EngineDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: TransferMetrics;
  readonly reads: ReadTracer;
  /** The session that answers reads by itself, where there is one. */
  readonly directReads?: DirectReads | undefined;
  /** Where the bytes come from; whoever opened it closes it. */
  readonly objectStore: ObjectStore;
  /** Where they go; whoever made it removes it. */
  readonly folder: Pick<MountFolder, 'path' | 'cacheBytesMaxDefault'>;
}

export interface Engine {
  readonly stores: TempFileStores;
  readonly cacheBytesMax: number;
}

/** Starts nothing. Ends with `stores.close()`. */
export function buildEngine(config: EngineConfig, deps: EngineDeps): Engine {
  const { clock, logger, metrics, reads, directReads, objectStore, folder } = deps;
  const cacheBytesMax = config.cacheBytesMax ?? folder.cacheBytesMaxDefault;
  const connectionsMax = splitConnections(config.connectionsMax).data;
  const scheduler = new PartScheduler({ clock }, { connectionsMax });
  const hedgeBudget = config.hedge ? new HedgeBudget() : undefined;
  const stores = new TempFileStores(
    {
      clock,
      logger,
      metrics,
      reads,
      directReads,
      createFile: (path, size) =>
        new SparseFile(path, size, (err) =>
          logger.warn({ err, path }, 'a temp file could not be closed or deleted'),
        ),
      createFetcher: (target) =>
        new Downloader(
          target,
          { objectStore, clock, logger, metrics, scheduler, hedgeBudget, createProbe: createFormatProbe },
          { ...config, fillBytesMax: cacheBytesMax },
        ),
      checksums: {
        functions: checksumFunctions(nativeAddonIfAny()),
        server: objectStore,
        verify: config.verify,
        asking: new Slots(1),
        summing: new Slots(1),
      },
    },
    { directory: folder.path, cacheBytesMax, readDeadlineMs: config.readDeadlineMs },
  );
  return { stores, cacheBytesMax };
}
