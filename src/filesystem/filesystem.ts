/**
 * What the kernel boundary (fuse/) may ask of the filesystem: the `Filesystem` interface and its vocabulary. It is
 * node based, as the kernel's own protocol is; the path-based portable driver resolves its paths above it.
 * No errno and no S3 here: failures are `FilesystemError`s with a stable code.
 *
 * Waiting: `lookup` and `readDirectory` may wait for the network; `open`, `release`, `getAttributes` and everything
 * else never do, except `read`, which waits for the bytes it needs and ends by data, error, deadline or abort.
 */
import type { Content } from '../file/content.js';

/** A live file or directory; positive safe integer, 1 is the root. One (path, object version) has one node id. */
export type NodeId = number;
/** An open file; 1…2³¹−1. */
export type HandleId = number;

export const ROOT_NODE: NodeId = 1;

export interface Attributes {
  readonly kind: 'file' | 'directory';
  /** Stable for a path as long as the mount lives, the same for all versions of the object. */
  readonly inode: number;
  readonly size: number;
  /** Allocated 512-byte blocks as `du` counts them: of the object, not of the local copy. */
  readonly blocks: number;
  /** Permission bits without the file type. */
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  /** LastModified of the object, or for a directory its marker's or the time of the mount; wall-clock ms. */
  readonly modifiedMs: number;
}

export interface NodeEntry {
  readonly node: NodeId;
  readonly attributes: Attributes;
  /** How long the kernel may rely on name and attributes. */
  readonly validMs: number;
}

export interface DirectoryEntry extends NodeEntry {
  readonly name: string;
}

export interface StatFs {
  readonly blockBytes: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly files: number;
  readonly nameBytesMax: number;
}

export interface ReadRequest {
  readonly handle: HandleId;
  readonly offset: number;
  /** Bytes go to its start; its length is the length of the read. */
  readonly target: Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

export interface Filesystem {
  /** @throws FilesystemError not_found, not_directory, name_too_long, access_denied, unreachable; stale: unknown parent */
  lookup(parent: NodeId, name: string): Promise<NodeEntry>;

  /** The node as last known, however old: a node's size and kind never change under it. Undefined when unknown. */
  getAttributes(node: NodeId): NodeEntry | undefined;

  /** The attributes of the version that the handle reads. @throws FilesystemError bad_handle, stale */
  getHandleAttributes(handle: HandleId): NodeEntry;

  /**
   * The kernel is told of the node: it stays known until the kernel forgot it as often as it was told. False, and
   * nothing is to be told, when it is forgotten or not its path's newest version any more: look it up again.
   */
  retain(node: NodeId): boolean;

  /** The kernel forgot `count` of the times it was told. Surplus and unknown nodes are ignored. */
  forget(node: NodeId, count: number): void;

  /**
   * Calls `listener`, the only one, when a name that the kernel was told of leads elsewhere now, or may: its object was
   * replaced, removed, or is no longer to be relied on. It must neither throw nor call back.
   */
  onNameOutdated(listener: (parent: NodeId, name: string) => void): void;

  /** All names of a directory except `.` and `..`, in byte order, one consistent listing. @throws FilesystemError */
  readDirectory(node: NodeId): Promise<readonly DirectoryEntry[]>;

  /**
   * Opens the version the node stands for; never waits. `stale` asks for another lookup: the node is not the newest
   * version of its path any more. @throws FilesystemError
   */
  open(node: NodeId, flags: { readonly write: boolean }): HandleId;

  /**
   * Resolves when no read is under way on handles that the opening of `handle` superseded; local, as those end at
   * once. A driver without `versionsApart` replies to OPEN only then. @throws FilesystemError bad_handle
   */
  readsOfOlderVersionsEnded(handle: HandleId): Promise<void>;

  /** Bytes read: less than asked only at the end of the file. @throws FilesystemError */
  read(request: ReadRequest): Promise<number>;

  /** What the handle reads from, until it is released. @throws FilesystemError bad_handle */
  contentOf(handle: HandleId): Content;

  /**
   * The error of a read that was answered outside of `read`, as `read` would have thrown it. A stale one expires the
   * name. The handle may be released by now.
   */
  readFailed(handle: HandleId, error: unknown): Error;

  /** Reads under way on the handle end as aborted. Unknown handles are ignored. */
  release(handle: HandleId): void;

  statfs(): StatFs;

  /** Releases every handle; reads under way end. Idempotent. */
  close(): void;
}
