/** Replies against bytes written by hand from the structs of <linux/fuse.h>. */
import t from 'tap';
import type { NodeEntry } from '../../src/filesystem/filesystem.js';
import { FuseReplies } from '../../src/fuse/fuse-replies.js';
import { packed } from '../support/packed.js';

const entry: NodeEntry = {
  node: 2 ** 33 + 7,
  validMs: 1250,
  attributes: {
    kind: 'file',
    inode: 2 ** 50 + 1,
    size: 2 ** 40 + 1,
    blocks: 2 ** 31 + 1,
    permissions: 0o444,
    uid: 10,
    gid: 11,
    links: 1,
    modifiedMs: 1_700_000_000_500,
  },
};
const directory: NodeEntry = { ...entry, attributes: { ...entry.attributes, kind: 'directory' } };

const HOUR_S = 3600;

/** `struct fuse_attr` of `entry`, 88 bytes. */
function attr(mode: number): Buffer {
  return packed(
    ['u64', 2 ** 50 + 1],
    ['u64', 2 ** 40 + 1],
    ['u64', 2 ** 31 + 1],
    ['u64', 1_700_000_000],
    ['u64', 1_700_000_000],
    ['u64', 1_700_000_000],
    ['u32', 500_000_000],
    ['u32', 500_000_000],
    ['u32', 500_000_000],
    ['u32', mode],
    ['u32', 1],
    ['u32', 10],
    ['u32', 11],
    ['u32', 0],
    ['u32', 131_072],
    ['u32', 0],
  );
}

/** `struct fuse_entry_out`, 128 bytes. */
const entryOut = packed(
  ['u64', 2 ** 33 + 7],
  ['u64', 0],
  ['u64', 1],
  ['u64', HOUR_S],
  ['u32', 250_000_000],
  ['u32', 0],
  attr(0o100444),
);

/** A buffer full of what earlier replies left. */
function replies(bytes = 4096): FuseReplies {
  return new FuseReplies(Buffer.alloc(bytes, 0xaa));
}

function told(encode: (target: FuseReplies) => number): Buffer {
  const target = replies();
  return target.bytes.subarray(0, encode(target));
}

t.test('bodies of a fixed size', async (t) => {
  t.strictSame(
    told((target) => target.entry(entry)),
    entryOut,
  );
  t.equal(entryOut.length, 128);
  const attrOut = (mode: number) => packed(['u64', HOUR_S], ['u32', 0], ['u32', 0], attr(mode));
  t.strictSame(
    told((target) => target.attributes(entry)),
    attrOut(0o100444),
  );
  t.strictSame(
    told((target) => target.attributes(directory)),
    attrOut(0o040444),
  );
  t.equal(attrOut(0).length, 104);
  const open = packed(['u64', 2 ** 31], ['u32', 34], ['u32', 0]);
  t.strictSame(
    told((target) => target.open(2 ** 31, 34)),
    open,
  );
  t.strictSame(
    told((target) => target.lseek(2 ** 40)),
    packed(['u64', 2 ** 40]),
  );
  const statfs = {
    blockBytes: 2 ** 20,
    blocks: 2 ** 30,
    blocksFree: 3,
    files: 2 ** 32 - 1,
    nameBytesMax: 255,
  };
  const kstatfs = packed(
    ['u64', 2 ** 30],
    ['u64', 3],
    ['u64', 3],
    ['u64', 2 ** 32 - 1],
    ['u64', 0],
    ['u32', 2 ** 20],
    ['u32', 255],
    ['u32', 2 ** 20],
    Buffer.alloc(4 + 24),
  );
  t.strictSame(
    told((target) => target.statfs(statfs)),
    kstatfs,
  );
  t.equal(kstatfs.length, 80);
});

t.test('times before 1970 and validity of no time', async (t) => {
  const { attributes } = entry;
  const bytes = told((target) =>
    target.entry({ ...entry, validMs: 0, attributes: { ...attributes, modifiedMs: -1500 } }),
  );
  t.equal(bytes.readBigUInt64LE(16), 0n);
  t.equal(bytes.readBigInt64LE(40 + 32), -2n);
  t.equal(bytes.readUInt32LE(40 + 52), 500_000_000);
});

/** `struct fuse_dirent` and its padding. */
function dirent(name: string, next: number, type: number, padding: number): Buffer {
  const bytes = Buffer.from(name);
  const head = packed(['u64', 9], ['u64', next], ['u32', bytes.length], ['u32', type]);
  return packed(head, bytes, Buffer.alloc(padding));
}

t.test('directory entries are padded to 8 bytes, and put only when they fit', async (t) => {
  const target = replies();
  const put = (at: number, end: number, name: string, kind: 'file' | 'directory', next: number) =>
    target.directoryEntry(at, end, { name, inode: 9, kind }, next);
  t.equal(put(0, 4096, 'abc', 'file', 1), 32);
  t.equal(put(32, 4096, '漢字xy', 'directory', 2), 64, 'a name of 8 bytes has no padding');
  t.strictSame(
    target.bytes.subarray(0, 64),
    Buffer.concat([dirent('abc', 1, 8, 5), dirent('漢字xy', 2, 4, 0)]),
  );
  t.equal(put(64, 95, 'abc', 'file', 3), undefined, 'one byte short');
  t.equal(target.bytes[64], 0xaa, 'nothing was put');
  t.equal(put(64, 96, 'abc', 'file', 3), 96);
});

t.test('with attributes: told ones carry the entry, others nothing but the name', async (t) => {
  const target = replies();
  const listed = { name: 'abc', inode: 9, kind: 'file' } as const;
  t.equal(
    target.directoryEntryPlus(0, 4096, listed, 1, () => entry),
    160,
  );
  t.strictSame(target.bytes.subarray(0, 160), Buffer.concat([entryOut, dirent('abc', 1, 8, 5)]));
  t.equal(
    target.directoryEntryPlus(160, 4096, listed, 2, () => undefined),
    320,
  );
  t.strictSame(target.bytes.subarray(160, 320), Buffer.concat([Buffer.alloc(128), dirent('abc', 2, 8, 5)]));
  const mustNotLookUp = (): undefined => void t.fail('looked up an entry that does not fit');
  t.equal(target.directoryEntryPlus(320, 479, listed, 3, mustNotLookUp), undefined);
});
