/**
 * Where a zip archive keeps what: the end record at the tail, its zip64 form, and the central directory. Pure readers
 * for zip.ts; undefined is their answer to whatever does not fit together.
 * https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (the numbers of its sections are given below).
 */
import type { ByteRange } from '../runtime/range.js';
import { readUint64, viewOf } from './parser.js';

/** A file in the archive. */
export interface ZipMember {
  readonly name: string;
  /** Of its local header, which its bytes follow. */
  readonly start: number;
}

const END_SIGNATURE = 0x06054b50;
/** Without the comment. 4.3.16 */
const END_BYTES = 22;
const ZIP64_LOCATOR_SIGNATURE = 0x07064b50;
/** 4.3.15 */
const ZIP64_LOCATOR_BYTES = 20;
const ZIP64_END_SIGNATURE = 0x06064b50;
/** Without extensible data. 4.3.14 */
const ZIP64_END_BYTES = 56;
const ENTRY_SIGNATURE = 0x02014b50;
/** Without name, extra fields and comment. 4.3.12 */
const ENTRY_BYTES = 46;
/** Extra field with the 64-bit forms of those fields of the entry that are all ones. 4.5.3 */
const ZIP64_EXTRA_ID = 1;
const ALL_ONES = 0xffff_ffff;

/** The place of the central directory, from the last bytes of an archive of `size` bytes. */
export function findDirectory(tail: Uint8Array, size: number): ByteRange | undefined {
  const view = viewOf(tail);
  const tailStart = size - tail.length;
  const endAt = findEnd(view);
  if (endAt === undefined) return undefined;
  const bytes = view.getUint32(endAt + 12, true);
  const start = view.getUint32(endAt + 16, true);
  if (bytes !== ALL_ONES && start !== ALL_ONES) return placeBefore(tailStart + endAt, start, bytes);
  return findDirectory64(view, tailStart, endAt - ZIP64_LOCATOR_BYTES);
}

/** The members that a central directory lists, in the order of their places; an entry that is cut off is no entry. */
export function readDirectory(directory: Uint8Array): ZipMember[] | undefined {
  const view = viewOf(directory);
  const members: ZipMember[] = [];
  for (let at = 0; at < directory.length;) {
    if (at + ENTRY_BYTES > directory.length || view.getUint32(at, true) !== ENTRY_SIGNATURE) return undefined;
    const nameEnd = at + ENTRY_BYTES + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const end = extraEnd + view.getUint16(at + 32, true);
    if (end > directory.length) return undefined;
    const start = memberStart(view, at, nameEnd, extraEnd);
    if (start === undefined) return undefined;
    const name = Buffer.from(directory.subarray(at + ENTRY_BYTES, nameEnd)).toString('utf8');
    members.push({ name, start });
    at = end;
  }
  return members.sort((a, b) => a.start - b.start);
}

/** The last end record whose comment reaches exactly to the end. */
function findEnd(view: DataView): number | undefined {
  for (let at = view.byteLength - END_BYTES; at >= 0; at--) {
    if (view.getUint32(at, true) !== END_SIGNATURE) continue;
    if (at + END_BYTES + view.getUint16(at + 20, true) === view.byteLength) return at;
  }
  return undefined;
}

function findDirectory64(view: DataView, tailStart: number, locatorAt: number): ByteRange | undefined {
  if (locatorAt < 0 || view.getUint32(locatorAt, true) !== ZIP64_LOCATOR_SIGNATURE) return undefined;
  const at = readUint64(view, locatorAt + 8) - tailStart;
  if (at < 0 || at + ZIP64_END_BYTES > locatorAt) return undefined;
  if (view.getUint32(at, true) !== ZIP64_END_SIGNATURE) return undefined;
  return placeBefore(tailStart + at, readUint64(view, at + 48), readUint64(view, at + 40));
}

function placeBefore(limit: number, start: number, bytes: number): ByteRange | undefined {
  return start + bytes <= limit ? { start, end: start + bytes } : undefined;
}

function memberStart(view: DataView, at: number, extraStart: number, extraEnd: number): number | undefined {
  const start = view.getUint32(at + 42, true);
  if (start !== ALL_ONES) return start;
  for (let field = extraStart; field + 4 <= extraEnd;) {
    const fieldEnd = field + 4 + view.getUint16(field + 2, true);
    if (view.getUint16(field, true) === ZIP64_EXTRA_ID) {
      // Before the place stand the two sizes, each only where the entry has all ones for it.
      const sizes = [at + 20, at + 24].filter((size) => view.getUint32(size, true) === ALL_ONES);
      const place = field + 4 + 8 * sizes.length;
      return place + 8 <= Math.min(fieldEnd, extraEnd) ? readUint64(view, place) : undefined;
    }
    field = fieldEnd;
  }
  return undefined;
}
