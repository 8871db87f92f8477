/**
 * The composition root and map of Sluice: builds every layer of one mount bottom-up in one function, and tears them
 * down in reverse when the mount ends, whoever ended it.
 *
 *     cli ─► mountBucket ─► object store ─► engine (downloaders, TempFileStores) ─► filesystem ─► session ─► kernel
 */
import type { MountConfig } from './config/mount-config.js';
import type { Cache } from './cache/cache.js';
import { CacheDirectoryError } from './cache/directory-check.js';
import type { LocalCopy } from './cache/local-copy.js';
import { buildEngine } from './engine.js';
import type { Engine, EngineCache } from './engine.js';
import type { Platform } from './filesystem/keys.js';
import { ReadOnlyFilesystem } from './filesystem/read-only-filesystem.js';
import { chooseDriver } from './fuse/drivers.js';
import type { Session } from './fuse/session.js';
import { MountError } from './fuse/session.js';
import { createS3ObjectStore } from './object-store/s3-object-store.js';
import type { S3ObjectStore } from './object-store/s3-object-store.js';
import type { ObjectStore, ObjectVersion } from './object-store/object-store.js';
import type { ControlCall } from './observability/control.js';
import { silentLogger } from './observability/logger.js';
import type { Logger } from './observability/logger.js';
import { TransferMetrics } from './observability/metrics.js';
import { ReadTracer } from './observability/read-trace.js';
import { STATUS_SCHEMA } from './observability/status-report.js';
import type { StatusReport } from './observability/status-report.js';
import type { Clock } from './runtime/clock.js';
import { engineCache, openCache, READY_CONNECTIONS } from './open-engine.js';
import { Rehearsal } from './rehearsal.js';
import { parseRequest } from './requests/parse.js';
import { serveRequest } from './requests/serve.js';
import { sluiceVersion } from './runtime/version.js';

/** Stores that one status report lists. */
const STATUS_STORES_MAX = 1000;

export interface MountedBucket {
  /** Settles when the mount is gone, whoever removed it, and everything below it is torn down. Never rejects. */
  readonly ended: Promise<void>;
  status(): StatusReport;
  /** Serves a request about the mounted objects. @throws RequestError or ObjectStoreError, for who asked */
  handle(request: unknown, call: ControlCall): Promise<void>;
  /** @throws MountError when the kernel keeps the mount */
  unmount(options: { readonly force: boolean }): Promise<void>;
}

export interface MountDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Gives up while the object store is being reached; later it has no effect: `unmount` then. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Mounts; resolves once the mount point answers.
 * @throws MountError or ObjectStoreError, with a message for the user and nothing left mounted or on disk
 */
export async function mountBucket(config: MountConfig, deps: MountDeps): Promise<MountedBucket> {
  const metrics = new TransferMetrics(deps.clock);
  const cache = await openMountCache(config, deps, metrics);
  let objectStore: S3ObjectStore | undefined;
  let layers: Layers | undefined;
  let rehearsal: Rehearsal | undefined;
  try {
    objectStore = await createS3ObjectStore(config, deps);
    layers = buildLayers(config, deps, { objectStore, cache: engineCache(cache), metrics });
    await layers.engine.listen();
    // What is wrong on this machine is said before anybody waits for the network.
    await layers.session.prepare();
    const checked = objectStore.check(config.prefix, deps.signal);
    // Beside it: a lookup needs two connections.
    layers.filesystem.foresee();
    await checked;
    objectStore.expectFetches(READY_CONNECTIONS);
    await layers.session.mount();
    // Not before: it would keep the kernel's first request waiting.
    rehearsal = rehearse(config, deps, objectStore, cache);
    return serve(config, deps, { cache, objectStore, layers, rehearsal });
  } catch (error) {
    await takeDown({ cache, objectStore, layers, rehearsal }, deps.logger);
    throw error;
  }
}

/** What a mount stands on; while it comes up, as far as that has come. */
interface Standing {
  readonly cache: Cache;
  readonly objectStore: ObjectStore;
  readonly layers: Layers;
  readonly rehearsal: Rehearsal;
}

type Rising = { readonly [Layer in keyof Standing]: Standing[Layer] | undefined };

/** Top first; each step is taken whatever became of the one before. */
async function takeDown({ cache, objectStore, layers, rehearsal }: Rising, logger: Logger): Promise<void> {
  const steps = [
    () => rehearsal?.close(),
    () => layers?.filesystem.close(),
    () => layers?.engine.close(),
    () => objectStore?.close(),
    () => cache?.close(),
  ];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      logger.error({ err: error }, 'a layer did not come down cleanly');
    }
  }
}

async function openMountCache(config: MountConfig, deps: MountDeps, metrics: TransferMetrics) {
  try {
    return await openCache(config, deps, metrics);
  } catch (error) {
    if (error instanceof CacheDirectoryError)
      throw new MountError('cache_dir_unusable', error.message, error);
    throw error;
  }
}

