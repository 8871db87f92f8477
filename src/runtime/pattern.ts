/**
 * Self-identifying bytes: byte = f(seed, offset). The embedded server serves synthetic objects made of them and
 * tests check what they read against them, so that a wrong byte tells where it came from.
 *
 * The 32-bit little-endian word at index i (offset 4 i) is the finalizer of MurmurHash3 over i and the seed; the
 * high part of the index (objects over 16 GiB) is folded into the seed.
 */

function word(seed: number, index: number): number {
  const high = Math.floor(index / 4294967296);
  let h = (index >>> 0) ^ Math.imul(seed + high, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Fills `target` with the bytes of pattern `seed` from `offset` (any integer ≥ 0) on. Returns `target`. */
export function fillPattern(target: Uint8Array, seed: number, offset: number): Uint8Array {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  let at = 0;
  while (at < target.length && (offset + at) % 4 !== 0) target[at] = patternByte(seed, offset + at++);
  let index = Math.floor((offset + at) / 4);
  for (; at + 4 <= target.length; at += 4) view.setUint32(at, word(seed, index++), true);
  while (at < target.length) target[at] = patternByte(seed, offset + at++);
  return target;
}

/** The byte at `offset` of pattern `seed`. */
export function patternByte(seed: number, offset: number): number {
  return (word(seed, Math.floor(offset / 4)) >>> ((offset % 4) * 8)) & 0xff;
}

/** The offset (in the object) of the first byte of `bytes` that is not the pattern's, or -1 when all are right. */
export function findPatternMismatch(bytes: Uint8Array, seed: number, offset: number): number {
  const expected = fillPattern(new Uint8Array(bytes.length), seed, offset);
  if (Buffer.compare(bytes, expected) === 0) return -1;
  return offset + bytes.findIndex((byte, at) => byte !== expected[at]);
}
