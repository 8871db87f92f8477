/**
 * The filesystem that a mount shows: the objects below a prefix as read-only files. It keeps the promises of
 * filesystem.ts and joins the parts that do the work: names and listings (name-lookup, directory-cache), what is
 * known of paths (node-table), open files (handle-table). Built by the composition root, called by fuse/.
 */
import type { Content, ContentSource } from '../file/content.js';
import type { ObjectStore, ObjectVersion } from '../object-store/object-store.js';
import type { Logger } from '../observability/logger.js';
import { assert } from '../runtime/assert.js';
import type { Clock } from '../runtime/clock.js';
import { attributesOf, READ_ONLY_STATFS } from './attributes.js';
import type { Ownership } from './attributes.js';
import { DirectoryCache } from './directory-cache.js';
import { FilesystemError } from './errors.js';
import type {
  DirectoryEntry,
  Filesystem,
  HandleId,
  NodeEntry,
  NodeId,
  ReadRequest,
  StatFs,
} from './filesystem.js';
import { HandleTable } from './handle-table.js';
import { nameOf, parentPath } from './keys.js';
import type { Platform } from './keys.js';
import { NameLookup } from './name-lookup.js';
import { NEVER, NodeTable } from './node-table.js';
import type { Node } from './node-table.js';
import { SiblingShards } from './sibling-shards.js';
import { toFilesystemError } from './translate-errors.js';

export interface ReadOnlyFilesystemDeps {
  readonly objectStore: ObjectStore;
  readonly content: ContentSource;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ReadOnlyFilesystemOptions extends Ownership {
  /** '' or ending in '/'. Only keys below it are visible. */
  readonly prefix: string;
  /** Names, sizes and ETags may be this old; 0 asks at each lookup. */
  readonly metadataTtlMs: number;
  /** Width of inode numbers, 32…53, as the session driver can carry them. */
  readonly inodeBits: number;
  /** See `SessionCapabilities.versionsApart`. */
  readonly versionsApart: boolean;
  readonly platform: Platform;
  readonly limits?: Partial<FilesystemLimits> | undefined;
}

export interface FilesystemLimits {
  readonly openHandlesMax: number;
  /** Entries of all cached listings together, about 220 bytes each. */
  readonly cachedEntriesMax: number;
  /** Entries of one directory; listing a larger one fails. */
  readonly directoryEntriesMax: number;
  /** Nodes remembered though neither listed nor open. */
  readonly unpinnedNodesMax: number;
  /** Names remembered as absent. */
  readonly absentNamesMax: number;
}

export const DEFAULT_LIMITS: FilesystemLimits = {
  openHandlesMax: 65_536,
  cachedEntriesMax: 1_000_000,
  directoryEntriesMax: 5_000_000,
  unpinnedNodesMax: 65_536,
  absentNamesMax: 65_536,
};

export interface FilesystemStats {
  readonly nodes: number;
  readonly handles: number;
  readonly directoriesListed: number;
  readonly keysHidden: number;
}

export class ReadOnlyFilesystem implements Filesystem {
  readonly #deps: ReadOnlyFilesystemDeps;
  readonly #options: ReadOnlyFilesystemOptions;
  readonly #nodes: NodeTable;
  readonly #directories: DirectoryCache;
  readonly #names: NameLookup;
  readonly #handles: HandleTable;
  readonly #siblings: SiblingShards;
  #nameOutdated: ((parent: NodeId, name: string) => void) | undefined;
  #isClosed = false;

