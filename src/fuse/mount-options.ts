/**
 * The mount options of each driver, as one string for who mounts: libfuse 2, fusermount3, or the kernel. Pure.
 * Everything that comes from outside is encoded: a comma or backslash in a prefix must not become a mount option.
 */
import type { Platform } from '../filesystem/keys.js';
import type { SessionOptions } from './session.js';

/** fuse-native cuts the whole string at 1023 bytes without a word: the source is the only part that can be long. */
const SOURCE_BYTES_MAX = 512;

/** The kernel cannot be told of changes through this driver: it forgets by itself after at most so long. */
const KERNEL_TTL_MS_MAX = 1_000;

export function portableMountOptions(
  { source, allowOther, metadataTtlMs }: SessionOptions,
  platform: Platform,
): string {
  const ttlS = Math.min(metadataTtlMs, KERNEL_TTL_MS_MAX) / 1000;
  const options = [
    // Not `ro`: a replaced object is set apart by a rename, see version-split.ts. Sluice refuses all else itself.
    'nosuid',
    'nodev',
    ...accessOptions(allowOther),
    // Our inode numbers instead of libfuse's counter.
    'use_ino',
    `entry_timeout=${ttlS}`,
    // Sluice remembers absent names itself and knows when they may have come into being.
    'negative_timeout=0',
    `attr_timeout=${ttlS}`,
    `fsname=${encodeSource(source)}`,
    ...(platform === 'darwin' ? darwinOptions(source) : ['subtype=sluice']),
  ];
  return options.join(',');
}

/** Who may do what is for the kernel to check when others see the mount. */
function accessOptions(allowOther: boolean): string[] {
  return allowOther ? ['allow_other', 'default_permissions'] : [];
}

/** For mount(2), beside the descriptor and `nosuid,nodev`, which the addon adds. */
export function kernelMountOptions(
  { allowOther }: Pick<SessionOptions, 'allowOther'>,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): string {
  return ['rootmode=40000', `user_id=${uid}`, `group_id=${gid}`, ...accessOptions(allowOther)].join(',');
}

/** For fusermount3 as an ordinary user; it adds the descriptor and who the user is. */
export function fusermountOptions({
  source,
  allowOther,
}: Pick<SessionOptions, 'source' | 'allowOther'>): string {
  const name = [`fsname=${encodeSource(source)}`, 'subtype=sluice'];
  return ['nosuid', 'nodev', ...name, ...accessOptions(allowOther)].join(',');
}

function darwinOptions(source: string): string[] {
  const name = source.replace(/\/+$/, '').split('/').at(-1) ?? '';
  return [
    `volname=${encodeSource(name)}`,
    // No ._ files and no Finder attributes: the mount is read-only.
    'noappledouble',
    'noapplexattr',
    // macFUSE ends the mount when one request takes longer; reads have a deadline of their own.
    'daemon_timeout=600',
  ];
}

/** Shown in mount tables: percent-encoded where it is not plain, and cut when long. */
export function encodeSource(source: string): string {
  let encoded = '';
  let bytes = 0;
  for (const character of source) {
    const next = /^[\p{L}\p{N}/:._~@+=-]$/u.test(character) ? character : percentEncode(character);
    bytes += Buffer.byteLength(next);
    if (bytes > SOURCE_BYTES_MAX) return `${encoded}...`;
    encoded += next;
  }
  return encoded;
}

function percentEncode(character: string): string {
  return Array.from(
    Buffer.from(character),
    (byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`,
  ).join('');
}
