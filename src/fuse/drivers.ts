/**
 * Chooses who carries the mount: the native driver on Linux, else the portable one. Called by the composition root
 * before anything else is built, since a driver also says what the layers below must offer it.
 */
import type { DirectReads } from '../file/direct-reads.js';
import type { Filesystem } from '../filesystem/filesystem.js';
import type { Platform } from '../filesystem/keys.js';
import { loadNativeAddon, NativeAddonError } from '../native.js';
import type { NativeAddon } from '../native.js';
import type { Logger } from '../observability/logger.js';
import type { TransferMetrics } from '../observability/metrics.js';
import type { Clock } from '../runtime/clock.js';
import { NativeFiles } from './native-files.js';
import { NativeSession } from './native-session.js';
import { PortableSession } from './portable-session.js';
import { MountError } from './session.js';
import type { Session, SessionOptions } from './session.js';
import { unmountSystem } from './unmount.js';

export type WantedDriver = 'auto' | 'native' | 'portable';

export interface Driver {
  readonly name: 'native' | 'portable';
  /** Width of the inode numbers that it can carry. */
  readonly inodeBits: 32 | 53;
  /** A replaced object gets a kernel inode of its own, so that older handles stay readable. */
  readonly versionsApart: boolean;
  /** Reads that it answers by itself, which the stores must know of. */
  readonly directReads: DirectReads | undefined;
  readonly createSession: (filesystem: Filesystem, options: SessionOptions) => Session;
}

export interface DriverDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<TransferMetrics, 'readsEndedOutside'>;
  readonly platform: Platform;
  /** @throws NativeAddonError */
  readonly loadAddon?: () => NativeAddon;
}

/** @throws MountError driver_unavailable, when the native driver is wanted and cannot be had */
export function chooseDriver(wanted: WantedDriver, deps: DriverDeps): Driver {
  const { platform, logger, loadAddon = loadNativeAddon } = deps;
  if (wanted === 'portable' || (wanted === 'auto' && platform !== 'linux')) return portableDriver(deps);
  if (platform !== 'linux') {
    throw new MountError(
      'driver_unavailable',
      'the native driver speaks to Linux only: mount without --driver native',
    );
  }
  try {
    return nativeDriver(loadAddon(), deps);
  } catch (error) {
    if (!(error instanceof NativeAddonError)) throw error;
    const advice = 'build it with make build';
    if (wanted === 'native') {
      const message = `${error.message}: ${advice}, or mount without --driver native`;
      throw new MountError('driver_unavailable', message, error);
    }
    const note = `${error.message}: ${advice}`;
    logger.warn(`${note}; mounting with the portable driver, which is slower`);
    return portableDriver(deps, note);
  }
}

function nativeDriver(addon: NativeAddon, deps: DriverDeps): Driver {
  const files = new NativeFiles(addon);
  const system = unmountSystem(deps.platform);
  return {
    name: 'native',
    inodeBits: 53,
    versionsApart: true,
    directReads: files,
    createSession: (filesystem, options) =>
      new NativeSession({ ...deps, addon, files, filesystem, system }, options),
  };
}

function portableDriver(deps: DriverDeps, note?: string): Driver {
  const system = unmountSystem(deps.platform);
  return {
    name: 'portable',
    // Inode numbers are 32 bits wide in fuse-native.
    inodeBits: 32,
    versionsApart: false,
    directReads: undefined,
    createSession: (filesystem, options) =>
      new PortableSession({ ...deps, filesystem, system, note }, options),
  };
}
