/**
 * The checksums of one object's blocks, in memory that threads share, or a mapped file: CRC32C of each block, and the CRC that
 * the object itself has, when it has one, of which the blocks' give the whole object's. Written by block-checksummer.ts.
 *
 * Promises: a value is there before its known bit says so, and is not written again unless it was forgotten: bits are
 * only ever set, but by `forget` and `forgetOwn`. Blocks are of `BLOCK_BYTES`, the last of what is left; an empty object
 * has none.
 *
 * Layout (little endian): 0 int64 size · 8 int32 the object's own kind (index in OWN_KINDS) · 64 own CRCs, uint64 per
 * block · CRC32Cs, uint32 per block · known bits of the own CRCs · known bits of the CRC32Cs, block b in bit b % 32 of
 * 32-bit word b / 32.
 */
import { assert } from './assert.js';
import { CrcJoiner } from './crc.js';
import type { CrcKind } from './crc.js';
import type { ByteRange } from './range.js';

/**
 * What is fetched again when a block is bad, and at least what a part must hold to be summed on the way: parts are
 * multiples of it. 12 bytes of checksums per block are 12 KiB per GiB, beside 32 KiB of the availability.
 */
export const BLOCK_BYTES = 1024 * 1024;

const HEADER_BYTES = 64;
const OWN_KINDS: readonly (CrcKind | undefined)[] = [undefined, 'crc32', 'crc32c', 'crc64nvme'];

export class BlockChecksums {
  /** The memory itself, shared with other threads, or a mapped file. */
  readonly memory: Uint8Array;
  /** Bytes of the object. */
  readonly size: number;
  readonly blocks: number;
  readonly #kind: Int32Array;
  readonly #own: BigUint64Array;
  readonly #crc32c: Uint32Array;
  readonly #ownKnown: Int32Array;
  readonly #crc32cKnown: Int32Array;

  private constructor(memory: Uint8Array) {
    const { buffer, byteOffset } = memory;
    this.memory = memory;
    this.size = Number(new BigInt64Array(buffer, byteOffset, 1)[0]);
    this.blocks = Math.ceil(this.size / BLOCK_BYTES);
    const words = Math.ceil(this.blocks / 32);
    const crc32cAt = byteOffset + HEADER_BYTES + this.blocks * 8;
    const knownAt = crc32cAt + this.blocks * 4;
    this.#kind = new Int32Array(buffer, byteOffset + 8, 1);
    this.#own = new BigUint64Array(buffer, byteOffset + HEADER_BYTES, this.blocks);
    this.#crc32c = new Uint32Array(buffer, crc32cAt, this.blocks);
    this.#ownKnown = new Int32Array(buffer, knownAt, words);
    this.#crc32cKnown = new Int32Array(buffer, knownAt + words * 4, words);
  }

  /** In memory that threads share, which is taken from the machine as blocks become known. */
  static create(size: number): BlockChecksums {
    return BlockChecksums.begin(new Uint8Array(new SharedArrayBuffer(BlockChecksums.bytesFor(size))), size);
  }

  /** How much memory an object of so many bytes needs. */
  static bytesFor(size: number): number {
    assert(Number.isSafeInteger(size) && size >= 0, `object size ${size} is not a safe integer`);
    const blocks = Math.ceil(size / BLOCK_BYTES);
    return HEADER_BYTES + blocks * 12 + Math.ceil(blocks / 32) * 8;
  }

  /** New ones in memory of zeros, 8-byte aligned and of `bytesFor` the size. */
  static begin(memory: Uint8Array, size: number): BlockChecksums {
    assert(memory.byteLength === BlockChecksums.bytesFor(size), `${memory.byteLength} bytes of memory`);
    new BigInt64Array(memory.buffer, memory.byteOffset, 1)[0] = BigInt(size);
    return new BlockChecksums(memory);
  }

  /** The same checksums, seen from another thread or process. @throws when the memory holds none */
  static attach(memory: Uint8Array): BlockChecksums {
    assert(memory.byteLength >= HEADER_BYTES, `${memory.byteLength} bytes of memory`);
    const [size] = new BigInt64Array(memory.buffer, memory.byteOffset, 1);
    assert(BlockChecksums.holds(memory, Number(size)), 'memory of checksums');
    return new BlockChecksums(memory);
  }

