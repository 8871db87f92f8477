/**
 * How keys become names: pure rules, used for listings (key → name) and for lookups (name → key).
 *
 * A key is visible when every part of it below the mounted prefix is a name that a file can have; else it and what
 * lies below it is hidden. A trailing `/` makes a key the marker of a directory, whatever its size. Names are shown
 * byte for byte: control characters and every Unicode form are kept, so NFC and NFD spellings are two names.
 */

/** What POSIX systems allow for one name. */
export const NAME_BYTES_MAX = 255;
/** What S3 allows for one key; longer ones cannot exist and are never asked for. */
export const KEY_BYTES_MAX = 1024;

export type Platform = 'linux' | 'darwin';

/** Why a key is not shown. */
export type HiddenReason =
  /** `a//b`, or a leading `/`. */
  | 'empty_part'
  /** A part is `.` or `..`. */
  | 'dot_part'
  | 'nul'
  | 'name_too_long'
  /** A lone surrogate: not Unicode, hence no UTF-8. */
  | 'not_unicode'
  /** A name that the kernel or the desktop makes up for itself; it never reaches the object store. */
  | 'reserved'
  /** Key `x` beside keys `x/…`: the directory wins. */
  | 'shadowed';

/** FUSE's own name for files that were unlinked while open. */
const RESERVED_ON_ALL = /^\.fuse_hidden/;
/** What Finder and Spotlight ask for in every directory: answering from here saves two requests each time. */
const RESERVED_ON_DARWIN =
  /^(?:\._.*|\.DS_Store|\.Spotlight-V100|\.Trashes|\.fseventsd|\.TemporaryItems|\.VolumeIcon\.icns|\.metadata_never_index.*|\.localized|\.hidden)$/s;

/** Undefined when `name` can be shown as one name of a directory. */
export function nameProblem(name: string, platform: Platform): HiddenReason | undefined {
  if (name === '') return 'empty_part';
  if (name === '.' || name === '..') return 'dot_part';
  if (name.includes('\0')) return 'nul';
  if (!fitsBytes(name, NAME_BYTES_MAX)) return 'name_too_long';
  if (/\p{Surrogate}/u.test(name)) return 'not_unicode';
  if (RESERVED_ON_ALL.test(name)) return 'reserved';
  if (platform === 'darwin' && RESERVED_ON_DARWIN.test(name)) return 'reserved';
  return undefined;
}

/** True when `text` has at most `bytesMax` bytes as UTF-8. */
export function fitsBytes(text: string, bytesMax: number): boolean {
  if (text.length > bytesMax) return false;
  return text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax;
}

/** The path of `name` in the directory `path`; paths have no slash at either end, the root is ''. */
export function childPath(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`;
}

/** The directory that `path`, which is not the root, lies in. */
export function parentPath(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** What the keys of a directory's entries start with; `prefix` is the mounted one. */
export function directoryPrefix(prefix: string, path: string): string {
  return path === '' ? prefix : `${prefix}${path}/`;
}

/** Orders names by their UTF-8 bytes, which is by code points. JavaScript's `<` orders by UTF-16 units. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return codePointRank(left) - codePointRank(right);
  }
  return a.length - b.length;
}

/** Moves surrogates (halves of code points beyond U+FFFF) behind U+E000…U+FFFF, where UTF-8 has them. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
