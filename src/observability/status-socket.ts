/**
 * Where a daemon and `sluice status` meet: a unix socket named after the mount point and the daemon's process id, in
 * a folder that only the user can enter. Used by status-server.ts and status-client.ts.
 */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes of a socket's path: `sun_path` has 104 on macOS and 108 on Linux, with the closing NUL. */
const SOCKET_PATH_BYTES_MAX = 103;

/** Where to look, injected for tests. */
export interface SocketPlace {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

export interface StatusSocket {
  readonly path: string;
  readonly pid: number;
}

/** No folder can hold the socket; the message says which were tried and what to do. */
export class StatusSocketError extends Error {
  override readonly name = 'StatusSocketError';
}

/** What a mount point is called in file names: mount points have characters and lengths that file names cannot. */
export function mountpointId(mountpoint: string): string {
  return createHash('sha256').update(mountpoint).digest('hex').slice(0, 16);
}

/** The path of this daemon's socket, its folder created. @throws StatusSocketError */
export function newSocketPath(mountpoint: string, pid: number, place: SocketPlace): string {
  const name = `${mountpointId(mountpoint)}-${pid}.sock`;
  for (const folder of foldersOf(place)) {
    const path = join(folder, name);
    // One more byte: the server binds under a name that begins with a dot.
    if (Buffer.byteLength(path) + 1 <= SOCKET_PATH_BYTES_MAX && makePrivate(folder, place.uid)) return path;
  }
  const tried = foldersOf(place).join(', ');
  throw new StatusSocketError(
    `no folder for the status socket: expected one of ${tried} to belong to user ${place.uid}; set XDG_RUNTIME_DIR to such a folder`,
  );
}

/** The sockets there are, of living daemons and of dead ones; of one mount point when it is given. */
export function findSockets(place: SocketPlace, mountpoint?: string): StatusSocket[] {
  const wanted = mountpoint === undefined ? '' : mountpointId(mountpoint);
  return foldersOf(place).flatMap((folder) => {
    if (!belongsTo(folder, place.uid)) return [];
    return namesIn(folder).flatMap((name) => {
      const [, id, pid] = /^([0-9a-f]{16})-(\d+)\.sock$/.exec(name) ?? [];
      return id?.startsWith(wanted) ? [{ path: join(folder, name), pid: Number(pid) }] : [];
    });
  });
}

/** None when the last daemon of the folder removed it just now. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/**
 * Best first. The reader looks into all of them: a mount made by a service manager may have had another environment
 * than the shell that asks for its status.
 */
function foldersOf({ environment, uid }: SocketPlace): string[] {
  const runtime = environment['XDG_RUNTIME_DIR'] ?? '';
  const temporary = environment['TMPDIR'] ?? '';
  const folders = [
    ...(runtime.startsWith('/') ? [join(runtime, 'sluice')] : []),
    `/run/user/${uid}/sluice`,
    ...(temporary.startsWith('/') ? [join(temporary, `sluice-${uid}`)] : []),
    `/tmp/sluice-${uid}`,
  ];
  return [...new Set(folders)];
}

/** Creates `folder` in an existing one; false when that is missing or when it is somebody else's. */
function makePrivate(folder: string, uid: number): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false;
  }
  if (!belongsTo(folder, uid)) return false;
  chmodSync(folder, 0o700);
  return true;
}

/** A folder in /tmp may have been put there, or linked elsewhere, by anybody: only our own is used. */
function belongsTo(folder: string, uid: number): boolean {
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  return stats !== undefined && stats.isDirectory() && stats.uid === uid;
}
