/** What stat(2) and statfs(2) say, made from nodes. Pure; called by the filesystem. */
import type { Attributes, StatFs } from './filesystem.js';
import { NAME_BYTES_MAX } from './keys.js';
import type { Node } from './node-table.js';

export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits of files and of directories. */
  readonly fileMode: number;
  readonly dirMode: number;
}

/** The unit of `Attributes.blocks`, fixed by stat(2). */
const STAT_BLOCK_BYTES = 512;

/**
 * Listings of some servers give milliseconds where HEAD gives seconds, so that a file's time would change with the
 * way it was looked up: whole seconds are what both agree on.
 */
const MODIFIED_GRAIN_MS = 1000;

export function attributesOf(node: Node, { uid, gid, fileMode, dirMode }: Ownership): Attributes {
  const isFile = node.kind === 'file';
  return {
    kind: node.kind,
    inode: node.inode,
    size: node.size,
    blocks: Math.ceil(node.size / STAT_BLOCK_BYTES),
    permissions: isFile ? fileMode : dirMode,
    uid,
    gid,
    // The real count of a directory's subdirectories would need a listing.
    links: isFile ? 1 : 2,
    modifiedMs: Math.floor(node.modifiedMs / MODIFIED_GRAIN_MS) * MODIFIED_GRAIN_MS,
  };
}

/**
 * A bucket has no size: 1 PiB, all of it taken, since nothing can be written here. Each count fits 32 bits, as the
 * portable driver needs.
 */
export const READ_ONLY_STATFS: StatFs = {
  blockBytes: 2 ** 20,
  blocks: 2 ** 30,
  blocksFree: 0,
  files: 2 ** 32 - 1,
  nameBytesMax: NAME_BYTES_MAX,
};