  constructor(deps: ReadOnlyFilesystemDeps, options: ReadOnlyFilesystemOptions) {
    const { prefix, metadataTtlMs, platform, inodeBits } = options;
    assert(prefix === '' || prefix.endsWith('/'), `the mounted prefix ends in a slash, got "${prefix}"`);
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { objectStore, clock, logger } = deps;
    this.#deps = deps;
    this.#options = options;
    this.#handles = new HandleTable(limits);
    const mountedMs = clock.wallTimeMs();
    const onOutdated = (path: string) => this.#tellNameOutdated(path);
    this.#nodes = new NodeTable({ inodeBits, unpinnedMax: limits.unpinnedNodesMax, mountedMs, onOutdated });
    const nodes = this.#nodes;
    this.#directories = new DirectoryCache(
      { objectStore, clock, logger, nodes },
      { prefix, metadataTtlMs, platform, ...limits },
    );
    this.#names = new NameLookup(
      { objectStore, clock, nodes, directories: this.#directories },
      { prefix, metadataTtlMs, platform, absentMax: limits.absentNamesMax },
    );
    this.#siblings = new SiblingShards(
      { content: deps.content, directories: this.#directories, nodes },
      (node) => this.#versionOf(node),
    );
  }

  /** Gets ready for the first lookup, without waiting: to be called when the object store is known to answer. */
  foresee(): void {
    void this.#names.foresee();
  }

