/**
 * Serves a mount in a process of its own, for session.test.ts and lifecycle.test.ts: the process that serves must not be the one
 * that uses the mount. Steered by messages from the parent, each answered by one; ends by itself when the mount does.
 */
import { ReadOnlyFilesystem } from '../../src/filesystem/read-only-filesystem.js';
import { chooseDriver } from '../../src/fuse/drivers.js';
import { MountError } from '../../src/fuse/session.js';
import { silentLogger } from '../../src/observability/logger.js';
import { TransferMetrics } from '../../src/observability/metrics.js';
import { asError, unreachable } from '../../src/runtime/assert.js';
import { systemClock } from '../../src/runtime/clock.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { MemoryContentSource } from '../support/memory-content.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';

export interface ChildConfig {
  readonly driver: 'native' | 'portable';
  readonly mountpoint: string;
  readonly source: string;
  readonly metadataTtlMs: number;
  readonly objects: readonly ChildObject[];
}

export interface ChildObject {
  readonly key: string;
  /** Pattern bytes of this seed and size. */
  readonly seed: number;
  readonly size: number;
}

export type ChildCommand =
  | { readonly do: 'put'; readonly object: ChildObject }
  | { readonly do: 'delete'; readonly key: string }
  /** Reads of objects of this seed's key wait from now on, until `release`. */
  | { readonly do: 'hold'; readonly etag: string }
  | { readonly do: 'release' }
  /** Answered when a held read has begun. */
  | { readonly do: 'await-held-read' }
  | { readonly do: 'etag'; readonly key: string }
  | { readonly do: 'unmount'; readonly force: boolean };

export type ChildAnswer = { readonly error?: string; readonly code?: string; readonly etag?: string };

const config = JSON.parse(process.argv[2] ?? '') as ChildConfig;
const objectStore = new MemoryObjectStore();
const content = new MemoryContentSource(objectStore);
for (const { key, ...pattern } of config.objects) objectStore.put(key, pattern);

const driver = chooseDriver(config.driver, {
  clock: systemClock,
  logger: silentLogger,
  metrics: new TransferMetrics(systemClock),
  platform: 'linux',
});
const filesystem = new ReadOnlyFilesystem(
  { objectStore, content, clock: systemClock, logger: silentLogger },
  {
    prefix: '',
    metadataTtlMs: config.metadataTtlMs,
    uid: 1234,
    gid: 2345,
    fileMode: 0o444,
    dirMode: 0o555,
    inodeBits: driver.inodeBits,
    versionsApart: driver.versionsApart,
    platform: 'linux',
  },
);
const { mountpoint, source, metadataTtlMs } = config;
const session = driver.createSession(filesystem, {
  mountpoint,
  source,
  allowOther: process.geteuid?.() === 0,
  metadataTtlMs,
  readDeadlineMs: 60_000,
  fuseThreads: 2,
  passthrough: true,
  traceReads: false,
});

let gate = new Deferred<void>();
let held = new Deferred<void>();

async function obey(command: ChildCommand): Promise<ChildAnswer> {
  switch (command.do) {
    case 'put':
      objectStore.put(command.object.key, command.object);
      return {};
    case 'delete':
      objectStore.delete(command.key);
      return {};
    case 'hold':
      gate = new Deferred();
      held = new Deferred();
      content.beforeRead = (version) => {
        if (version.etag !== command.etag) return undefined;
        held.resolve();
        return gate.promise;
      };
      return {};
    case 'release':
      content.beforeRead = () => undefined;
      gate.resolve();
      return {};
    case 'await-held-read':
      await held.promise;
      return {};
    case 'etag':
      return { etag: objectStore.version(command.key).etag };
    case 'unmount':
      await session.unmount({ force: command.force });
      return {};
    default:
      return unreachable(command);
  }
}

function answer(reply: ChildAnswer): void {
  process.send?.(reply);
}

async function answered(work: Promise<ChildAnswer>): Promise<void> {
  try {
    answer(await work);
  } catch (error) {
    answer({ error: asError(error).message, ...(error instanceof MountError ? { code: error.code } : {}) });
  }
}

process.on('message', (command: ChildCommand) => void answered(obey(command)));
async function mount(): Promise<ChildAnswer> {
  await session.prepare();
  await session.mount();
  return {};
}

await answered(mount());
await session.ended;
filesystem.close();
objectStore.close();
// Answers under way are still sent; nothing else keeps this process.
process.channel?.unref();
