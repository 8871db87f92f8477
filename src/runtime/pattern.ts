/**
 * Self-identifying bytes: byte = f(seed, offset). The embedded server serves synthetic objects made of them and
 * tests check what they read against them, so that a wrong byte tells where it came from.
 *
 * The 32-bit little-endian word at index i (offset 4 i) is the finalizer of MurmurHash3 over i and the seed; the
 * high part of the index (objects over 16 GiB) is folded into the seed.
 */

const HALF = 4294967296;
const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

function salt(seed: number, index: number): number {
  return Math.imul(seed + Math.floor(index / HALF), 0x9e3779b1);
}

/** A signed 32-bit number: an unsigned one costs engines more. */
function finalize(mixed: number): number {
  let h = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function word(seed: number, index: number): number {
  return finalize((index >>> 0) ^ salt(seed, index)) >>> 0;
}

/** Fills `target` with the bytes of pattern `seed` from `offset` (any integer ≥ 0) on. Returns `target`. */
export function fillPattern(target: Uint8Array, seed: number, offset: number): Uint8Array {
  let at = 0;
  while (at < target.length && (offset + at) % 4 !== 0) target[at] = patternByte(seed, offset + at++);
  const words = Math.floor((target.length - at) / 4);
  fillWords(target.subarray(at, at + words * 4), seed, Math.floor((offset + at) / 4));
  at += words * 4;
  while (at < target.length) target[at] = patternByte(seed, offset + at++);
  return target;
}

function fillWords(target: Uint8Array, seed: number, index: number): void {
  const { buffer, byteOffset, length } = target;
  const count = length / 4;
  const isOneSalt = salt(seed, index) === salt(seed, index + Math.max(0, count - 1));
  if (byteOffset % 4 !== 0 || !IS_LITTLE_ENDIAN || !isOneSalt) {
    const view = new DataView(buffer, byteOffset, length);
    for (let i = 0; i < count; i += 1) view.setUint32(i * 4, word(seed, index + i), true);
    return;
  }
  // Four times as fast, which is what a server of synthetic objects spends most of its time on.
  const words = new Uint32Array(buffer, byteOffset, count);
  const salted = salt(seed, index);
  const low = index >>> 0;
  for (let i = 0; i < count; i += 1) words[i] = finalize((low + i) ^ salted);
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
