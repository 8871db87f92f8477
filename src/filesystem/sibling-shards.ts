/**
 * Makes the next shard of a model likely once one is being loaded: when more than half of an open shard is here, the
 * one behind it in order is expected, so that it is fetched gently ahead. Called by the filesystem at each open.
 *
 * Only a hint, from a fresh listing of the directory, which is asked for in the background where there is none.
 */
import type { Content, ContentSource } from '../file/content.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import type { DirectoryCache, Listing } from './directory-cache.js';
import { childPath, nameOf, parentPath } from './keys.js';
import type { Node, NodeTable } from './node-table.js';
import { isShardName, nextShard } from './shard-order.js';

export interface SiblingShardsDeps {
  readonly content: ContentSource;
  readonly directories: DirectoryCache;
  readonly nodes: NodeTable;
}

export class SiblingShards {
  readonly #deps: SiblingShardsDeps;
  readonly #versionOf: (node: Node) => ObjectVersion;

  constructor(deps: SiblingShardsDeps, versionOf: (node: Node) => ObjectVersion) {
    this.#deps = deps;
    this.#versionOf = versionOf;
  }

  /** `node` was opened as `content`. */
  watch({ path }: Node, content: Content): void {
    if (isShardName(nameOf(path))) content.onceHalfHere(() => void this.#expectNext(path));
  }

  async #expectNext(path: string): Promise<void> {
    const { content, directories, nodes } = this.#deps;
    const parent = parentPath(path);
    let listing: Listing;
    try {
      listing = await directories.list(parent);
    } catch {
      // Nobody waits for it: whoever looks at the directory next meets the failure.
      return;
    }
    const file = (name: string): Node | undefined => {
      const node = nodes.attached(childPath(parent, name));
      return node?.kind === 'file' && node.checkedMs >= listing.checkedMs ? node : undefined;
    };
    const name = nextShard(nameOf(path), (name) => file(name) !== undefined);
    const next = name === undefined ? undefined : file(name);
    if (next && !next.archived) content.expect(this.#versionOf(next));
  }
}
