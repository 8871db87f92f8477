/**
 * The FUSE protocol as the native driver speaks it: operations, what their requests carry, and the names of what was
 * negotiated. Numbers and layouts are facts of <linux/fuse.h>, protocol 7.x, little endian. Pure; fuse-replies.ts has
 * the other direction. The addon has checked that bodies are complete and that names end.
 */
import { isUtf8 } from 'node:buffer';
import { readUint64 } from './native-events.js';

/** `enum fuse_opcode`, without those that the addon answers itself. */
export const OPCODE = {
  lookup: 1,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  access: 34,
  create: 35,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copy_file_range: 47,
  syncfs: 50,
  tmpfile: 51,
} as const;

export type Operation = keyof typeof OPCODE;

const OPERATIONS = new Map<number, Operation>(
  Object.entries(OPCODE).map(([name, opcode]) => [opcode, name as Operation]),
);

/** Undefined for what this driver has never heard of. */
export function operationOf(opcode: number): Operation | undefined {
  return OPERATIONS.get(opcode);
}

/** The name that a LOOKUP asks for; undefined when it is no UTF-8, as which all names in a bucket are told. */
export function lookupName(body: Buffer): string | undefined {
  const name = body.subarray(0, body.indexOf(0));
  return isUtf8(name) ? name.toString() : undefined;
}

const GETATTR_FH = 1;

/** `fuse_getattr_in`: the handle that the caller has open, if it asks through one. */
export function getattrHandle(body: Buffer): number | undefined {
  return (body.readUInt32LE(0) & GETATTR_FH) === 0 ? undefined : readUint64(body, 8);
}

/** From <asm-generic/fcntl.h>. */
const O_ACCMODE = 0o3;
const O_TRUNC = 0o1000;

/** `fuse_open_in`: whether it is to change the file; O_TRUNC comes along with it, as was negotiated. */
export function openForWrite(body: Buffer): boolean {
  return (body.readUInt32LE(0) & (O_ACCMODE | O_TRUNC)) !== 0;
}

export interface ReadArguments {
  readonly handle: number;
  readonly offset: number;
  readonly size: number;
}

/** `fuse_read_in`, of READ, READDIR and READDIRPLUS. */
export function readArguments(body: Buffer): ReadArguments {
  return { handle: readUint64(body, 0), offset: readUint64(body, 8), size: body.readUInt32LE(16) };
}

export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

export interface LseekArguments {
  readonly handle: number;
  readonly offset: number;
  readonly whence: number;
}

/** `fuse_lseek_in` */
export function lseekArguments(body: Buffer): LseekArguments {
  return { handle: readUint64(body, 0), offset: readUint64(body, 8), whence: body.readUInt32LE(16) };
}

/** `fuse_release_in`: the handle stands first. */
export function releasedHandle(body: Buffer): number {
  return readUint64(body, 0);
}

/** FUSE_INIT flags that the addon asks for, by their bit. */
const FEATURES: readonly (readonly [bit: number, name: string])[] = [
  [0, 'async-read'],
  [3, 'atomic-truncate'],
  [5, 'big-writes'],
  [13, 'readdirplus'],
  [14, 'readdirplus-auto'],
  [15, 'async-direct-io'],
  [18, 'parallel-directory-operations'],
  [22, 'max-pages'],
  [25, 'explicit-invalidation'],
  [30, 'extended-init'],
  [37, 'passthrough'],
  [38, 'no-export'],
  [39, 'resend'],
];

/** The names of what was negotiated; a bit without a name shows as `bit-N`. */
export function featureNames(flags: number, flags2: number): string[] {
  const names = new Map(FEATURES);
  const isSet = (bit: number) => (((bit < 32 ? flags : flags2) >>> (bit % 32)) & 1) === 1;
  return Array.from({ length: 64 }, (_, bit) => bit)
    .filter(isSet)
    .map((bit) => names.get(bit) ?? `bit-${bit}`);
}
