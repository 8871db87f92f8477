/** What all files of one synchronisation are fetched by: one queue of requests, one hedge budget, checksums by turns. */
import type { TransferConfig } from '../config/mount-config.js';
import { Downloader } from '../download/downloader.js';
import { HedgeBudget } from '../download/hedge-budget.js';
import { PartScheduler } from '../download/part-scheduler.js';
import type { FormatProbe } from '../formats/load-plan.js';
import type { NativeAddon } from '../native.js';
import type { ObjectStore } from '../object-store/object-store.js';
import { Slots, splitConnections } from '../object-store/slots.js';
import type { Logger } from '../observability/logger.js';
import type { TransferMetrics } from '../observability/metrics.js';
import { BLOCK_BYTES } from '../runtime/block-checksums.js';
import { checksumFunctions } from '../runtime/checksum-functions.js';
import type { NativeChecksums } from '../runtime/checksum-functions.js';
import type { Clock } from '../runtime/clock.js';
import type { FetchFileDeps } from './fetch-file.js';

/** All of each object is fetched anyway: its format says nothing more. */
const NO_PROBE: FormatProbe = { wants: undefined, plan: undefined, look: () => {} };

/** Smaller requests waste their round trip: of 20 ms, when these bytes take 70 at 60 MB/s. */
const PART_BYTES_MIN = 4 * 1024 * 1024;

export function fetchDeps(
  config: TransferConfig,
  deps: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly metrics: TransferMetrics;
    readonly objectStore: ObjectStore;
    readonly addon: (NativeChecksums & Pick<NativeAddon, 'checksumRange'>) | undefined;
  },
): FetchFileDeps {
  const { clock, logger, objectStore, addon } = deps;
  const connections = splitConnections(config.connectionsMax);
  const scheduler = new PartScheduler({ clock }, { connectionsMax: connections.data });
  const hedgeBudget = config.hedge ? new HedgeBudget() : undefined;
  const downloaderDeps = { ...deps, scheduler, hedgeBudget, createProbe: () => NO_PROBE };
  return {
    clock,
    logger,
    createFetcher: (target) =>
      new Downloader(target, downloaderDeps, {
        ...config,
        partBytesMax: partBytes(target.version.size, connections.data, config.partBytesMax),
        fillBytesMax: Number.MAX_SAFE_INTEGER,
      }),
    checksums: {
      functions: checksumFunctions(addon),
      server: objectStore,
      verify: config.verify,
      // Nobody else looks names up meanwhile.
      asking: new Slots(connections.control),
      summing: new Slots(1),
    },
    verifying: new Slots(1),
    checksumRange: addon && ((descriptor, start, end) => addon.checksumRange(descriptor, start, end)),
  };
}

/** All connections have a part of each object that is large enough, in whole blocks, which are summed as they arrive. */
function partBytes(size: number, connections: number, bytesMax: number): number {
  const share = Math.ceil(size / connections / BLOCK_BYTES) * BLOCK_BYTES;
  return Math.min(bytesMax, Math.max(share, PART_BYTES_MIN));
}
