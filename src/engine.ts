/**
 * What lies below the filesystem: the files of one bucket, filled from its object store into the cache, with the one
 * queue of parts and the figures that all of them share. Built by mount.ts, which puts filesystem and session above it,
 * and by the commands that fetch objects without a mount.
 *
 *     object store ─► downloaders (one scheduler, one hedge budget) ─► TempFileStores
 */
import type { CopySource } from './cache/local-copy.js';
import { PeerLinks } from './cache/peers/peer-links.js';
import { PeerServer } from './cache/peers/peer-server.js';
import { ownerSocketPath } from './cache/peers/peer-socket.js';
import type { TransferConfig } from './config/mount-config.js';
import { Downloader } from './download/downloader.js';
import { HedgeBudget } from './download/hedge-budget.js';
import { PartScheduler } from './download/part-scheduler.js';
import { firstRequestOf } from './download/read-streams.js';
import type { DirectReads } from './file/direct-reads.js';
import { SparseFile } from './file/sparse-file.js';
import { TempFileStores } from './file/temp-file-stores.js';
import { createFormatProbe } from './formats/recognise.js';
import { nativeAddonIfAny } from './native.js';
import type { ObjectStore, ObjectVersion } from './object-store/object-store.js';
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
  /** Where they go; whoever opened it closes it, after the engine. */
  readonly cache: EngineCache;
}

export interface EngineCache extends CopySource {
  /** Its budget. */
  readonly bytesMax: number;
  /** Under which other daemons on the directory find this one, and where; undefined: it is shared with nobody. */
  readonly owner: { readonly id: string; readonly folder: string } | undefined;
  /** Something is there of a version, or was. */
  knows(version: ObjectVersion): boolean;
  /** Evicts what nobody uses until about `bytes` are free; false when there was nothing. */
  free(bytes: number): boolean;
}

export interface Engine {
  readonly stores: TempFileStores;
  /** From now on other daemons on the directory may follow the copies that are filled here. Never rejects. */
  listen(): Promise<void>;
  /** Ends all of it, with the copies given back to the cache. Idempotent; never rejects. */
  close(): Promise<void>;
}

/** Of the cache, a window may take one of so many parts. */
const WINDOW_SHARE = 4;

/** Of the connections for HEADs and listings, those that are left to the lookups of names. */
const LOOKUP_CONNECTIONS = 2;

/** Starts nothing. */
export function buildEngine(config: EngineConfig, deps: EngineDeps): Engine {
  const { clock, logger, metrics, reads, directReads, objectStore, cache } = deps;
  const addon = nativeAddonIfAny();
  const functions = checksumFunctions(addon);
  const { data: connectionsMax, control } = splitConnections(config.connectionsMax);
  const scheduler = new PartScheduler({ clock }, { connectionsMax });
  const hedgeBudget = config.hedge ? new HedgeBudget() : undefined;
  // A window ahead of one reader leaves room in the cache for what it has not read yet, and for others.
  const prefetchBytesMax = Math.min(config.prefetchBytesMax, Math.floor(cache.bytesMax / WINDOW_SHARE));
  const downloading = { ...config, prefetchBytesMax, fillBytesMax: cache.bytesMax };
  const links = cache.owner && new PeerLinks(cache.owner.folder, { clock, logger });
  const stores = new TempFileStores(
    {
      clock,
      logger,
      metrics,
      reads,
      directReads,
      copies: cache,
      opening: (version) => {
        if (version.size === 0 || cache.knows(version)) return;
        objectStore.askAhead(version, firstRequestOf(version, config.partBytesMax), config.stallTimeoutMs);
      },
      following: links,
      makeRoom: (bytes) => cache.free(bytes),
      createFile: (copy, size) =>
        new SparseFile({
          get path() {
            return copy.path;
          },
          size,
          exists: copy.exists,
          addon,
          onProblem: (err) => logger.warn({ err, path: copy.path }, 'a temp file could not be closed'),
        }),
      createFetcher: (target) =>
        new Downloader(
          target,
          { objectStore, clock, logger, metrics, scheduler, hedgeBudget, createProbe: createFormatProbe },
          downloading,
        ),
      checksums: {
        functions,
        server: objectStore,
        verify: config.verify,
        asking: new Slots(Math.max(1, control - LOOKUP_CONNECTIONS)),
        summing: new Slots(1),
      },
      verification: {
        functions,
        checksumRange: addon && ((descriptor, start, end) => addon.checksumRange(descriptor, start, end)),
        turns: new Slots(1),
        logger,
      },
    },
    { expectBytesMax: cache.bytesMax, readDeadlineMs: config.readDeadlineMs },
  );
  let server: PeerServer | undefined;
  return {
    stores,
    listen: async () => {
      const { owner } = cache;
      if (owner === undefined) return;
      try {
        const path = ownerSocketPath(owner.folder, owner.id);
        server = await PeerServer.listen(path, { logger, host: stores.peers });
      } catch (err) {
        logger.warn({ err }, 'other daemons on the cache directory cannot follow what is filled here');
      }
    },
    close: async () => {
      server?.close();
      await stores.close();
      links?.close();
    },
  };
}
