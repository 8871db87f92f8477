/**
 * The unix socket of an owner, `owners/ID.sock` in the cache directory: how it is bound and reached although the paths of
 * sockets are short (`sun_path` has 104 bytes on macOS, 108 on Linux) and cache directories need not be.
 *
 * A long path is reached through a symbolic link to its folder, in a private folder of the temporary directory, which is
 * there only while the socket is bound or connected to: the kernel resolves it once. So nothing is to be remembered of
 * where a socket is, and nothing stays behind.
 */
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createConnection } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

/** With the closing NUL, what fits on every system. */
const SOCKET_PATH_BYTES_MAX = 103;

/** @param directory where the owners' locks and sockets are */
export function ownerSocketPath(directory: string, ownerId: string): string {
  return join(directory, `${ownerId}.sock`);
}

/** Resolves when `server` listens at `path`, where only this user reaches it. @throws what listen(2) answers */
export async function listenAt(server: Server, path: string): Promise<void> {
  // Of a daemon that was killed: whoever may listen here holds the lock of its id.
  rmSync(path, { force: true });
  await reach(
    path,
    (shortPath) =>
      new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(shortPath, () => {
          server.off('error', reject);
          resolve();
        });
      }),
  );
  chmodSync(path, 0o600);
}

/** Resolves with a connection. @throws what connect(2) answers: ECONNREFUSED or ENOENT when nobody listens */
export function connectTo(path: string): Promise<Socket> {
  return reach(
    path,
    (shortPath) =>
      new Promise<Socket>((resolve, reject) => {
        const socket = createConnection(shortPath);
        socket.once('error', reject);
        socket.once('connect', () => {
          socket.off('error', reject);
          resolve(socket);
        });
      }),
  );
}

async function reach<T>(path: string, use: (shortPath: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return use(path);
  const folder = mkdtempSync(join(shortFolder(), 'sluice-'));
  try {
    const link = join(folder, 'o');
    symlinkSync(resolve(dirname(path)), link);
    return await use(join(link, basename(path)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A TMPDIR can be as deep as a cache directory; /tmp is there on both systems. */
function shortFolder(): string {
  return Buffer.byteLength(tmpdir()) <= SOCKET_PATH_BYTES_MAX / 2 ? tmpdir() : '/tmp';
}
