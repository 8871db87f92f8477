/**
 * The follower's side of the cache: links to the owners of copies that other daemons fill. One connection for each owner,
 * made when the first of its copies is followed, and kept until either daemon ends: it is how followers hear of that.
 */
import type { Logger } from '../../observability/logger.js';
import { assert } from '../../runtime/assert.js';
import type { Clock } from '../../runtime/clock.js';
import type { ObjectVersion } from '../../object-store/object-store.js';
import { OwnerConnection } from './owner-connection.js';
import type { CopyLink, CopyLinkListener } from './peers.js';

export interface PeerLinksDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

export class PeerLinks {
  readonly #deps: PeerLinksDeps;
  readonly #connections = new Map<string, OwnerConnection>();
  #closed = false;

  constructor(deps: PeerLinksDeps) {
    this.#deps = deps;
  }

  /** @param path of the owner's socket, `owners/ID.sock` */
  follow(path: string, version: ObjectVersion, listener: CopyLinkListener): CopyLink {
    assert(!this.#closed, 'a copy is followed after the cache was closed');
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
