/**
 * Encodes the bodies of replies at the start of the buffer that is shared with the addon; each method returns the
 * body's length. What is encoded is to be sent before anything else is: there is one buffer. Layouts are facts of
 * <linux/fuse.h>, protocol 7.x, little endian.
 */
import type { Attributes, NodeEntry, StatFs } from '../filesystem/filesystem.js';
import { assert } from '../runtime/assert.js';

const ENTRY_OUT_BYTES = 128;
const ENTRY_OUT_ATTR_AT = 40;
const ATTR_OUT_BYTES = 104;
const ATTR_OUT_ATTR_AT = 16;
const STATFS_OUT_BYTES = 80;
const OPEN_OUT_BYTES = 16;
const LSEEK_OUT_BYTES = 8;
/** Of `fuse_dirent`, before the name. */
const DIRENT_BYTES = 24;

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
/** File types in directory entries: the type bits of a mode, shifted. */
const DT_SHIFT = 12;

/** What st_blksize advises programs to read at once: what GNU's programs take at least, whatever they are told. */
const PREFERRED_READ_BYTES = 128 * 1024;

/**
 * A node is one version: its size and kind never change, and a name's other attributes come anew with each lookup. So
 * the kernel need not ask for them while it knows the node; an hour bounds what it may show of a forgotten bug.
 */
const ATTRIBUTES_VALID_MS = 3_600_000;

/** A name in a directory and what the kernel is told of it. */
export interface ListedName {
  readonly name: string;
  readonly inode: number;
  readonly kind: Attributes['kind'];
}

export class FuseReplies {
  readonly bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** `fuse_entry_out` */
  entry(entry: NodeEntry): number {
    this.#putEntry(0, entry);
    return ENTRY_OUT_BYTES;
  }

  /** `fuse_attr_out` */
  attributes({ attributes }: NodeEntry): number {
    this.#clear(0, ATTR_OUT_BYTES);
    this.#putDuration(0, 8, ATTRIBUTES_VALID_MS);
    this.#putAttributes(ATTR_OUT_ATTR_AT, attributes);
    return ATTR_OUT_BYTES;
  }

  /** `fuse_statfs_out` */
  statfs({ blockBytes, blocks, blocksFree, files, nameBytesMax }: StatFs): number {
    this.#clear(0, STATFS_OUT_BYTES);
    this.#putUint64(0, blocks);
    this.#putUint64(8, blocksFree);
    this.#putUint64(16, blocksFree);
    this.#putUint64(24, files);
    this.bytes.writeUInt32LE(blockBytes, 40);
    this.bytes.writeUInt32LE(nameBytesMax, 44);
    this.bytes.writeUInt32LE(blockBytes, 48);
    return STATFS_OUT_BYTES;
  }

  /** `fuse_open_out` */
  open(handle: number, flags: number): number {
    this.#clear(0, OPEN_OUT_BYTES);
    this.#putUint64(0, handle);
    this.bytes.writeUInt32LE(flags, 8);
    return OPEN_OUT_BYTES;
  }

  /** `fuse_lseek_out` */
  lseek(offset: number): number {
    this.#putUint64(0, offset);
    return LSEEK_OUT_BYTES;
  }

  /** The bytes of a READ. */
  data(bytes: Uint8Array): number {
    this.bytes.set(bytes);
    return bytes.length;
  }

  /**
   * Puts a `fuse_dirent` at `at`. `next` is the offset of the entry behind it. Returns where that one goes, or
   * undefined, and nothing was put, when it would end behind `end`.
   */
  directoryEntry(at: number, end: number, listed: ListedName, next: number): number | undefined {
    const after = at + aligned(DIRENT_BYTES + Buffer.byteLength(listed.name));
    if (after > end) return undefined;
    this.#putDirent(at, listed, next);
    return after;
  }

  /**
   * As `directoryEntry`, a `fuse_direntplus`. Without an `entry` the kernel is told no more than the name; with one it
   * counts a lookup.
   */
  directoryEntryPlus(
    at: number,
    end: number,
    listed: ListedName,
    next: number,
    lookUp: () => NodeEntry | undefined,
  ): number | undefined {
    const after = at + aligned(ENTRY_OUT_BYTES + DIRENT_BYTES + Buffer.byteLength(listed.name));
    if (after > end) return undefined;
    const entry = lookUp();
    if (entry) this.#putEntry(at, entry);
    else this.#clear(at, ENTRY_OUT_BYTES);
    this.#putDirent(at + ENTRY_OUT_BYTES, listed, next);
    return after;
  }

  #putDirent(at: number, { name, inode, kind }: ListedName, next: number): void {
    this.#putUint64(at, inode);
    this.#putUint64(at + 8, next);
    const nameBytes = this.bytes.write(name, at + DIRENT_BYTES);
    this.bytes.writeUInt32LE(nameBytes, at + 16);
    this.bytes.writeUInt32LE((kind === 'directory' ? S_IFDIR : S_IFREG) >> DT_SHIFT, at + 20);
    this.#clear(at + DIRENT_BYTES + nameBytes, aligned(nameBytes) - nameBytes);
  }

  #putEntry(at: number, { node, attributes, validMs }: NodeEntry): void {
    this.#clear(at, ENTRY_OUT_BYTES);
    this.#putUint64(at, node);
    this.#putDuration(at + 16, at + 32, validMs);
    this.#putDuration(at + 24, at + 36, ATTRIBUTES_VALID_MS);
    this.#putAttributes(at + ENTRY_OUT_ATTR_AT, attributes);
  }

  /** `fuse_attr`; what is not set is cleared by the caller. */
  #putAttributes(at: number, attributes: Attributes): void {
    const { kind, inode, size, blocks, permissions, links, uid, gid, modifiedMs } = attributes;
    this.#putUint64(at, inode);
    this.#putUint64(at + 8, size);
    this.#putUint64(at + 16, blocks);
    // Access, modification and change: seconds in one row, nanoseconds in the other.
    for (const index of [0, 1, 2]) this.#putDuration(at + 24 + 8 * index, at + 48 + 4 * index, modifiedMs);
    this.bytes.writeUInt32LE((kind === 'directory' ? S_IFDIR : S_IFREG) | permissions, at + 60);
    this.bytes.writeUInt32LE(links, at + 64);
    this.bytes.writeUInt32LE(uid, at + 68);
    this.bytes.writeUInt32LE(gid, at + 72);
    this.bytes.writeUInt32LE(PREFERRED_READ_BYTES, at + 80);
  }

  #putDuration(secondsAt: number, nanosecondsAt: number, ms: number): void {
    const seconds = Math.floor(ms / 1000);
    this.#putUint64(secondsAt, seconds);
    this.bytes.writeUInt32LE(Math.floor((ms - seconds * 1000) * 1e6), nanosecondsAt);
  }

  #putUint64(at: number, value: number): void {
    assert(Number.isSafeInteger(value), `${value} is a safe integer`);
    this.bytes.writeUInt32LE(value >>> 0, at);
    this.bytes.writeInt32LE(Math.floor(value / 2 ** 32), at + 4);
  }

  #clear(at: number, bytes: number): void {
    this.bytes.fill(0, at, at + bytes);
  }
}

/** Directory entries begin at multiples of 8 (FUSE_DIRENT_ALIGN). */
function aligned(bytes: number): number {
  return (bytes + 7) & ~7;
}
