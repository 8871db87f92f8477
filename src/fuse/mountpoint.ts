/**
 * Checks a mount point before it is mounted on, and repairs one whose daemon died (kill -9 leaves a mount that answers
 * ENOTCONN). Called by the session before it mounts.
 *
 * A mount that may hang is never touched from this process: a thread that waits for it could not be ended. A child
 * process is asked instead, with a deadline.
 */
import { readdir, stat } from 'node:fs/promises';
import type { Logger } from '../observability/logger.js';
import { asError } from '../runtime/assert.js';
import { isFuseMount, topmostMountAt } from './mount-table.js';
import type { MountTableEntry } from './mount-table.js';
import { MountError } from './session.js';
import type { MountErrorCode } from './session.js';
import { removeMount } from './unmount.js';
import type { UnmountSystem } from './unmount.js';

/** Stacked dead mounts that are removed at most. */
const REPAIRS_MAX = 16;
const PROBE_TIMEOUT_MS = 5_000;
/** ECONNABORTED, ENOTCONN on Linux; ENXIO, ENOTCONN on macOS: nobody serves the mount any more. */
const DEAD_ERRNOS = { linux: [103, 107], darwin: [6, 57] };

/** Absolute, links resolved. @throws MountError when nothing may be mounted there, saying what to do. */
export async function prepareMountpoint(
  mountpoint: string,
  system: UnmountSystem,
  logger: Logger,
): Promise<void> {
  for (let repairs = 0; ; repairs++) {
    const mount = topmostMountAt(await system.readMountTable(), mountpoint);
    if (!mount) break;
    if (repairs === REPAIRS_MAX || !isFuseMount(mount)) throw inUse(mountpoint, mount);
    const state = await probe(mountpoint, system);
    if (state === 'hung') throw hung(mountpoint, mount);
    if (state === 'served') throw inUse(mountpoint, mount);
    await removeMount(mountpoint, 'lazy', system);
    logger.warn({ mountpoint, source: mount.source }, 'removed a dead mount left by a killed process');
  }
  await checkDirectory(mountpoint);
}

/** Exits with the errno of a stat of its argument, 0 when that answers. */
const PROBE =
  'try { require("fs").statSync(process.argv[1]) } catch (e) { process.exitCode = Math.abs(e.errno) & 255 }';

async function probe(mountpoint: string, system: UnmountSystem): Promise<'served' | 'dead' | 'hung'> {
  const result = await system.run(process.execPath, ['-e', PROBE, '--', mountpoint], {
    timeoutMs: PROBE_TIMEOUT_MS,
  });
  if (result.kind !== 'exited') return 'hung';
  const errno = result.exitCode ?? 0;
  return DEAD_ERRNOS[system.platform].includes(errno) ? 'dead' : 'served';
}

async function checkDirectory(mountpoint: string): Promise<void> {
  let names: readonly string[];
  try {
    const stats = await stat(mountpoint);
    if (!stats.isDirectory()) {
      throw new MountError(
        'mountpoint_not_directory',
        `${mountpoint} is not a directory: choose an empty directory`,
      );
    }
    names = await readdir(mountpoint);
  } catch (error) {
    throw error instanceof MountError ? error : unusable(mountpoint, asError(error));
  }
  if (names.length > 0) {
    throw new MountError(
      'mountpoint_not_empty',
      `${mountpoint} is not empty (it holds ${JSON.stringify(names[0])}): mount on an empty directory`,
    );
  }
}

function unusable(mountpoint: string, error: NodeJS.ErrnoException): MountError {
  const known = UNUSABLE.get(error.code);
  if (known) return new MountError(known.code, `${mountpoint} ${known.message}`, error);
  return new MountError('mount_failed', `${mountpoint} cannot be used: ${error.message}`, error);
}

const DENIED = {
  code: 'fuse_denied',
  message: 'may not be entered by this user: mount on a directory of your own',
} as const;

const UNUSABLE = new Map<string | undefined, { readonly code: MountErrorCode; readonly message: string }>([
  ['ENOENT', { code: 'mountpoint_missing', message: 'does not exist: create it with mkdir -p' }],
  ['ENOTDIR', { code: 'mountpoint_not_directory', message: 'lies below something that is not a directory' }],
  ['EACCES', DENIED],
  ['EPERM', DENIED],
]);

function inUse(mountpoint: string, { fsType, source }: MountTableEntry): MountError {
  const what = `${source} (type ${fsType}) is already mounted on ${mountpoint}`;
  const advice =
    fsType === 'fuse.sluice' ? `run sluice unmount ${mountpoint} first` : 'choose another directory';
  return new MountError('mountpoint_in_use', `${what}: ${advice}`);
}

function hung(mountpoint: string, { source }: MountTableEntry): MountError {
  return new MountError(
    'mountpoint_in_use',
    `${source} is mounted on ${mountpoint} and does not answer: run sluice unmount --force ${mountpoint}`,
  );
}