  async lookup(parent: NodeId, name: string): Promise<NodeEntry> {
    const directory = this.#directoryNode(parent);
    const node = await translated(this.#names.find(directory.path, name));
    if (!node) throw new FilesystemError('not_found', `no such name: ${JSON.stringify(name)}`);
    // Who looks a file up is likely to read it.
    if (node.kind === 'file') this.#deps.objectStore.expectFetches(1, this.#versionOf(node));
    // The one inode of the path is to be set apart before another size is shown, which reads under way would hold up.
    // The same size changes nothing until somebody opens the newer version.
    if (!this.#options.versionsApart)
      this.#handles.supersedeOthers(node, (older) => older.size !== node.size);
    return this.#entry(node);
  }

  getAttributes(id: NodeId): NodeEntry | undefined {
    const node = this.#nodes.get(id);
    return node && this.#entry(node);
  }

  getHandleAttributes(handle: HandleId): NodeEntry {
    const file = this.#handles.get(handle);
    file.assertReadable();
    return this.#entry(file.node);
  }

  retain(id: NodeId): boolean {
    return this.#nodes.retain(id);
  }

  forget(id: NodeId, count: number): void {
    this.#nodes.forget(id, count);
  }

  onNameOutdated(listener: (parent: NodeId, name: string) => void): void {
    this.#nameOutdated = listener;
  }

  async readDirectory(id: NodeId): Promise<readonly DirectoryEntry[]> {
    const { path } = this.#directoryNode(id);
    const listing = await translated(this.#directories.list(path));
    if (!listing.exists) throw new FilesystemError('not_found', `no such directory: ${JSON.stringify(path)}`);
    const entries: DirectoryEntry[] = [];
    for (const listed of listing.nodes) {
      // A lookup may have seen a later version, or that the name is gone.
      const node = listed.attached ? listed : this.#nodes.attached(listed.path);
      if (node) entries.push({ name: nameOf(node.path), ...this.#entry(node) });
    }
    return entries;
  }

  open(id: NodeId, { write }: { readonly write: boolean }): HandleId {
    const node = this.#nodes.get(id);
    // Not the newest version, or reported changed: whoever opens must look the name up again.
    if (!node?.attached || node.checkedMs === NEVER) throw outdatedNode(id, node);
    const name = JSON.stringify(node.path);
    if (node.kind === 'directory') throw new FilesystemError('is_directory', `${name} is a directory`);
    if (write) throw new FilesystemError('read_only', `the mount is read-only: cannot write ${name}`);
    if (node.archived) {
      throw new FilesystemError(
        'access_denied',
        `${name} lies in an archive storage class: restore the object before reading it`,
      );
    }
    this.#handles.assertRoom();
    const content = this.#deps.content.open(this.#versionOf(node));
    if (!this.#options.versionsApart) this.#handles.supersedeOthers(node, () => true);
    assert(this.#nodes.pin(id), `node ${id} is known`);
    const { id: handle } = this.#handles.add(node, content);
    this.#siblings.watch(node, content);
    return handle;
  }

  async readsOfOlderVersionsEnded(handle: HandleId): Promise<void> {
    if (this.#options.versionsApart) return;
    await this.#handles.othersIdle(this.#handles.get(handle).node);
  }

  async read({ handle, offset, target, signal }: ReadRequest): Promise<number> {
    // All handles are gone then, though the kernel has not heard of it yet.
    if (this.#isClosed) throw new FilesystemError('interrupted', 'the mount is closing');
    const file = this.#handles.get(handle);
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new FilesystemError('invalid_argument', `offset must be an integer ≥ 0, got ${offset}`);
    }
    try {
      return await file.read(target, offset, signal);
    } catch (error) {
      throw this.#readFailure(file.node, error);
    }
  }

  contentOf(handle: HandleId): Content {
    return this.#handles.get(handle).content;
  }

  readFailed(handle: HandleId, error: unknown): Error {
    return this.#readFailure(this.#handles.find(handle)?.node, error);
  }

  release(handle: HandleId): void {
    const file = this.#handles.release(handle);
    if (file) this.#nodes.unpin(file.node.id);
  }

  statfs(): StatFs {
    return READ_ONLY_STATFS;
  }

  stats(): FilesystemStats {
    return {
      nodes: this.#nodes.size,
      handles: this.#handles.size,
      directoriesListed: this.#directories.listedCount,
      keysHidden: this.#directories.hiddenCount,
    };
  }

  close(): void {
    this.#isClosed = true;
    for (const handle of this.#handles.ids()) this.release(handle);
    this.#names.close();
    this.#directories.close();
  }

  #versionOf({ path, etag, size }: Node): ObjectVersion {
    const { endpoint, bucket } = this.#deps.objectStore;
    return { endpoint, bucket, key: `${this.#options.prefix}${path}`, etag, size };
  }

  #readFailure(node: Node | undefined, error: unknown): Error {
    const failure = toFilesystemError(error);
    if (node && failure instanceof FilesystemError && failure.code === 'stale') this.#expire(node);
    return failure;
  }

  /** The object of this node is another one now, or gone: nothing remembered about its name is relied on. */
  #expire(node: Node): void {
    if (!node.attached) return;
    this.#deps.logger.debug({ path: node.path, etag: node.etag }, 'object changed: its entry expires');
    const parent = parentPath(node.path);
    this.#nodes.expire(node.path);
    this.#names.expire(node.path);
    this.#names.expire(parent);
    this.#directories.expire(parent);
  }

  /** The kernel drops a directory that is gone with all that is in it: nothing is told of names there. */
  #tellNameOutdated(path: string): void {
    const parent = this.#nodes.attached(parentPath(path));
    if (parent) this.#nameOutdated?.(parent.id, nameOf(path));
  }

  #directoryNode(id: NodeId): Node {
    const node = this.#nodes.get(id);
    if (!node) throw outdatedNode(id, node);
    if (node.kind === 'directory') return node;
    throw new FilesystemError('not_directory', `${JSON.stringify(node.path)} is a file`);
  }

  #entry(node: Node): NodeEntry {
    const ageMs = this.#deps.clock.nowMs() - node.checkedMs;
    return {
      node: node.id,
      attributes: attributesOf(node, this.#options),
      validMs: Math.max(0, this.#options.metadataTtlMs - ageMs),
    };
  }
}

function outdatedNode(id: NodeId, node: Node | undefined): FilesystemError {
  const name = node ? JSON.stringify(node.path) : `node ${id}`;
  return new FilesystemError('stale', `${name} must be looked up again`);
}

async function translated<Result>(result: Promise<Result>): Promise<Result> {
  try {
    return await result;
  } catch (error) {
    throw toFilesystemError(error);
  }
}
