/**
 * zip, as PyTorch (.pth, .pt) and NumPy (.npz) save: members one behind the other, a directory of them at the end.
 * Every reader of a zip begins at the tail, so tail and directory come first. What the directory lists then tells
 * whether this is a file that is loaded as a whole; other archives are read a member here and there.
 *
 * PyTorch reads `NAME/data.pkl`, which stands before the rest, then the storages `NAME/data/0`, `1`… in the order of
 * the file. NumPy reads each member `*.npy`, in that order too when it is asked for all.
 */
import type { ByteRange } from '../runtime/range.js';
import type { LoadPlan } from './load-plan.js';
import { HEAD_BYTES, isEmpty, LOOK_BYTES_MAX, viewOf } from './parser.js';
import type { FormatParser } from './parser.js';
import { findDirectory, readDirectory } from './zip-directory.js';
import type { ZipMember } from './zip-directory.js';

/** `PK\3\4` of the first member's local header. */
const LOCAL_SIGNATURE = 0x04034b50;
/**
 * The end record with the longest comment has 65,557 bytes and its zip64 forms 76 more. Twice that costs no round trip
 * more, is one largest request of most kernels, and holds the directories of nearly all models, at about 80 bytes for
 * each of their storages.
 */
const TAIL_BYTES = 128 * 1024;
/** Some 200,000 members. */
const DIRECTORY_BYTES_MAX = LOOK_BYTES_MAX - TAIL_BYTES - HEAD_BYTES;
/** What stands before the storages is fetched ahead of them up to this: pickles have 100 bytes for each storage. */
const PICKLE_BYTES_MAX = 4 * 1024 * 1024;

export function* parseZip(head: Uint8Array, size: number): FormatParser {
  if (head.length < 4 || viewOf(head).getUint32(0, true) !== LOCAL_SIGNATURE) return undefined;
  const tail = { start: Math.max(0, size - TAIL_BYTES), end: size };
  const tailBytes = yield { wants: tail, plan: planOf([tail], size) };

  const directory = findDirectory(tailBytes, size);
  if (!directory) return undefined;
  if (directory.end - directory.start > DIRECTORY_BYTES_MAX) return planOf([tail], size);
  const rest = { start: directory.start, end: Math.min(directory.end, tail.start) };
  const first = isEmpty(rest) ? [tail] : [tail, rest];
  const pieces: Uint8Array[] = [];
  if (!isEmpty(rest)) pieces.push(yield { wants: rest, plan: planOf(first, size) });
  pieces.push(within(tailBytes, tail.start, directory));

  const members = readDirectory(Buffer.concat(pieces));
  if (!members) return undefined;
  const dataStart = findDataStart(members);
  if (dataStart === undefined || dataStart > directory.start) return planOf(first, size);
  const pickle = { start: head.length, end: Math.min(dataStart, tail.start, head.length + PICKLE_BYTES_MAX) };
  return planOf(isEmpty(pickle) ? first : [...first, pickle], dataStart);
}

function planOf(first: readonly ByteRange[], dataStart: number): LoadPlan {
  return { format: 'zip', first, dataStart };
}

/** What of `range` lies in `bytes`, which begin at `start` of the object. */
function within(bytes: Uint8Array, start: number, range: ByteRange): Uint8Array {
  return bytes.subarray(Math.max(0, range.start - start), Math.max(0, range.end - start));
}

/**
 * From where on reading is loading: undefined when the archive is neither PyTorch's nor NumPy's. Whoever only asks what
 * a file is reads its first page, so that page is never part of it.
 */
function findDataStart(members: readonly ZipMember[]): number | undefined {
  if (members.length === 0) return undefined;
  if (members.every(({ name }) => name.endsWith('.npy'))) return HEAD_BYTES;
  const root = members.map(({ name }) => /^([^/]+)\/data\.pkl$/.exec(name)?.[1]).find(Boolean);
  const storage =
    root === undefined ? undefined : members.find(({ name }) => name.startsWith(`${root}/data/`));
  return storage && Math.max(HEAD_BYTES, storage.start);
}
