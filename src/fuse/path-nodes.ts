/**
 * Paths to nodes: the portable driver's requests carry paths, the filesystem knows nodes. The last part of a path is
 * looked up each time (the filesystem knows how fresh that must be); the directories above it are taken as last known,
 * since the kernel has looked them up on its way.
 */
import { LRUCache } from '../runtime/lru.js';
import { FilesystemError } from '../filesystem/errors.js';
import { ROOT_NODE } from '../filesystem/filesystem.js';
import type { DirectoryEntry, Filesystem, NodeEntry, NodeId } from '../filesystem/filesystem.js';

/** Paths remembered; one that was forgotten costs a lookup. */
const PATHS_MAX = 65_536;

type PathFilesystem = Pick<Filesystem, 'lookup' | 'getAttributes' | 'readDirectory'>;

export class PathNodes {
  readonly #filesystem: PathFilesystem;
  readonly #known = new LRUCache<string, NodeId>({ max: PATHS_MAX });

  constructor(filesystem: PathFilesystem) {
    this.#filesystem = filesystem;
  }

  /** The node whose attributes were last found for `path`: the version that the kernel believes to be there. */
  lastKnown(path: string): NodeId | undefined {
    return path === '/' ? ROOT_NODE : this.#known.get(path);
  }

  /** The kernel is told of `node`, though it is not the newest version of `path`. */
  remember(path: string, node: NodeId): void {
    this.#known.set(path, node);
  }

  /** The node of `path` now. @throws FilesystemError as `lookup` */
  async resolve(path: string): Promise<NodeEntry> {
    if (path === '/') return this.#root();
    const parent = parentOf(path);
    const name = path.slice(path.lastIndexOf('/') + 1);
    return this.#inDirectory(parent, (node) => this.#lookup(path, node, name));
  }

  /** @throws FilesystemError as `readDirectory` */
  async readDirectory(path: string): Promise<readonly DirectoryEntry[]> {
    return this.#inDirectory(path, (node) => this.#filesystem.readDirectory(node));
  }

  /** Once more with the directory looked up again when its node was forgotten meanwhile. */
  async #inDirectory<Result>(path: string, work: (node: NodeId) => Promise<Result>): Promise<Result> {
    try {
      return await work(await this.#directory(path));
    } catch (error) {
      if (!(error instanceof FilesystemError) || error.code !== 'stale') throw error;
      this.#known.delete(path);
      return work(await this.#directory(path));
    }
  }

  async #lookup(path: string, parent: NodeId, name: string): Promise<NodeEntry> {
    try {
      const entry = await this.#filesystem.lookup(parent, name);
      this.#known.set(path, entry.node);
      return entry;
    } catch (error) {
      this.#known.delete(path);
      throw error;
    }
  }

  async #directory(path: string): Promise<NodeId> {
    const known = this.lastKnown(path);
    if (known !== undefined && this.#filesystem.getAttributes(known)) return known;
    return (await this.resolve(path)).node;
  }

  #root(): NodeEntry {
    const entry = this.#filesystem.getAttributes(ROOT_NODE);
    if (!entry) throw new FilesystemError('stale', 'the filesystem has no root');
    return entry;
  }
}

/** The directory of `path`, which is not the root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}
