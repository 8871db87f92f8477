/**
 * The portable session driver: a mount carried by fuse-native (libfuse 2, macFUSE). Built by the composition root;
 * operations.ts answers its requests.
 *
 *     new ──mount()──► mounted ──unmount(), or anybody's umount──► ended
 *
 * The mount point is never touched by this process while it is mounted: a request to itself would block the event loop
 * that has to answer it. What is mounted is read from the kernel's mount table.
 */
import type { Filesystem } from '../filesystem/filesystem.js';
import type { Platform } from '../filesystem/keys.js';
import type { Logger } from '../observability/logger.js';
import { asError } from '../runtime/assert.js';
import { sleep, systemClock } from '../runtime/clock.js';
import type { Clock } from '../runtime/clock.js';
import { Deferred } from '../runtime/deferred.js';
import { createFuse, loadFuseNative } from './fuse-native.js';
import type { Fuse } from './fuse-native.js';
import { checkFuseSupport, thisMachine } from './fuse-support.js';
import { mountOptions } from './mount-options.js';
import { isFuseMount, topmostMountAt } from './mount-table.js';
import type { MountTableEntry } from './mount-table.js';
import { prepareMountpoint } from './mountpoint.js';
import { createOperations } from './operations.js';
import { MountError } from './session.js';
import type { Session, SessionCapabilities, SessionFactory, SessionOptions } from './session.js';
import { removeMount, unmountSystem } from './unmount.js';
import type { UnmountSystem } from './unmount.js';
import { VersionSplit } from './version-split.js';

export const PORTABLE_CAPABILITIES: SessionCapabilities = {
  driver: 'portable',
  // libfuse 2 never asks for more pages than this in one request.
  readBytesMax: 128 * 1024,
  passthrough: false,
  versionsApart: false,
};

/** Inode numbers are 32 bits wide in fuse-native. */
export const PORTABLE_INODE_BITS = 32;

/** How often the mount table is looked at: a mount that anybody removed is noticed within so long. */
const WATCH_INTERVAL_MS = 1_000;
/** The kernel sends its first request at once; longer means that something between us is broken. */
const INIT_TIMEOUT_MS = 10_000;

export interface PortableSessionDeps {
  readonly filesystem: Filesystem;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly system: UnmountSystem;
}

export const createPortableSession: SessionFactory = (filesystem, options, logger) => {
  const platform: Platform = process.platform === 'darwin' ? 'darwin' : 'linux';
  const system = unmountSystem(platform);
  return new PortableSession({ filesystem, logger, clock: systemClock, system }, options);
};

export class PortableSession implements Session {
  readonly capabilities = PORTABLE_CAPABILITIES;
  readonly #deps: PortableSessionDeps;
  readonly #options: SessionOptions;
  readonly #ended = new Deferred<void>();
  #mounted: { readonly fuse: Fuse; readonly entry: MountTableEntry } | undefined;
  #isEnded = false;

  constructor(deps: PortableSessionDeps, options: SessionOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  async mount(): Promise<void> {
    const { filesystem, logger, clock, system } = this.#deps;
    const { mountpoint, allowOther } = this.#options;
    checkFuseSupport(thisMachine(loadFuseNative), { allowOther });
    await prepareMountpoint(mountpoint, system, logger);

    const split = new VersionSplit({ run: system.run, clock, logger }, mountpoint);
    const operations = createOperations({ filesystem, logger, split }, system.platform);
    const fuse = createFuse(mountpoint, operations, mountOptions(this.#options, system.platform));
    try {
      await this.#started(fuse);
      const entry = topmostMountAt(await system.readMountTable(), mountpoint);
      if (!entry || !isFuseMount(entry)) {
        throw new MountError('mount_failed', `the mount does not appear at ${mountpoint} in the mount table`);
      }
      this.#mounted = { fuse, entry };
    } catch (error) {
      await this.#undoMount();
      fuse.close(() => {});
      throw error;
    }
    void this.#watch();
  }

  async unmount({ force }: { readonly force: boolean }): Promise<void> {
    const { logger, system } = this.#deps;
    const { mountpoint } = this.#options;
    for (const mode of force ? (['force'] as const) : (['normal', 'lazy'] as const)) {
      if (!(await this.#isMounted({ mustBeTopmost: true }))) break;
      try {
        await removeMount(mountpoint, mode, system);
      } catch (error) {
        if (mode !== 'normal') throw error;
        logger.info({ mountpoint }, `still in use: detaching it (${asError(error).message})`);
      }
    }
    this.#end();
  }

  /** Resolves with the kernel's first request. @throws MountError */
  async #started(fuse: Fuse): Promise<void> {
    const { clock } = this.#deps;
    const started = new Deferred<void>();
    fuse.mount((error) => (error ? started.reject(error) : started.resolve()));
    const cancelTimer = clock.after(INIT_TIMEOUT_MS, () =>
      started.reject(new Error(`no request from the kernel within ${INIT_TIMEOUT_MS / 1000} s`)),
    );
    try {
      await started.promise;
    } catch (error) {
      const { mountpoint } = this.#options;
      const reason = asError(error).message;
      throw new MountError(
        'mount_failed',
        `cannot mount on ${mountpoint} (${reason}): the lines above from fuse or fusermount say why; mounting needs root, or write permission to the directory`,
        error,
      );
    } finally {
      cancelTimer();
    }
  }

  /** Whatever of a failed mount is there goes; nothing was mounted there before, as `prepareMountpoint` saw. */
  async #undoMount(): Promise<void> {
    const { system, logger } = this.#deps;
    const { mountpoint } = this.#options;
    try {
      const entry = topmostMountAt(await system.readMountTable(), mountpoint);
      if (entry && isFuseMount(entry)) await removeMount(mountpoint, 'force', system);
    } catch (error) {
      logger.warn({ mountpoint, err: error }, 'a mount that failed could not be removed');
    }
  }

  async #watch(): Promise<void> {
    while (!this.#isEnded) {
      await sleep(this.#deps.clock, WATCH_INTERVAL_MS);
      if (!this.#isEnded && !(await this.#isMounted({ mustBeTopmost: false }))) this.#end();
    }
  }

  /** Whether the mount we made is there: by its id, since another may be mounted over it. @throws MountError */
  async #isMounted({ mustBeTopmost }: { readonly mustBeTopmost: boolean }): Promise<boolean> {
    const { system, logger } = this.#deps;
    const { mountpoint } = this.#options;
    if (!this.#mounted || this.#isEnded) return false;
    const { id, device, mountpoint: place } = this.#mounted.entry;
    let table: readonly MountTableEntry[];
    try {
      table = await system.readMountTable();
    } catch (error) {
      logger.warn({ err: error }, 'the mount table cannot be read: the mount is taken to be there');
      return true;
    }
    // The kernel gives ids and devices to new mounts again, hence all three.
    const ours = table.find(
      (entry) => entry.id === id && entry.device === device && entry.mountpoint === place,
    );
    if (!ours) return false;
    const topmost = topmostMountAt(table, place);
    if (mustBeTopmost && topmost && topmost !== ours) {
      const over = `${topmost.source} is mounted over it`;
      throw new MountError('unmount_failed', `cannot unmount ${mountpoint}: ${over}; unmount that first`);
    }
    return true;
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const { logger } = this.#deps;
    this.#mounted?.fuse.close((error) => {
      if (error) logger.warn({ err: error }, 'the driver did not close cleanly');
    });
    this.#ended.resolve();
  }
}
