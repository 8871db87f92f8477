/**
 * Opens the cache that the configuration names, for a mount; and a whole engine on it with an object store of its own,
 * for commands that fetch objects without a mount.
 */
import { Cache } from './cache/cache.js';
import type { TransferConfig } from './config/mount-config.js';
import { buildEngine } from './engine.js';
import type { EngineCache } from './engine.js';
import type { TempFileStores } from './file/temp-file-stores.js';
import { nativeAddonIfAny } from './native.js';
import type { ObjectStore } from './object-store/object-store.js';
import { createS3ObjectStore } from './object-store/s3-object-store.js';
import type { Logger } from './observability/logger.js';
import { TransferMetrics } from './observability/metrics.js';
import { ReadTracer } from './observability/read-trace.js';
import type { Clock } from './runtime/clock.js';

/** As many fetches as an engine is ready for before the first is asked for: two parts of one object, or of two. */
export const READY_CONNECTIONS = 2;

export interface OpenDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** @throws CacheDirectoryError */
export function openCache(
  { cacheDir, cacheBytesMax, cacheFreeBytesMin }: TransferConfig,
  { clock, logger }: OpenDeps,
  metrics: TransferMetrics,
): Promise<Cache> {
  return Cache.open(
    cacheDir,
    { bytesMax: cacheBytesMax, freeBytesMin: cacheFreeBytesMin },
    { clock, logger, metrics: metrics.cache, addon: nativeAddonIfAny() },
  );
}

export function engineCache(cache: Cache): EngineCache {
  return {
    bytesMax: cache.bytesMax,
    owner: { id: cache.ownerId, folder: cache.ownersFolder },
    acquire: (version) => cache.acquire(version),
    knows: (version) => cache.knows(version),
    free: (bytes) => cache.free(bytes),
    close: () => cache.close(),
  };
}

export interface OpenEngine {
  readonly objectStore: ObjectStore;
  readonly cache: Cache;
  readonly stores: TempFileStores;
  /** Ends all of it, top first. Idempotent. */
  close(): Promise<void>;
}

/**
 * Resolves once the bucket answers. @throws CacheDirectoryError or ObjectStoreError, with nothing left open
 * @param signal gives up while the bucket is being reached
 */
export async function openEngine(
  config: TransferConfig,
  deps: OpenDeps,
  signal: AbortSignal,
): Promise<OpenEngine> {
  const { clock, logger } = deps;
  const metrics = new TransferMetrics(clock);
  const opened: { readonly close: () => void | Promise<void> }[] = [];
  const close = async () => {
    for (const each of opened.splice(0).toReversed()) await each.close();
  };
  try {
    const cache = await openCache(config, deps, metrics);
    opened.push(cache);
    const objectStore = await createS3ObjectStore(config, deps);
    opened.push(objectStore);
    const reads = new ReadTracer(deps, { traceReads: false });
    const ground = { clock, logger, metrics, reads, objectStore, cache: engineCache(cache) };
    const engine = buildEngine(config, ground);
    opened.push(engine);
    await engine.listen();
    // Threads and connections take longer to be ready than the bucket takes to answer.
    objectStore.expectFetches(READY_CONNECTIONS);
    await objectStore.check(config.prefix, signal);
    return { objectStore, cache, stores: engine.stores, close };
  } catch (error) {
    await close();
    throw error;
  }
}
