/**
 * Which bytes of one object version are in its local file: a counter of the gap-free prefix, a bitmap of arrived
 * pages, and statistics, in one shared buffer that any thread may read without a lock (and the native session
 * later reads without JavaScript).
 *
 * Promise: whatever `has` calls available was written before, and stays available: the counter and the bits only
 * ever grow. Writers call `publish` *after* their write returned; JavaScript's Atomics are sequentially consistent,
 * which covers release on publishing and acquire on reading. Several threads may publish at once.
 *
 * Layout (little endian): 0 int64 contiguousBytes · 8 int64 arrivedBytes · 16 int64 size · 24 int32 log2 of the page
 * size · 64 the bitmap, one bit per page, page p in bit p % 32 of 32-bit word p / 32.
 */
import { assert } from './assert.js';
import type { ByteRange } from './range.js';

const HEADER_BYTES = 64;
/** The kernel's page, the smallest unit in which mmap asks. */
const PAGE_BYTES_LOG2_MIN = 12;
/** 16 Mi bits = 2 MiB of bitmap, reached by 64 GiB of 4 KiB pages; larger objects get larger pages. */
const PAGES_MAX = 1 << 24;

export class Availability {
  /** The shared memory itself, to hand to other threads: `Availability.attach`. */
  readonly buffer: SharedArrayBuffer;
  /** Bytes of the object. */
  readonly size: number;
  /** Unit of the bitmap: 4096, or a larger power of two for objects beyond 64 GiB. */
  readonly pageBytes: number;
  readonly #counters: BigInt64Array;
  readonly #words: Int32Array;

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#counters = new BigInt64Array(buffer, 0, 3);
    this.#words = new Int32Array(buffer, HEADER_BYTES);
    this.size = Number(this.#counters[2]);
    this.pageBytes = 2 ** (new Int32Array(buffer, 24, 1)[0] ?? 0);
  }

  /** @param size bytes of the object, 0 to 2^53 - 1. */
  static create(size: number): Availability {
    assert(Number.isSafeInteger(size) && size >= 0, `object size ${size} is not a safe integer`);
    let pageBytesLog2 = PAGE_BYTES_LOG2_MIN;
    while (size / 2 ** pageBytesLog2 > PAGES_MAX) pageBytesLog2 += 1;
    const words = Math.ceil(Math.ceil(size / 2 ** pageBytesLog2) / 32);
    const buffer = new SharedArrayBuffer(HEADER_BYTES + words * 4);
    new BigInt64Array(buffer, 0, 3)[2] = BigInt(size);
    new Int32Array(buffer, 24, 1)[0] = pageBytesLog2;
    return new Availability(buffer);
  }

  /** The same availability, seen from another thread. */
  static attach(buffer: SharedArrayBuffer): Availability {
    return new Availability(buffer);
  }

  /** Length of the gap-free prefix from 0: the only counter a reader may trust. */
  get contiguousBytes(): number {
    return Number(Atomics.load(this.#counters, 0));
  }

  /** Bytes in arrived pages, in any order; for statistics. */
  get arrivedBytes(): number {
    return Number(Atomics.load(this.#counters, 1));
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
    if (end <= this.contiguousBytes) return gaps;
    const last = this.#pageAfter(Math.min(end, this.size));
    let page = this.#pageOf(Math.max(start, this.contiguousBytes));
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
    if (end <= this.contiguousBytes) return undefined;
    const last = this.#pageAfter(Math.min(end, this.size));
    const from = this.#firstMissingPage(this.#pageOf(Math.max(start, this.contiguousBytes)), last);
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
    const added = this.#mark(firstPage, endPage);
    this.#advance(start, end);
    return added;
  }

  #pageOf(offset: number): number {
    return Math.floor(offset / this.pageBytes);
  }

  #pageAfter(end: number): number {
    return Math.ceil(end / this.pageBytes);
  }

  #mark(firstPage: number, endPage: number): number {
    let added = 0;
    for (let page = firstPage; page < endPage;) {
      const word = page >>> 5;
      const upTo = Math.min(endPage, (word + 1) * 32);
      const mask = bits(page & 31, upTo - word * 32);
      const fresh = mask & ~Atomics.or(this.#words, word, mask);
      added += popCount(fresh) * this.pageBytes;
      const tail = this.size % this.pageBytes;
      const lastPage = this.#pageAfter(this.size) - 1;
      const lastIsFresh = lastPage >>> 5 === word && (fresh & (1 << (lastPage & 31))) !== 0;
      if (tail > 0 && lastIsFresh) added -= this.pageBytes - tail;
      page = upTo;
    }
    if (added > 0) Atomics.add(this.#counters, 1, BigInt(added));
    return added;
  }

  /**
   * Moves the counter over `[start, end)`, when it touches the prefix, and over all marked pages behind it. Bits are
   * set before the counter is looked at, here and in every other publisher, so whoever comes second sees both.
   */
  #advance(start: number, end: number): void {
    for (;;) {
      const seen = Atomics.load(this.#counters, 0);
      const prefix = Number(seen);
      let reached = start <= prefix ? Math.max(prefix, end) : prefix;
      const page = this.#firstMissingPage(this.#pageOf(reached), this.#pageAfter(this.size));
      const marked = page === -1 ? this.size : page * this.pageBytes;
      reached = Math.max(reached, marked);
      if (reached === prefix) return;
      Atomics.compareExchange(this.#counters, 0, seen, BigInt(reached));
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
