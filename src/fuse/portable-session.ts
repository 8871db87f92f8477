/**
 * The portable session driver: a mount carried by fuse-native (libfuse 2, macFUSE). Made by drivers.ts; operations.ts
 * answers its requests.
 *
 *     new ──prepare()──► checked ──mount()──► mounted ──unmount(), or anybody's umount──► ended
 */
import { ROOT_NODE } from '../filesystem/filesystem.js';
import type { Filesystem } from '../filesystem/filesystem.js';
import type { Logger } from '../observability/logger.js';
import type { DriverStatus } from '../observability/status-report.js';
import { asError } from '../runtime/assert.js';
import type { Clock } from '../runtime/clock.js';
import { Deferred } from '../runtime/deferred.js';
import { createFuse, loadFuseNative } from './fuse-native.js';
import type { Fuse } from './fuse-native.js';
import { checkFuseSupport, checkPortableDriver, thisMachine } from './fuse-support.js';
import { portableMountOptions } from './mount-options.js';
import { MountedPoint } from './mounted-point.js';
import { createOperations } from './operations.js';
import { MountError } from './session.js';
import type { Session, SessionOptions } from './session.js';
import type { UnmountSystem } from './unmount.js';
import { VersionSplit } from './version-split.js';

/** libfuse 2 never asks for more pages than this in one request. */
const READ_BYTES_MAX = 128 * 1024;

const STATUS: Omit<DriverStatus, 'note'> = {
  name: 'portable',
  readBytesMax: READ_BYTES_MAX,
  passthrough: false,
  versionsApart: false,
  protocol: null,
  features: [],
  threads: 1,
  readRequests: null,
  handlesCached: null,
  handlesPassthrough: null,
  requestsWaiting: null,
  oldestRequestMs: null,
};

/** The kernel sends its first request at once; longer means that something between us is broken. */
const INIT_TIMEOUT_MS = 10_000;

export interface PortableSessionDeps {
  readonly filesystem: Filesystem;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly system: UnmountSystem;
  /** Why this driver carries the mount, where another was to be expected. */
  readonly note?: string | undefined;
}

export class PortableSession implements Session {
  readonly #deps: PortableSessionDeps;
  readonly #options: SessionOptions;
  readonly #point: MountedPoint;
  readonly #ended = new Deferred<void>();
  #fuse: Fuse | undefined;
  #isEnded = false;

  constructor(deps: PortableSessionDeps, options: SessionOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#point = new MountedPoint(deps, options.mountpoint);
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  status(): DriverStatus {
    return { ...STATUS, note: this.#deps.note ?? null };
  }

  async prepare(): Promise<void> {
    const machine = thisMachine();
    checkFuseSupport(machine, { allowOther: this.#options.allowOther, driver: 'portable' });
    checkPortableDriver(machine, loadFuseNative);
    await this.#point.prepare();
  }

  async mount(): Promise<void> {
    const { filesystem, logger, clock, system } = this.#deps;
    const { mountpoint } = this.#options;
    const split = new VersionSplit({ run: system.run, clock, logger }, mountpoint);
    const operations = createOperations({ filesystem, logger, split }, system.platform);
    const fuse = createFuse(mountpoint, operations, portableMountOptions(this.#options, system.platform));
    try {
      await this.#started(fuse);
      await this.#point.appeared();
      this.#fuse = fuse;
    } catch (error) {
      await this.#point.undo();
      fuse.close(() => {});
      throw error;
    }
    void this.#point.untilGone().then(() => this.#end());
  }

  async rehearse(name: string): Promise<void> {
    const { filesystem } = this.#deps;
    const { node } = await filesystem.lookup(ROOT_NODE, name);
    const handle = filesystem.open(node, { write: false });
    try {
      await filesystem.read({ handle, offset: 0, target: Buffer.alloc(READ_BYTES_MAX) });
    } finally {
      filesystem.release(handle);
    }
  }

  async unmount(options: { readonly force: boolean }): Promise<void> {
    await this.#point.remove(options);
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

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#point.forget();
    const { logger } = this.#deps;
    this.#fuse?.close((error) => {
      if (error) logger.warn({ err: error }, 'the driver did not close cleanly');
    });
    this.#ended.resolve();
  }
}
