/**
 * Serves a mount by the native driver over an object store of this process whose bytes come at a steady rate, in order:
 * byte n of an object is there n ÷ rate after its first request. Started by bench-follow.ts, which reads the mount and
 * talks to this process by messages, each answered by one.
 */
import { join } from 'node:path';
import { SparseFile } from '../src/file/sparse-file.js';
import { ReadOnlyFilesystem } from '../src/filesystem/read-only-filesystem.js';
import { chooseDriver } from '../src/fuse/drivers.js';
import type {
  ByteRange,
  FetchOptions,
  ObjectVersion,
  PartOutcome,
  PartSink,
} from '../src/object-store/object-store.js';
import { silentLogger } from '../src/observability/logger.js';
import { TransferMetrics } from '../src/observability/metrics.js';
import { sleep, systemClock } from '../src/runtime/clock.js';
import { fillPattern } from '../src/runtime/pattern.js';
import { MemoryObjectStore } from '../test/support/memory-object-store.js';
import { createStores } from '../test/support/store-harness.js';

export interface FollowSettings {
  readonly mountpoint: string;
  /** For the local files. */
  readonly folder: string;
  readonly size: number;
  readonly seed: number;
  readonly bytesPerSecond: number;
}

export type FollowCommand =
  /** Puts a new object under the key; `filledMs` is about it from now on. */
  { readonly do: 'put'; readonly key: string } | { readonly do: 'figures' } | { readonly do: 'unmount' };

export interface FollowAnswer {
  /** From the first request for the object's bytes until the last of them was in the local file. */
  readonly filledMs: number;
}

const settings = JSON.parse(process.argv[2] ?? '') as FollowSettings;
const { size, seed } = settings;

/** When the first byte was asked for, and when the last write ended so far. */
let startedMs: number | undefined;
let writtenMs = 0;

class SteadyObjectStore extends MemoryObjectStore {
  readonly #bytes = fillPattern(Buffer.allocUnsafe(size), seed, 0);
  readonly #bytesPerMs = settings.bytesPerSecond / 1000;

  override async fetchPart(
    _version: ObjectVersion,
    { start, end }: ByteRange,
    sink: PartSink,
    { signal }: FetchOptions,
  ): Promise<PartOutcome> {
    startedMs ??= systemClock.nowMs();
    for (let at = start; at < end;) {
      const due = Math.min(end, Math.floor((systemClock.nowMs() - startedMs) * this.#bytesPerMs));
      if (signal.aborted) return { kind: 'aborted' };
      if (due <= at) {
        await sleep(systemClock, startedMs + (at + 1) / this.#bytesPerMs - systemClock.nowMs(), signal);
        continue;
      }
      const written = sink.write(this.#bytes.subarray(at, due));
      if (written) await written;
      at = due;
    }
    return { kind: 'complete' };
  }
}

class TimedFile extends SparseFile {
  override async write(chunks: readonly Uint8Array[], offset: number): Promise<void> {
    await super.write(chunks, offset);
    writtenMs = systemClock.nowMs();
  }
}

const objectStore = new SteadyObjectStore();
const [clock, logger, platform] = [systemClock, silentLogger, 'linux'] as const;
const driver = chooseDriver('native', { clock, logger, metrics: new TransferMetrics(clock), platform });
let files = 0;
const { stores } = createStores(objectStore, {
  clock,
  directReads: driver.directReads!,
  // Each object is read once: its file goes with its last handle.
  cacheBytesMax: 0,
  fillBytesMax: size,
  createFile: (_path, bytes) =>
    new TimedFile({
      path: join(settings.folder, `${(files += 1)}`),
      size: bytes,
      exists: false,
      onProblem: giveUp,
    }),
});
const filesystem = new ReadOnlyFilesystem(
  { objectStore, content: stores, clock, logger },
  { prefix: '', metadataTtlMs: 60_000, uid: 0, gid: 0, fileMode: 0o444, dirMode: 0o555, platform, ...driver },
);
const session = driver.createSession(filesystem, {
  mountpoint: settings.mountpoint,
  source: 's3://steady',
  allowOther: false,
  metadataTtlMs: 60_000,
  readDeadlineMs: 60_000,
  fuseThreads: 2,
  passthrough: true,
  traceReads: false,
});

function giveUp(error: Error): never {
  throw error;
}

process.on('message', (command: FollowCommand) => {
  if (command.do === 'unmount') {
    void session.unmount({ force: true });
    return;
  }
  if (command.do === 'put') {
    objectStore.put(command.key, { seed, size });
    startedMs = undefined;
  }
  process.send?.({ filledMs: writtenMs - (startedMs ?? writtenMs) } satisfies FollowAnswer);
});
// Who started it is gone: so is the mount.
process.once('disconnect', () => void session.unmount({ force: true }));

await session.prepare();
await session.mount();
process.send?.({ filledMs: 0 } satisfies FollowAnswer);
await session.ended;
process.exit();