  /** The memory was begun as that of an object of this size. */
  static holds(memory: Uint8Array, size: number): boolean {
    if (memory.byteLength < HEADER_BYTES) return false;
    const header = new DataView(memory.buffer, memory.byteOffset, HEADER_BYTES);
    return (
      header.getBigInt64(0, true) === BigInt(size) &&
      header.getInt32(8, true) >>> 0 < OWN_KINDS.length &&
      memory.byteLength === BlockChecksums.bytesFor(size)
    );
  }

  /** Which CRC the object itself has; undefined as long as none is known. Any thread may see it later than another. */
  get kind(): CrcKind | undefined {
    return OWN_KINDS[Atomics.load(this.#kind, 0)];
  }

  /** Blocks that begin from now on are summed with this kind as well. Told once. */
  expectKind(kind: CrcKind): void {
    const before = Atomics.compareExchange(this.#kind, 0, 0, OWN_KINDS.indexOf(kind));
    assert(before === 0 || OWN_KINDS[before] === kind, `an object with ${OWN_KINDS[before]} and ${kind}`);
  }

  blockRange(block: number): ByteRange {
    assert(block >= 0 && block < this.blocks, `block ${block} of ${this.blocks}`);
    return { start: block * BLOCK_BYTES, end: Math.min((block + 1) * BLOCK_BYTES, this.size) };
  }

  /** @param own of `kind`, when it is computed apart from `crc32c`. The first to record a block is right. */
  record(block: number, crc32c: number, own: bigint | undefined): void {
    if (!isSet(this.#crc32cKnown, block)) {
      Atomics.store(this.#crc32c, block, crc32c);
      set(this.#crc32cKnown, block);
    }
    if (own === undefined || isSet(this.#ownKnown, block)) return;
    Atomics.store(this.#own, block, own);
    set(this.#ownKnown, block);
  }

  /** The block's bytes are others than were summed: whoever brings it next sums it anew. */
  forget(block: number): void {
    clear(this.#crc32cKnown, block);
    clear(this.#ownKnown, block);
  }

  /** The kind of the object's own CRC, and these CRCs of all blocks, are not to be relied on. Nobody may record meanwhile. */
  forgetOwn(): void {
    for (let word = 0; word < this.#ownKnown.length; word++) Atomics.store(this.#ownKnown, word, 0);
    Atomics.store(this.#kind, 0, 0);
  }

  /** The CRC32C of a block, when it is known. */
  crc32c(block: number): number | undefined {
    return isSet(this.#crc32cKnown, block) ? Atomics.load(this.#crc32c, block) : undefined;
  }

  /** Everything that is asked of the block is known. */
  isKnown(block: number): boolean {
    if (!isSet(this.#crc32cKnown, block)) return false;
    const { kind } = this;
    return kind === undefined || kind === 'crc32c' || isSet(this.#ownKnown, block);
  }

  /** Blocks of which something is not known, in order. */
  missingBlocks(): number[] {
    const missing: number[] = [];
    for (let block = 0; block < this.blocks; block++) if (!this.isKnown(block)) missing.push(block);
    return missing;
  }

  /** The CRC of the whole object; undefined while it is not known of every block. About 1 ms per GiB. */
  combined(kind: CrcKind): bigint | undefined {
    if (kind !== 'crc32c' && kind !== this.kind) return undefined;
    const last = this.blocks - 1;
    if (last === 0) return this.#value(kind, 0);
    let whole = 0n;
    const joiner = new CrcJoiner(kind, BLOCK_BYTES);
    for (let block = 0; block <= last; block++) {
      const value = this.#value(kind, block);
      if (value === undefined) return undefined;
      const bytes = block < last ? BLOCK_BYTES : this.size - last * BLOCK_BYTES;
      whole = bytes === BLOCK_BYTES ? joiner.join(whole, value) : joiner.joinLast(whole, value, bytes);
    }
    return whole;
  }

  #value(kind: CrcKind, block: number): bigint | undefined {
    if (kind !== 'crc32c') return isSet(this.#ownKnown, block) ? Atomics.load(this.#own, block) : undefined;
    const value = this.crc32c(block);
    return value === undefined ? undefined : BigInt(value);
  }
}

function isSet(words: Int32Array, bit: number): boolean {
  return (Atomics.load(words, bit >>> 5) & (1 << (bit & 31))) !== 0;
}

function set(words: Int32Array, bit: number): void {
  Atomics.or(words, bit >>> 5, 1 << (bit & 31));
}

function clear(words: Int32Array, bit: number): void {
  Atomics.and(words, bit >>> 5, ~(1 << (bit & 31)));
}
