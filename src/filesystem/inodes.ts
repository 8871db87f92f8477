/**
 * Inode numbers: the hash of a path, so that a path has the same number in every mount of the bucket. Two live paths
 * never share one: the later of two that collide is hashed again until its number is free, and keeps it while it
 * lives. Called by node-table.ts alone.
 */
import { hash } from 'node:crypto';
import { assert } from '../runtime/assert.js';

export const ROOT_INODE = 1;
/** libfuse 2's "no inode number known" in 32 bits; a driver could not pass it on. */
const UNKNOWN_INODE = 0xffffffff;

export type InodeHash = (path: string, attempt: number, bits: number) => number;

export class Inodes {
  readonly #bits: number;
  readonly #hash: InodeHash;
  readonly #inUse = new Set<number>([ROOT_INODE]);

  /** `bits`: width of the numbers, 32…53. `hashPath` is replaced in tests only, to provoke collisions. */
  constructor(bits: number, hashPath: InodeHash = hashedInode) {
    assert(bits >= 32 && bits <= 53, `inode width must be 32…53 bits, got ${bits}`);
    this.#bits = bits;
    this.#hash = hashPath;
  }

  /** Numbers in use, the root's included. */
  get size(): number {
    return this.#inUse.size;
  }

  claim(path: string): number {
    for (let attempt = 0; ; attempt++) {
      const inode = this.#hash(path, attempt, this.#bits);
      if (inode <= ROOT_INODE || inode === UNKNOWN_INODE || this.#inUse.has(inode)) continue;
      this.#inUse.add(inode);
      return inode;
    }
  }

  release(inode: number): void {
    this.#inUse.delete(inode);
  }
}

/** The upper `bits` bits of SHA-256; a path holds no NUL, so attempts cannot be mistaken for paths. */
function hashedInode(path: string, attempt: number, bits: number): number {
  const digest = hash('sha256', attempt === 0 ? path : `${path}\0${attempt}`, 'buffer');
  return Number(digest.readBigUInt64BE(0) >> BigInt(64 - bits));
}
