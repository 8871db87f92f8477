/**
 * Serves a mount by the native driver in a process of its own, over an object store in memory whose objects arrive as
 * far as they are let: for open-orders.test.ts. Each message is answered by one.
 */
import { join } from 'node:path';
import { ReadOnlyFilesystem } from '../../src/filesystem/read-only-filesystem.js';
import { chooseDriver } from '../../src/fuse/drivers.js';
import { silentLogger } from '../../src/observability/logger.js';
import { TransferMetrics } from '../../src/observability/metrics.js';
import { asError, unreachable } from '../../src/runtime/assert.js';
import { systemClock } from '../../src/runtime/clock.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { openCache } from '../cache/cache-rig.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { createStores } from '../support/store-harness.js';

export type OrdersCommand =
  | { readonly do: 'put'; readonly key: string; readonly seed: number; readonly size: number }
  /** Objects of this key arrive up to this offset. */
  | { readonly do: 'let'; readonly key: string; readonly bytes: number }
  /** Answered when what was asked for of the open versions of `key` has arrived as far as it is let. */
  | { readonly do: 'settle'; readonly key: string }
  | { readonly do: 'modes' }
  | { readonly do: 'unmount' };

export interface OrdersAnswer {
  readonly error?: string;
  /** Open files of both modes. */
  readonly cached?: number;
  readonly passthrough?: number;
}

const [mountpoint = '', folder = ''] = process.argv.slice(2);
const limits = new Map<string, number>();
let raised = new Deferred<void>();

const objectStore = new MemoryObjectStore({
  chunkBytes: 4096,
  async beforeChunk(key, offset) {
    while (offset >= (limits.get(key) ?? 0)) await raised.promise;
  },
});
const metrics = new TransferMetrics(systemClock);
const driver = chooseDriver('native', {
  clock: systemClock,
  logger: silentLogger,
  metrics,
  platform: 'linux',
});
const cache = await openCache(join(folder, 'cache'));
const { stores } = createStores(objectStore, {
  clock: systemClock,
  directReads: driver.directReads!,
  copies: cache,
});
const filesystem = new ReadOnlyFilesystem(
  { objectStore, content: stores, clock: systemClock, logger: silentLogger },
  {
    prefix: '',
    metadataTtlMs: 0,
    uid: 0,
    gid: 0,
    fileMode: 0o444,
    dirMode: 0o555,
    inodeBits: driver.inodeBits,
    versionsApart: driver.versionsApart,
    platform: 'linux',
  },
);
const session = driver.createSession(filesystem, {
  mountpoint,
  source: 's3://orders',
  allowOther: false,
  metadataTtlMs: 0,
  readDeadlineMs: 20_000,
  fuseThreads: 2,
  passthrough: true,
  traceReads: false,
});

function isSettled(key: string): boolean {
  return stores
    .status(1000)
    .stores.filter((store) => store.key === key && store.handles > 0)
    .every(
      ({ contiguousBytes, size, state, partsInFlight }) =>
        state === 'stale' || partsInFlight === 0 || contiguousBytes >= Math.min(size, limits.get(key) ?? 0),
    );
}

async function obey(command: OrdersCommand): Promise<OrdersAnswer> {
  switch (command.do) {
    case 'put':
      objectStore.put(command.key, command);
      return {};
    case 'let':
      limits.set(command.key, command.bytes);
      raised.resolve();
      raised = new Deferred();
      return {};
    case 'settle':
      while (!isSettled(command.key)) await new Promise((resolve) => setImmediate(resolve));
      return {};
    case 'modes': {
      const { handlesCached, handlesPassthrough } = session.status();
      return { cached: handlesCached ?? -1, passthrough: handlesPassthrough ?? -1 };
    }
    case 'unmount':
      await session.unmount({ force: false });
      return {};
    default:
      return unreachable(command);
  }
}

async function answered(work: Promise<OrdersAnswer>): Promise<void> {
  try {
    process.send?.(await work);
  } catch (error) {
    process.send?.({ error: asError(error).message });
  }
}

process.on('message', (command: OrdersCommand) => void answered(obey(command)));
await answered(session.prepare().then(() => session.mount().then(() => ({}))));
await session.ended;
filesystem.close();
await stores.close();
cache.close();
objectStore.close();
process.channel?.unref();
