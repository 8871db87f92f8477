/**
 * The typed face of the addon (native/): the only file that knows where its binary is and how it is loaded. The addon
 * speaks the FUSE protocol on a descriptor of /dev/fuse with threads of its own, answers READ from the local files that
 * it is told of, and hands every other request to JavaScript, many at a time, as records in a shared buffer. It holds no
 * policy and trusts its caller: fuse/native-session.ts and fuse/native-files.ts validate.
 *
 * All functions are synchronous and never wait for the kernel, the disk or another thread's work, but those that return
 * a promise and those of which it is said. Bad arguments throw TypeError or RangeError; an errno error has `code` and
 * `errno` as those of node:fs.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Must be equal to ADDON_INTERFACE in native/addon.cc: raised with every change of this face. */
const ADDON_INTERFACE = 3;

/** Number of a local file of which the addon knows, unique in the process; positive. */
export type NativeFileId = number;

export interface NativeAddon {
  readonly addonInterface: number;

  /** mount(2) as root. Resolves with the descriptor of /dev/fuse, which belongs to the caller; rejects with an errno error. */
  mount(source: string, mountpoint: string, options: string): Promise<number>;
  /** A connected pair of sockets, close-on-exec: for fusermount3, which passes the descriptor through one of them. */
  socketPair(): [ours: number, theirs: number];
  /** The descriptor that was sent through `socket`, close-on-exec; -1 when none was. Never waits. */
  receiveDescriptor(socket: number): number;

  /**
   * Registers a local file. `availability` is the whole shared memory of an Availability (runtime/availability.ts), kept alive
   * until the last read of the file ended. Until `attachFile` nothing may be published in it.
   */
  openFile(availability: Int32Array): NativeFileId;
  /** Gives the file the descriptor to read from; duplicated, the caller keeps its own. @throws errno error */
  attachFile(file: NativeFileId, descriptor: number): void;
  /** Bytes were published: reads that wait for them look again. From any thread that loaded the addon; a closed file is let be. */
  filePublished(file: NativeFileId): void;
  /** The file is not what it was taken for: every read of it ends with EIO from now on, whether its bytes are there or not. */
  revokeFile(file: NativeFileId): void;
  /** Forgets the file. Reads that wait for its bytes end with EIO, those under way end as they would. */
  closeFile(file: NativeFileId): void;

  /**
   * Locks a file (flock, exclusive) unless another open of it holds the lock, in this process or another: false then. Held
   * until the descriptor is closed, or the process ends however. @throws errno error
   */
  lockFile(descriptor: number): boolean;
  /**
   * `[offset, offset + bytes)` of a file as memory that all who map it share, processes and threads; Atomics work on it.
   * `offset` lies on a page boundary, the range in the file. All of the file must have been written, and it must keep its
   * length while it is mapped: a store into a hole of a full disk, or a look at what was cut off, ends the process.
   * Unmapped by `unmapFile`, when the buffer is collected, or with the thread. @throws errno error
   */
  mapFile(descriptor: number, offset: number, bytes: number): ArrayBuffer;
  /** Gives a mapping back: the buffer is detached, of no length any more. Files that were opened with it go on to use it. */
  unmapFile(mapped: ArrayBuffer): void;
  /**
   * Gives the blocks of `[start, end)` back to the disk; the bytes read as zeros then. Waits for the disk.
   * @throws errno error, EOPNOTSUPP where the file system cannot
   */
  punchHole(descriptor: number, start: number, end: number): void;
  /**
   * The CRC32C of `[start, end)` of a file, read and summed in a thread of Node's pool. The descriptor is duplicated.
   * Rejects with an errno error: ENODATA when the file ends before.
   */
  checksumRange(descriptor: number, start: number, end: number): Promise<number>;

  /**
   * The CRC32C of bytes `[start, end)` of `bytes`, which follow bytes whose CRC32C is `seed` (0: none do). From any thread
   * that loaded the addon. 0.1 µs and 45 µs per MiB (measured); CRC64NVME 0.2 µs and 90.
   */
  crc32c(bytes: Uint8Array, start: number, end: number, seed: number): number;
  /** The same for CRC64NVME, which replaces that of the bytes before in `state[0]`: a `bigint` would be made at each call. */
  crc64nvme(bytes: Uint8Array, start: number, end: number, state: BigUint64Array): void;

  /** Takes over `options.descriptor` and starts its threads. @throws Error; the descriptor is the caller's still */
  startSession(options: NativeSessionOptions): NativeSession;
}

