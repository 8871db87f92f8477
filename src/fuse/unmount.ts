/**
 * Removes a mount, from inside or outside the daemon that serves it: with the system's own programs, never through a
 * shell, each with a deadline. Called by the session, by `sluice unmount` and by the repair of dead mounts.
 */
import { writeFile } from 'node:fs/promises';
import { unreachable } from '../runtime/assert.js';
import type { Platform } from '../filesystem/keys.js';
import { isFuseMount, mountTableReader, topmostMountAt } from './mount-table.js';
import type { MountTableEntry, ReadMountTable } from './mount-table.js';
import { runCommand } from './run-command.js';
import type { CommandResult, RunCommand } from './run-command.js';
import { MountError } from './session.js';

export type UnmountMode =
  /** Only when nothing uses the mount. */
  | 'normal'
  /** Out of sight at once; files that are open stay usable until they are closed. */
  | 'lazy'
  /** As lazy, and every request under way ends with an error, also when the daemon hangs. */
  | 'force';

export interface UnmountSystem {
  readonly platform: Platform;
  readonly isRoot: boolean;
  readonly readMountTable: ReadMountTable;
  readonly run: RunCommand;
  /** Ends all requests of a FUSE connection, named by the minor number of its device. */
  readonly abortConnection: (minor: string) => Promise<void>;
}

const COMMAND_TIMEOUT_MS = 10_000;

export function unmountSystem(platform: Platform): UnmountSystem {
  return {
    platform,
    isRoot: process.geteuid?.() === 0,
    readMountTable: mountTableReader(platform),
    run: runCommand,
    abortConnection,
  };
}

const CONNECTIONS = '/sys/fs/fuse/connections';

/** Where the control file system is not mounted (containers, small systems) it is for the moment; root may do so. */
async function abortConnection(minor: string): Promise<void> {
  const abort = () => writeFile(`${CONNECTIONS}/${minor}/abort`, '1');
  try {
    await abort();
  } catch {
    const options = { timeoutMs: COMMAND_TIMEOUT_MS };
    const mounted = await runCommand('mount', ['-i', '-t', 'fusectl', 'fusectl', CONNECTIONS], options);
    if (mounted.kind !== 'exited' || mounted.exitCode !== 0) throw new Error('no FUSE control file system');
    try {
      await abort();
    } finally {
      // Lazily: another abort may be using it at this moment.
      await runCommand('umount', ['-i', '-l', CONNECTIONS], options);
    }
  }
}

/**
 * Removes the topmost mount at `mountpoint` (absolute, links resolved). Resolves when it is gone; when nothing was
 * mounted, at once. @throws MountError unmount_failed
 */
export async function removeMount(
  mountpoint: string,
  mode: UnmountMode,
  system: UnmountSystem = unmountSystem(process.platform === 'darwin' ? 'darwin' : 'linux'),
): Promise<void> {
  const mount = topmostMountAt(await system.readMountTable(), mountpoint);
  if (!mount) return;
  if (mode === 'force' && isFuseMount(mount)) await abortRequests(mount, system);

  let complaint = '';
  for (const [program, ...args] of commandsFor(mountpoint, mode, system)) {
    const result = await system.run(program, args, { timeoutMs: COMMAND_TIMEOUT_MS });
    const left = await system.readMountTable();
    if (!left.some((entry) => entry.mountpoint === mountpoint && entry.id === mount.id)) return;
    complaint ||= describe(program, result);
    if (result.kind !== 'not_started') break;
  }
  throw new MountError(
    'unmount_failed',
    `cannot unmount ${mountpoint}: ${complaint.replace(/\.$/, '')}. ${ADVICE[mode]}`,
  );
}

type Command = readonly [program: string, ...args: string[]];

/** Tried in order until one can be started. The path is ours and resolved: programs need not, and must not, stat it. */
function commandsFor(mountpoint: string, mode: UnmountMode, system: UnmountSystem): readonly Command[] {
  const isGentle = mode === 'normal';
  if (system.platform === 'darwin') {
    if (isGentle) return [['/sbin/umount', mountpoint]];
    return [
      ['/usr/sbin/diskutil', 'unmount', 'force', mountpoint],
      ['/sbin/umount', '-f', mountpoint],
    ];
  }
  if (system.isRoot) {
    return [['umount', '--no-canonicalize', '--internal-only', ...(isGentle ? [] : ['--lazy']), mountpoint]];
  }
  const flags = isGentle ? '-u' : '-uz';
  return [
    ['fusermount3', flags, '--', mountpoint],
    ['fusermount', flags, '--', mountpoint],
  ];
}

async function abortRequests({ device }: MountTableEntry, system: UnmountSystem): Promise<void> {
  const minor = device?.split(':')[1];
  if (minor === undefined) return;
  try {
    await system.abortConnection(minor);
  } catch {
    // The control file system may not be mounted, or the connection ended meanwhile: detaching works without.
  }
}

function describe(program: string, result: CommandResult): string {
  switch (result.kind) {
    case 'exited':
      return result.complaint || `${program} ended with ${result.exitCode ?? 'a signal'}`;
    case 'timed_out':
      return `${program} did not end within ${COMMAND_TIMEOUT_MS / 1000} s`;
    case 'not_started':
      return `${program} could not be started (${result.complaint})`;
    default:
      return unreachable(result);
  }
}

const ADVICE: Record<UnmountMode, string> = {
  normal:
    'Close what uses it, or unmount with --lazy (it vanishes at once) or --force (what hangs in it ends, too)',
  lazy: 'Unmount with --force, which ends the requests under way',
  force: 'Unmount it as the user who mounted it, or as root',
};
