/**
 * Which bytes of one object version are in its local file: a counter of the gap-free prefix, a bitmap of arrived
 * pages, and statistics, in memory that any thread may look at without a lock, the native session among them
 * (native/availability.h), and other processes where it is a mapped file.
 *
 * Promise: whatever `has` calls available was written before, and stays available, but for `clear`. Writers call
 * `publish` *after* their write returned; JavaScript's Atomics are sequentially consistent, which covers release on
 * publishing and acquire on reading. Any number of threads may publish at once, and clear other pages meanwhile.
 *
 * Who clears takes bytes out of the file only afterwards, and nobody writes into the cleared pages until that is done.
 * So a reader of a file that may be cleared loads `generation`, asks `has`, reads, and loads `generation` again: bytes
 * that were taken away while it read are seen by that, and it begins anew.
 *
 * Layout (little endian): 0 uint64 contiguousBytes in the lower 48 bits, how often was cleared above them · 8 int64
 * arrivedBytes · 16 int64 size · 24 int32 log2 of the page size · 28 int32 generation · 64 the bitmap, one bit per page,
 * page p in bit p % 32 of 32-bit word p / 32.
 */
import { assert } from './assert.js';
import type { ByteRange } from './range.js';

const HEADER_BYTES = 64;
/** The kernel's page, the smallest unit in which mmap asks. */
const PAGE_BYTES_LOG2_MIN = 12;
/** 16 Mi bits = 2 MiB of bitmap, reached by 64 GiB of 4 KiB pages; larger objects get larger pages. */
const PAGES_MAX = 1 << 24;
/** 256 TiB, five times what S3 stores: the prefix has 48 bits. */
const SIZE_MAX = 2 ** 48 - 1;
/**
 * Added to the prefix's word by each clear, so that a publisher which looked at the bits before it cannot set the prefix
 * after it. One that is held up between the two for exactly 65536 clears could.
 */
const CLEARED_ONCE = 1n << 48n;

/** Indices of three 64-bit words, and of two of 32 bits. */
const PREFIX = 0;
const ARRIVED = 1;
const SIZE = 2;
const PAGE_BYTES_LOG2 = 6;
const GENERATION = 7;

export class Availability {
  /** The memory itself, shared with other threads, or a mapped file. */
  readonly memory: Uint8Array;
  /** Bytes of the object. */
  readonly size: number;
  /** Unit of the bitmap: 4096, or a larger power of two for objects beyond 64 GiB. */
  readonly pageBytes: number;
  readonly #counters: BigInt64Array;
  readonly #header: Int32Array;
  readonly #words: Int32Array;