export interface NativeSessionOptions {
  /** Of /dev/fuse, mounted. */
  readonly descriptor: number;
  /** Threads that read requests, 1…16. */
  readonly threads: number;
  /** Give each thread a descriptor of its own where /dev/fuse can be opened. */
  readonly cloneDescriptors: boolean;
  /** The largest READ to ask the kernel for, in bytes: a multiple of 4096, 128 KiB…1 MiB. */
  readonly readBytesMax: number;
  /** A read that waits for bytes ends with EIO after so long, in ms, whatever JavaScript does meanwhile. */
  readonly readDeadlineMs: number;
  /** Ask the kernel for passthrough. */
  readonly passthrough: boolean;
  /** Put every READ into the events. */
  readonly traceReads: boolean;
  /** Where events are put for `onEvents`: at least 2 MiB. */
  readonly events: Uint8Array;
  /** Where `reply` takes its body from: at least `readBytesMax`. */
  readonly replies: Uint8Array;
  /** Called with `bytes` of records in `events` (see fuse/native-events.ts), in order. Must not throw. */
  readonly onEvents: (bytes: number) => void;
}

/** Bits of `replyOpen`'s flags. */
export const OPEN_PASSTHROUGH_ALLOWED = 1;
/** The kernel may keep cached pages and attributes of the node over this open. */
export const OPEN_KEEP_CACHE = 2;

/** How the kernel reads through an open handle. */
export const MODE_GONE = 0;
export const MODE_CACHED = 1;
export const MODE_PASSTHROUGH = 2;
export type NativeOpenMode = typeof MODE_GONE | typeof MODE_CACHED | typeof MODE_PASSTHROUGH;

export interface NativeSession {
  /**
   * Answers the request in `slot`, once: with the errno `error` (positive), or when that is 0 with the first `bytes` of
   * `replies`. False when the kernel has been answered already (interrupted) or the session ended: nothing was told then.
   * @throws when the slot holds no request or the length does not fit its operation: a bug of the caller
   */
  reply(slot: number, error: number, bytes: number): boolean;
  /**
   * Answers an OPEN: `handle` reads `file` from now on. The mode is decided here, under one lock with all other opens and
   * releases of the node. MODE_GONE as `reply`'s false: the handle does not exist then.
   */
  replyOpen(slot: number, handle: number, file: NativeFileId, flags: number): NativeOpenMode;
  /** Ends a read that waits, with a positive errno. False when it ended already. */
  failRead(read: number, error: number): boolean;
  /** Tells the kernel, from a thread that may wait, to forget a name; its next use is a LOOKUP. */
  invalidateEntry(parent: number, name: Uint8Array): void;
  /** Tells the kernel to drop the cached pages and attributes of a node. */
  invalidateInode(node: number): void;
  /** Fills `target` (at least NATIVE_STATS.length long) with the session's figures, in the order of NATIVE_STATS. */
  stats(target: Float64Array): void;
  /**
   * Ends the session: what waits is answered, the threads end, the descriptors are closed, which ends the connection.
   * Resolves when all of it is done; after 5 s in any case, when a thread hangs in the local disk. Idempotent.
   */
  stop(): Promise<void>;
}

export const NATIVE_STATS = [
  /** READ requests that reached the daemon, by whom they were answered or will be, and how they ended. */
  'readRequests',
  'readsServed',
  'readsFailed',
  'bytesRead',
  /** Of those, how many had to wait for bytes; how many wait now. */
  'readsParked',
  'readsWaiting',
  /** Requests handed to JavaScript, and how many of them wait for their reply. */
  'requests',
  'requestsWaiting',
  /** Open handles by mode. */
  'handlesCached',
  'handlesPassthrough',
  /** Replies that the kernel refused, and requests that made no sense. */
  'repliesRefused',
  'requestsMalformed',
  /** Age of the oldest request that JavaScript has not answered, in ms. */
  'oldestRequestMs',
] as const;

/** Why the addon cannot be used here; the message says it. */
export class NativeAddonError extends Error {
  override readonly name = 'NativeAddonError';
}

const BINARY = new URL('../native/sluice.node', import.meta.url);

/** For what the addon only does faster, or at all, on any system; undefined where it is not to be had. */
export function nativeAddonIfAny(): NativeAddon | undefined {
  try {
    return loadNativeAddon();
  } catch (error) {
    if (error instanceof NativeAddonError) return undefined;
    throw error;
  }
}

/** @throws NativeAddonError when there is no binary for this machine, or it was built from other sources */
export function loadNativeAddon(): NativeAddon {
  let addon: NativeAddon;
  try {
    addon = createRequire(import.meta.url)(fileURLToPath(BINARY)) as NativeAddon;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') {
      throw new NativeAddonError('the native driver was not built', { cause: error });
    }
    const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new NativeAddonError(`the native driver cannot be loaded (${reason})`, { cause: error });
  }
  if (addon.addonInterface !== ADDON_INTERFACE) {
    throw new NativeAddonError(
      `the native driver was built from other sources (interface ${addon.addonInterface}, expected ${ADDON_INTERFACE})`,
    );
  }
  return addon;
}
