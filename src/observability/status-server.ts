/**
 * The daemon's side of `sluice status`: answers the line `status` with one line of JSON, the StatusReport, and closes.
 * Any other line is a request for its handler (control.ts).
 * Started by the mount command once the mount answers, closed when the mount is gone; its end means "gone".
 */
import { chmodSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { REQUEST_BYTES_MAX, serveCall } from './control.js';
import type { ControlHandler } from './control.js';
import type { StatusReport } from './status-report.js';
import { newSocketPath } from './status-socket.js';
import type { SocketPlace } from './status-socket.js';

/** `status`, or nonsense. */
const WORD_BYTES_MAX = 1024;
/** More clients than people look at one mount; a script that leaks connections is turned away. */
const CLIENTS_MAX = 32;
/** A client that connected and asks nothing, or reads nothing, is let go. */
const CLIENT_IDLE_MS_MAX = 5000;

export interface StatusServerOptions {
  readonly mountpoint: string;
  readonly pid: number;
  readonly place: SocketPlace;
  /** Called for each request; must not touch the mount. */
  readonly report: () => StatusReport;
  readonly handle: ControlHandler;
}

export interface StatusServer {
  readonly path: string;
  /** Ends all connections and removes the socket, and its folder when that is empty. */
  close(): Promise<void>;
}

/** @throws StatusSocketError when no folder can hold the socket, and what listen(2) answers. */
export async function startStatusServer(options: StatusServerOptions): Promise<StatusServer> {
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    clients.add(client);
    client.once('close', () => clients.delete(client));
    answer(client, options);
  });
  server.maxConnections = CLIENTS_MAX;
  const path = await listenPrivately(server, options);
  return {
    path,
    close: async () => {
      rmSync(path, { force: true });
      removeIfEmpty(dirname(path));
      for (const client of clients) client.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** Another daemon that ends may remove the empty folder between its creation and our listening. */
const FOLDER_ATTEMPTS_MAX = 3;

/** Returns the socket's path. It gets its name once it listens: a refused client takes the file for a dead daemon's. */
async function listenPrivately(server: Server, options: StatusServerOptions, attempt = 1): Promise<string> {
  const path = newSocketPath(options.mountpoint, options.pid, options.place);
  const unfinished = join(dirname(path), `.${basename(path)}`);
  try {
    rmSync(unfinished, { force: true });
    await listen(server, unfinished);
  } catch (error) {
    // libuv answers EACCES where the kernel says ENOENT, which is why every failure is tried again.
    if (attempt === FOLDER_ATTEMPTS_MAX) throw error;
    return listenPrivately(server, options, attempt + 1);
  }
  chmodSync(unfinished, 0o600);
  renameSync(unfinished, path);
  return path;
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function answer(client: Socket, { report, handle }: StatusServerOptions): void {
  let request = '';
  client.setEncoding('utf8');
  client.setTimeout(CLIENT_IDLE_MS_MAX, () => client.destroy());
  client.on('error', () => client.destroy());
  client.on('data', (text: string) => {
    request += text;
    const bytesMax = request.startsWith('{') ? REQUEST_BYTES_MAX : WORD_BYTES_MAX;
    if (!text.includes('\n') && request.length <= bytesMax) return;
    client.removeAllListeners('data');
    const [line = ''] = request.split('\n', 1);
    if (line === 'status') client.end(`${JSON.stringify(report())}\n`);
    // What comes after the request is read, and forgotten, so that the client's end is noticed.
    else void serveCall(client.resume(), line, handle);
  });
}

/** Other mounts of the user have their sockets there too. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Not empty, or removed by another daemon that ended.
  }
}
