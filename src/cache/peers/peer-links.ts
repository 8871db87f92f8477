/**
 * The follower's side of the cache: links to the owners of copies that other daemons fill. One connection for each owner,
 * made when the first of its copies is followed, and kept until either daemon ends: it is how followers hear of that.
 */
import type { Logger } from '../../observability/logger.js';
import { assert } from '../../runtime/assert.js';
import type { Clock } from '../../runtime/clock.js';
import type { ObjectVersion } from '../../object-store/object-store.js';
import { OwnerConnection } from './owner-connection.js';
import { ownerSocketPath } from './peer-socket.js';
import type { CopyFollowing, CopyLink, CopyLinkListener } from './peers.js';

export interface PeerLinksDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

export class PeerLinks implements CopyFollowing {
  readonly #deps: PeerLinksDeps;
  readonly #directory: string;
  readonly #connections = new Map<string, OwnerConnection>();
  #closed = false;

  /** @param directory where the owners' locks and sockets are */
  constructor(directory: string, deps: PeerLinksDeps) {
    this.#directory = directory;
    this.#deps = deps;
  }

  follow(ownerId: string, version: ObjectVersion, listener: CopyLinkListener): CopyLink {
    assert(!this.#closed, 'a copy is followed after the cache was closed');
    const path = ownerSocketPath(this.#directory, ownerId);
    const connection = this.#connections.get(path) ?? this.#connect(path);
    return connection.open(version, listener);
  }

  /** Ends all connections; links still open hear nothing more. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#connections.values()) connection.close();
  }

  #connect(path: string): OwnerConnection {
    const { clock, logger } = this.#deps;
    const connection = new OwnerConnection(path, {
      clock,
      onEnd: (reason) => {
        this.#connections.delete(path);
        logger.debug({ path, reason }, 'a daemon on the same cache directory is not followed any more');
      },
    });
    this.#connections.set(path, connection);
    return connection;
  }
}
