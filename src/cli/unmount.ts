/**
 * `sluice unmount`: removes a mount and waits until its daemon has ended, so that what comes next finds nothing left.
 * Also for mounts whose daemon died, which the kernel would keep for ever.
 */
import { currentUser } from '../config/load.js';
import { resolveMountpoint } from '../config/mountpoint.js';
import { isFuseMount, mountTableReader, topmostMountAt } from '../fuse/mount-table.js';
import type { MountTableEntry } from '../fuse/mount-table.js';
import { MountError } from '../fuse/session.js';
import { removeMount } from '../fuse/unmount.js';
import type { UnmountMode } from '../fuse/unmount.js';
import { queryDaemons } from '../observability/status-client.js';
import { sleep, systemClock } from '../runtime/clock.js';
import { isProcessAlive } from '../runtime/process-identity.js';
import { CommandError, EXIT } from './exit-codes.js';
import { printLine } from './output.js';

/** A daemon that lives has its answer ready in much less; one that hangs is not worth more waiting here. */
const PID_ANSWER_MS_MAX = 1000;
/** The daemon ends within 5 s of its mount; one that takes three times as long hangs. */
const DAEMON_END_MS_MAX = 15_000;
const DAEMON_POLL_MS = 25;

/** @throws CommandError or MountError when nothing is mounted there, files are open, or the daemon does not end. */
export async function unmountCommand(given: string, mode: UnmountMode): Promise<number> {
  const user = currentUser();
  const mountpoint = resolveMountpoint(given, user.workingDir);
  const place = { environment: process.env, uid: user.uid };
  const daemons = await queryDaemons({
    place,
    clock: systemClock,
    mountpoint,
    answerMsMax: PID_ANSWER_MS_MAX,
  });
  const pids = daemons.map(({ pid }) => pid);
  const readMountTable = mountTableReader(process.platform === 'darwin' ? 'darwin' : 'linux');
  const mount = topmostMountAt(await readMountTable(), mountpoint);
  if (mount !== undefined) {
    refuseForeign(mount);
    await remove(mountpoint, mode, pids);
  } else if (pids.length === 0) {
    throw new CommandError(
      EXIT.notMounted,
      `nothing is mounted at ${mountpoint}; "sluice status" lists the mounts`,
    );
  }
  for (const pid of pids) await untilEnded(pid, mode);
  printLine(`Unmounted ${mountpoint}`);
  return EXIT.ok;
}

/** Both drivers mount under a source that names the bucket; the type says `sluice` on Linux only. */
function refuseForeign(mount: MountTableEntry): void {
  if (isFuseMount(mount) && mount.source.startsWith('s3://')) return;
  throw new CommandError(
    EXIT.notMounted,
    `expected a mount of Sluice at ${mount.mountpoint}, got ${mount.source} (${mount.fsType}); use umount for it`,
  );
}

async function remove(mountpoint: string, mode: UnmountMode, pids: readonly number[]): Promise<void> {
  // Without a daemon there is nothing to lose: whoever has files open there gets only errors.
  const isDead = pids.length === 0;
  try {
    await removeMount(mountpoint, mode === 'normal' && isDead ? 'lazy' : mode);
  } catch (error) {
    // Of one's own living mount only use is in the way; of others' it may be permission.
    if (!(error instanceof MountError) || mode !== 'normal' || isDead) throw error;
    throw new CommandError(EXIT.busy, error.message);
  }
}

/** By force, a daemon that does not end is ended. */
async function untilEnded(pid: number, mode: UnmountMode): Promise<void> {
  const deadlineMs = systemClock.nowMs() + DAEMON_END_MS_MAX;
  while (isProcessAlive(pid)) {
    if (systemClock.nowMs() < deadlineMs) {
      await sleep(systemClock, DAEMON_POLL_MS);
      continue;
    }
    if (mode !== 'force') {
      throw new CommandError(
        EXIT.unexpected,
        `the mount is gone, but its daemon (pid ${pid}) has not ended after ${DAEMON_END_MS_MAX / 1000} s; end it with kill -9 ${pid}`,
      );
    }
    process.kill(pid, 'SIGKILL');
    return;
  }
}
