/**
 * One mount point and the mount that a session made there, as the kernel's mount table shows it: waits for it to
 * appear, watches it go, removes it. Shared by the drivers, which carry the mount in their own ways.
 *
 * The mount point is never touched by this process while it is mounted: a request to itself would block the event loop
 * that has to answer it.
 */
import type { Logger } from '../observability/logger.js';
import { asError } from '../runtime/assert.js';
import { sleep } from '../runtime/clock.js';
import type { Clock } from '../runtime/clock.js';
import { isFuseMount, topmostMountAt } from './mount-table.js';
import type { MountTableEntry } from './mount-table.js';
import { prepareMountpoint } from './mountpoint.js';
import { MountError } from './session.js';
import { removeMount } from './unmount.js';
import type { UnmountSystem } from './unmount.js';

/** How often the mount table is looked at: a mount that anybody removed is noticed within so long. */
export const WATCH_INTERVAL_MS = 1_000;

export interface MountedPointDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly system: UnmountSystem;
}

export class MountedPoint {
  readonly #deps: MountedPointDeps;
  readonly #mountpoint: string;
  /** The mount we made, until it is known to be gone. */
  #entry: MountTableEntry | undefined;

  constructor(deps: MountedPointDeps, mountpoint: string) {
    this.#deps = deps;
    this.#mountpoint = mountpoint;
  }

  /** Checks the mount point and removes dead mounts from it. @throws MountError when nothing may be mounted there */
  async prepare(): Promise<void> {
    const { system, logger } = this.#deps;
    await prepareMountpoint(this.#mountpoint, system, logger);
  }

  /** Finds the mount that was made just now. @throws MountError when there is none */
  async appeared(): Promise<MountTableEntry> {
    const entry = topmostMountAt(await this.#deps.system.readMountTable(), this.#mountpoint);
    if (!entry || !isFuseMount(entry)) {
      const message = `the mount does not appear at ${this.#mountpoint} in the mount table`;
      throw new MountError('mount_failed', message);
    }
    this.#entry = entry;
    return entry;
  }

  /** Whatever of a failed mount is there goes; nothing was mounted there before, as `prepare` saw. Never throws. */
  async undo(): Promise<void> {
    const { system, logger } = this.#deps;
    this.#entry = undefined;
    try {
      const entry = topmostMountAt(await system.readMountTable(), this.#mountpoint);
      if (entry && isFuseMount(entry)) await removeMount(this.#mountpoint, 'force', system);
    } catch (error) {
      logger.warn({ mountpoint: this.#mountpoint, err: error }, 'a mount that failed could not be removed');
    }
  }

  /**
   * Removes the mount: at once when nothing is open, lazily otherwise, by force when asked. Nothing when it is gone.
   * @throws MountError unmount_failed
   */
  async remove({ force }: { readonly force: boolean }): Promise<void> {
    const { logger, system } = this.#deps;
    const mountpoint = this.#mountpoint;
    for (const mode of force ? (['force'] as const) : (['normal', 'lazy'] as const)) {
      if (!(await this.#isThere({ mustBeTopmost: true }))) return;
      try {
        await removeMount(mountpoint, mode, system);
      } catch (error) {
        if (mode !== 'normal') throw error;
        logger.info({ mountpoint }, `still in use: detaching it (${asError(error).message})`);
      }
    }
  }

  /** Looks at the mount table once a second until the mount is gone or `forget` was called; `onLook` comes with each. */
  async untilGone(onLook: () => void = () => {}): Promise<void> {
    while (this.#entry) {
      await sleep(this.#deps.clock, WATCH_INTERVAL_MS);
      onLook();
      if (!(await this.isThere())) return;
    }
  }

  isThere(): Promise<boolean> {
    return this.#isThere({ mustBeTopmost: false });
  }

  /** The mount is gone, or nobody's here any more. */
  forget(): void {
    this.#entry = undefined;
  }

  /** Whether the mount we made is there: by its id, since another may be mounted over it. @throws MountError */
  async #isThere({ mustBeTopmost }: { readonly mustBeTopmost: boolean }): Promise<boolean> {
    const { system, logger } = this.#deps;
    if (!this.#entry) return false;
    const { id, device, mountpoint } = this.#entry;
    let table: readonly MountTableEntry[];
    try {
      table = await system.readMountTable();
    } catch (error) {
      logger.warn({ err: error }, 'the mount table cannot be read: the mount is taken to be there');
      return true;
    }
    // The kernel gives ids and devices to new mounts again, hence all three.
    const ours = table.find(
      (entry) => entry.id === id && entry.device === device && entry.mountpoint === mountpoint,
    );
    if (!ours) return false;
    const topmost = topmostMountAt(table, mountpoint);
    if (mustBeTopmost && topmost && topmost !== ours) {
      const over = `${topmost.source} is mounted over it`;
      throw new MountError('unmount_failed', `cannot unmount ${mountpoint}: ${over}; unmount that first`);
    }
    return true;
  }
}