interface Layers {
  readonly metrics: TransferMetrics;
  readonly reads: ReadTracer;
  readonly engine: Engine;
  readonly filesystem: ReadOnlyFilesystem;
  readonly session: Session;
}

/** What the layers stand on. */
interface Ground {
  readonly objectStore: ObjectStore;
  readonly cache: EngineCache;
  readonly metrics: TransferMetrics;
}

function buildLayers(config: MountConfig, deps: MountDeps, { objectStore, cache, metrics }: Ground): Layers {
  const { clock, logger } = deps;
  const reads = new ReadTracer(deps, config);
  const platform: Platform = process.platform === 'darwin' ? 'darwin' : 'linux';
  const driver = chooseDriver(config.driver, { clock, logger, metrics, platform });
  const { directReads } = driver;
  const engine = buildEngine(config, { clock, logger, metrics, reads, directReads, objectStore, cache });
  const filesystem = new ReadOnlyFilesystem(
    { objectStore, content: engine.stores, clock, logger },
    { ...config, inodeBits: driver.inodeBits, versionsApart: driver.versionsApart, platform },
  );
  const session = driver.createSession(filesystem, { ...config, source: sourceOf(config) });
  return { metrics, reads, engine, filesystem, session };
}

/** Has the code run before the first reader comes: in the background, see rehearsal.ts. */
function rehearse(config: MountConfig, deps: MountDeps, objectStore: S3ObjectStore, cache: Cache): Rehearsal {
  const { clock, logger } = deps;
  const quiet = { clock, logger: silentLogger };
  return new Rehearsal({
    logger,
    openStore: () => objectStore.openRehearsal(),
    buildLayers: (store) =>
      buildLayers(config, quiet, {
        objectStore: store,
        cache: { ...engineCache(cache), owner: undefined, acquire: (version) => passing(cache, version) },
        metrics: new TransferMetrics(clock),
      }),
  });
}

/** A copy that is gone with its release. */
function passing(cache: Cache, version: ObjectVersion): LocalCopy {
  const copy = cache.acquire(version);
  copy.detach();
  return copy;
}

/** Watches over the mount to its end, then takes the layers down, top first. */
function serve(config: MountConfig, { clock, logger }: MountDeps, standing: Standing): MountedBucket {
  const { cache, objectStore, layers } = standing;
  const { session } = layers;
  const startedMs = clock.nowMs();
  const startedAt = new Date(clock.wallTimeMs()).toISOString();
  logger.info(
    { source: sourceOf(config), mountpoint: config.mountpoint, endpoint: objectStore.endpoint },
    'mounted',
  );
  const ended = session.ended.then(async () => {
    await takeDown(standing, logger);
    logger.info({ mountpoint: config.mountpoint }, 'unmounted');
  });
  return {
    ended,
    unmount: (options) => session.unmount(options),
    handle: (request, call) => {
      const { stores } = layers.engine;
      const fill: typeof stores.fill = (version, options) => stores.fill(version, options);
      return serveRequest(
        parseRequest(request, config.prefix),
        { bucket: objectStore, fill, cache, clock },
        call,
      );
    },
    status: () => ({
      schema: STATUS_SCHEMA,
      version: sluiceVersion(),
      pid: process.pid,
      mountpoint: config.mountpoint,
      source: sourceOf(config),
      endpoint: objectStore.endpoint,
      startedAt,
      uptimeMs: Math.round(clock.nowMs() - startedMs),
      logFile: config.logFile ?? null,
      ...statusOf(layers, objectStore, cache),
    }),
  };
}

function statusOf(layers: Layers, objectStore: ObjectStore, cache: Cache) {
  const { session, reads, metrics, filesystem } = layers;
  const { stores } = layers.engine;
  const { bytes, copies } = figuresOf(cache);
  const { stores: listed, omitted } = stores.status(STATUS_STORES_MAX);
  const { rss, heapUsed } = process.memoryUsage();
  return {
    // First: it counts the reads that were answered natively into the totals.
    driver: session.status(),
    stores: listed,
    storesOmitted: omitted,
    readsInFlight: reads.inFlight(),
    totals: { ...metrics.totals, controlRequests: objectStore.stats.controlRequests },
    rates: metrics.rates(),
    cache: {
      directory: cache.path,
      bytes,
      bytesMax: cache.bytesMax,
      storesOpen: stores.openCount,
      storesIdle: Math.max(0, copies - stores.openCount),
      bytesFromBucket: metrics.totals.bytesFetched,
      ...metrics.cache.totals,
    },
    filesystem: filesystem.stats(),
    memory: { residentBytes: rss, heapBytes: heapUsed },
  };
}

/** A report is to be had also when the index is not. */
function figuresOf(cache: Cache): { readonly bytes: number; readonly copies: number } {
  try {
    return cache.stats();
  } catch {
    return { bytes: 0, copies: 0 };
  }
}

function sourceOf({ bucket, prefix }: MountConfig): string {
  return `s3://${bucket}/${prefix}`;
}