  private constructor(memory: Uint8Array) {
    const { buffer, byteOffset, byteLength } = memory;
    this.memory = memory;
    this.#counters = new BigInt64Array(buffer, byteOffset, 3);
    this.#header = new Int32Array(buffer, byteOffset, HEADER_BYTES / 4);
    this.#words = new Int32Array(buffer, byteOffset + HEADER_BYTES, (byteLength - HEADER_BYTES) / 4);
    this.size = Number(this.#counters[SIZE]);
    this.pageBytes = 2 ** (this.#header[PAGE_BYTES_LOG2] ?? 0);
  }

  /** In memory that threads share. @param size bytes of the object, up to 256 TiB. */
  static create(size: number): Availability {
    return Availability.begin(new Uint8Array(new SharedArrayBuffer(Availability.bytesFor(size))), size);
  }

  /** How much memory an object of this size needs; a multiple of 4. */
  static bytesFor(size: number): number {
    assert(Number.isSafeInteger(size) && size >= 0 && size <= SIZE_MAX, `${size} is no size of an object`);
    return HEADER_BYTES + Math.ceil(Math.ceil(size / 2 ** pageBytesLog2For(size)) / 32) * 4;
  }

  /** A new one in memory of zeros, 8-byte aligned and of `bytesFor` the size. */
  static begin(memory: Uint8Array, size: number): Availability {
    assert(memory.byteLength === Availability.bytesFor(size), `${memory.byteLength} bytes of memory`);
    new BigInt64Array(memory.buffer, memory.byteOffset, 3)[SIZE] = BigInt(size);
    new Int32Array(memory.buffer, memory.byteOffset, 7)[PAGE_BYTES_LOG2] = pageBytesLog2For(size);
    return new Availability(memory);
  }

  /** The same availability, seen from another thread or process. @throws when the memory is no availability */
  static attach(memory: Uint8Array): Availability {
    assert(memory.byteLength >= HEADER_BYTES, `${memory.byteLength} bytes of memory`);
    const [, , size] = new BigInt64Array(memory.buffer, memory.byteOffset, 3);
    assert(Availability.holds(memory, Number(size)), 'memory of an availability');
    return new Availability(memory);
  }

  /** The memory was begun as that of an object of this size; whether it tells the truth is another question. */
  static holds(memory: Uint8Array, size: number): boolean {
    if (memory.byteLength < HEADER_BYTES) return false;
    const header = new DataView(memory.buffer, memory.byteOffset, HEADER_BYTES);
    return (
      size <= SIZE_MAX &&
      header.getBigInt64(SIZE * 8, true) === BigInt(size) &&
      header.getInt32(PAGE_BYTES_LOG2 * 4, true) === pageBytesLog2For(size) &&
      memory.byteLength === Availability.bytesFor(size)
    );
  }

  /** Length of the gap-free prefix from 0: the only counter a reader may trust. */
  get contiguousBytes(): number {
    return bytesOf(Atomics.load(this.#counters, PREFIX));
  }

  /** Bytes in arrived pages, in any order; for statistics. */
  get arrivedBytes(): number {
    // Who clears a page just after its bit was set may count it before the publisher does.
    return Math.max(0, Number(Atomics.load(this.#counters, ARRIVED)));
  }

  /** Another number after each `clear`; see the head for who has to look at it. */
  get generation(): number {
    return Atomics.load(this.#header, GENERATION);
  }

  get complete(): boolean {
    return this.contiguousBytes === this.size;
  }

  /** True when every byte of `[start, end)` is in the file. */
  has({ start, end }: ByteRange): boolean {
    return (
      end <= this.contiguousBytes || this.#firstMissingPage(this.#pageOf(start), this.#pageAfter(end)) === -1
    );
  }

  /** What of `[start, end)` is not there, widened to page boundaries (and cut at the size), in order. */
  missing({ start, end }: ByteRange): ByteRange[] {
    const gaps: ByteRange[] = [];
    // The prefix may end inside a page, whose bit is clear: the counter alone speaks for its bytes.
    const prefix = this.contiguousBytes;
    if (end <= prefix) return gaps;
    const last = this.#pageAfter(Math.min(end, this.size));
    let page = this.#pageOf(Math.max(start, prefix));
    while (page < last) {
      const from = this.#firstMissingPage(page, last);
      if (from === -1) break;
      const to = this.#firstArrivedPage(from, last);
      gaps.push({ start: from * this.pageBytes, end: Math.min(to * this.pageBytes, this.size) });
      page = to;
    }
    return gaps;
  }

  /** The first gap of `[start, end)`, as `missing` would give it; undefined when there is none. */
  firstMissing({ start, end }: ByteRange): ByteRange | undefined {
    const prefix = this.contiguousBytes;
    if (end <= prefix) return undefined;
    const last = this.#pageAfter(Math.min(end, this.size));
    const from = this.#firstMissingPage(this.#pageOf(Math.max(start, prefix)), last);
    if (from === -1) return undefined;
    const to = this.#firstArrivedPage(from, last);
    return { start: from * this.pageBytes, end: Math.min(to * this.pageBytes, this.size) };
  }

  /**
   * Says that every byte of `[start, end)` is in the file now. `start` lies on a page boundary; a page that `end`
   * cuts is not marked until it is whole, but counts for `contiguousBytes`. Returns the bytes newly marked.
   */
  publish({ start, end }: ByteRange): number {
    assert(start % this.pageBytes === 0 && end <= this.size, `publish [${start}, ${end}) is out of place`);
    const firstPage = start / this.pageBytes;
    const endPage = end === this.size ? this.#pageAfter(end) : Math.floor(end / this.pageBytes);
    const added = this.#mark(firstPage, endPage, true);
    this.#advance(start, end);
    return added;
  }

  /**
   * Says that `[start, end)` is about to be taken out of the file; on page boundaries, `end` may be the size. Of a page that
   * the prefix cuts nothing is available afterwards when the prefix was lowered. Returns the bytes that were marked.
   */
  clear({ start, end }: ByteRange): number {
    const isInPlace = start % this.pageBytes === 0 && (end % this.pageBytes === 0 || end === this.size);
    assert(isInPlace && start <= end && end <= this.size, `clear [${start}, ${end}) is out of place`);
    const removed = this.#mark(start / this.pageBytes, this.#pageAfter(end), false);
    for (;;) {
      const seen = Atomics.load(this.#counters, PREFIX);
      const prefix = bytesOf(seen);
      const cleared = seen + CLEARED_ONCE + BigInt(Math.min(prefix, start) - prefix);
      if (Atomics.compareExchange(this.#counters, PREFIX, seen, cleared) === seen) break;
    }
    // Last: who reads this one finds what was cleared missing.
    Atomics.add(this.#header, GENERATION, 1);
    return removed;
  }

  #pageOf(offset: number): number {
    return Math.floor(offset / this.pageBytes);
  }

  #pageAfter(end: number): number {
    return Math.ceil(end / this.pageBytes);
  }

  /** Sets or clears the bits of pages; returns the bytes of those that it changed. */
  #mark(firstPage: number, endPage: number, arrived: boolean): number {
    let bytes = 0;
    for (let page = firstPage; page < endPage;) {
      const word = page >>> 5;
      const upTo = Math.min(endPage, (word + 1) * 32);
      const mask = bits(page & 31, upTo - word * 32);
      const changed = arrived
        ? mask & ~Atomics.or(this.#words, word, mask)
        : mask & Atomics.and(this.#words, word, ~mask);
      bytes += popCount(changed) * this.pageBytes;
      const tail = this.size % this.pageBytes;
      const lastPage = this.#pageAfter(this.size) - 1;
      const lastIsChanged = lastPage >>> 5 === word && (changed & (1 << (lastPage & 31))) !== 0;
      if (tail > 0 && lastIsChanged) bytes -= this.pageBytes - tail;
      page = upTo;
    }
    if (bytes > 0) Atomics.add(this.#counters, ARRIVED, BigInt(arrived ? bytes : -bytes));
    return bytes;
  }

  /**
   * Moves the counter over `[start, end)`, when it touches the prefix, and over all marked pages behind it. Bits are
   * set before the counter is looked at, here and in every other publisher, so whoever comes second sees both. A clear
   * meanwhile changes the counter's word, whether it lowers it or not: the bits are looked at again.
   */
  #advance(start: number, end: number): void {
    for (;;) {
      const seen = Atomics.load(this.#counters, PREFIX);
      const prefix = bytesOf(seen);
      let reached = start <= prefix ? Math.max(prefix, end) : prefix;
      const page = this.#firstMissingPage(this.#pageOf(reached), this.#pageAfter(this.size));
      const marked = page === -1 ? this.size : page * this.pageBytes;
      reached = Math.max(reached, marked);
      if (reached === prefix) return;
      Atomics.compareExchange(this.#counters, PREFIX, seen, seen + BigInt(reached - prefix));
    }
  }

  /** The first page of `[from, to)` whose bit is clear, or -1. */
  #firstMissingPage(from: number, to: number): number {
    return this.#findPage(from, to, -1);
  }

  /** The first page of `[from, to)` whose bit is set, or `to`. */
  #firstArrivedPage(from: number, to: number): number {
    const page = this.#findPage(from, to, 0);
    return page === -1 ? to : page;
  }

  /** The first page of `[from, to)` whose bit differs from `fill`'s bits (0 or -1), or -1; a word at a time. */
  #findPage(from: number, to: number, fill: 0 | -1): number {
    for (let page = from; page < to;) {
      const word = page >>> 5;
      const differing = (Atomics.load(this.#words, word) ^ fill) & (-1 << (page & 31));
      if (differing !== 0) {
        const found = word * 32 + (31 - Math.clz32(differing & -differing));
        return found < to ? found : -1;
      }
      page = (word + 1) * 32;
    }
    return -1;
  }
}

function pageBytesLog2For(size: number): number {
  let log2 = PAGE_BYTES_LOG2_MIN;
  while (size / 2 ** log2 > PAGES_MAX) log2 += 1;
  return log2;
}

/** What the prefix's word says of the prefix. */
function bytesOf(word: bigint): number {
  return Number(BigInt.asUintN(48, word));
}

/** A word with the bits `[from, to)` set; 0 ≤ from < to ≤ 32. */
function bits(from: number, to: number): number {
  const upper = to === 32 ? -1 : (1 << to) - 1;
  return upper & (-1 << from);
}

function popCount(word: number): number {
  let count = word - ((word >>> 1) & 0x55555555);
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
