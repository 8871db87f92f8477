/**
 * Listens on the socket of this daemon for followers of the copies that it fills: opened by the cache beside the lock of
 * the daemon, closed before that lock is given back. Each follower gets a PeerSession of its own.
 */
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import type { Logger } from '../../observability/logger.js';
import { listenAt } from './peer-socket.js';
import { PeerSession } from './peer-session.js';
import type { PeerHost } from './peers.js';

/** Daemons that share one directory on one machine: more than anybody runs. */
const FOLLOWERS_MAX = 256;

export interface PeerServerDeps {
  readonly logger: Logger;
  readonly host: PeerHost;
}

export class PeerServer {
  readonly #server: Server;
  readonly #path: string;
  readonly #sessions = new Set<PeerSession>();

  /** Listens at `path`, whose folder only this user may enter. @throws what listen(2) answers */
  static async listen(path: string, deps: PeerServerDeps): Promise<PeerServer> {
    const server = new PeerServer(path, deps);
    await listenAt(server.#server, path);
    return server;
  }

  private constructor(path: string, { logger, host }: PeerServerDeps) {
    this.#path = path;
    this.#server = createServer((socket) => {
      const onEnd = (reason: string, isMisbehaviour: boolean) => {
        this.#sessions.delete(session);
        if (isMisbehaviour) logger.warn({ reason }, 'a daemon on the same cache directory was cut off');
      };
      const session = new PeerSession(socket, { host, onEnd });
      this.#sessions.add(session);
    });
    this.#server.maxConnections = FOLLOWERS_MAX;
    this.#server.on('error', (err) =>
      logger.warn({ err }, 'a daemon on the same cache directory could not connect'),
    );
  }

  get followerCount(): number {
    return this.#sessions.size;
  }

  /** Versions that followers have open here. */
  get linkCount(): number {
    let links = 0;
    for (const session of this.#sessions) links += session.linkCount;
    return links;
  }

  /** Ends all connections, which followers hear at once, and removes the socket. Idempotent. */
  close(): void {
    rmSync(this.#path, { force: true });
    this.#server.close();
    for (const session of this.#sessions) session.end('this daemon ends');
  }
}
