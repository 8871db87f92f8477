/**
 * Room on the local disk for what one store fetches: asked before bytes are written. As long as the cache's budget and
 * the disk have room, the copy takes it. When they have none, even after others were evicted, the copy leaves the cache
 * and becomes a window: what was read longest ago is punched out of the file behind the readers, and fetched again should
 * somebody come back for it. Owned by TempFileStore.
 *
 * Promises: a complete file is not punched, nor what a reader waits for, nor where a part is under way, which may go on in
 * the middle of a page; readers that are about to take bytes see by the availability's generation that these are gone.
 * What a reader waits for is fetched in any case, so that a window exceeds its room by no more than the parts under way.
 */
import type { LocalCopy } from '../cache/local-copy.js';
import type { Logger } from '../observability/logger.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import type { Availability } from '../runtime/availability.js';
import { BLOCK_BYTES } from '../runtime/block-checksums.js';
import type { ByteRange } from '../runtime/range.js';

export interface RoomyStore {
  readonly id: string;
  readonly version: ObjectVersion;
  readonly availability: Availability;
}

export interface StoreRoomDeps {
  readonly copy: LocalCopy;
  readonly logger: Logger;
  /** Still to come of the parts under way. */
  readonly bytesInFlight: () => number;
  /** Somebody waits for bytes of `range`, or writes there, now or when a part under way goes on. */
  readonly isInUse: (range: ByteRange) => boolean;
  /** Told when it becomes a window: it will never be there as a whole. */
  readonly leftCache: () => void;
  /** Gives the disk space of `range` back; false where that cannot be done. @throws NodeJS.ErrnoException */
  readonly punch: (range: ByteRange) => boolean;
}

export class StoreRoom {
  readonly #store: RoomyStore;
  readonly #deps: StoreRoomDeps;
  readonly #blockBytes: number;
  #window: Window | undefined;
  #cannotPunch = false;
  #isAlone = false;
  /** Where the last read ended. */
  #usedUpTo = 0;

  constructor(store: RoomyStore, deps: StoreRoomDeps) {
    this.#store = store;
    this.#deps = deps;
    this.#blockBytes = Math.max(BLOCK_BYTES, store.availability.pageBytes);
  }

  /** The file is punched behind its readers: it is never complete again. */
  get isWindow(): boolean {
    return this.#window !== undefined;
  }

  /**
   * Whether `bytes` more may be fetched; makes room for them when it can. What was fetched ahead and not read yet is given
   * up only for what a reader waits for.
   */
  reserve(bytes: number, { demanded }: { readonly demanded: boolean }): boolean {
    const needed = this.#store.availability.arrivedBytes + this.#deps.bytesInFlight() + bytes;
    const more = needed - this.#roomBytes;
    if (more <= 0) return true;
    if (this.#window === undefined && this.#deps.copy.reserve(more)) return true;
    // What is only fetched ahead is no reason to leave the cache.
    if (!demanded && this.#window === undefined) return false;
    return this.#punch(more, demanded) >= more;
  }

  /** Takes room for the whole object; false when the cache has not so much. */
  reserveWhole(): boolean {
    if (this.#window !== undefined) return false;
    const more = this.#store.version.size - this.#roomBytes;
    return more <= 0 || this.#deps.copy.reserve(more);
  }

  /**
   * The disk is full: gives back about `bytes`, and says whether a write is worth another try. From then on the object takes
   * no more than it had.
   */
  free(bytes: number, { demanded }: { readonly demanded: boolean }): boolean {
    if (!demanded && this.#window === undefined) return false;
    const { arrivedBytes } = this.#store.availability;
    const freed = this.#punch(bytes, demanded);
    if (this.#window !== undefined) this.#window.bytesMax = Math.min(this.#window.bytesMax, arrivedBytes);
    return freed > 0;
  }

  /** Bytes of `range` arrived. */
  arrived(range: ByteRange): void {
    if (this.#window === undefined) return;
    for (const block of this.#blocksOf(range)) this.#window.arrived(block);
  }

  /** Bytes of `range` were asked for by a reader. */
  used(range: ByteRange): void {
    this.#usedUpTo = range.end;
    if (this.#window === undefined) return;
    for (const block of this.#blocksOf(range)) this.#window.used(block);
  }

  /** What may lie on the disk: of a window what the copy had when it left the cache, or a full disk left it. */
  get #roomBytes(): number {
    return this.#window?.bytesMax ?? this.#deps.copy.reservedBytes;
  }

  /** Returns the bytes given back. */
  #punch(bytes: number, alsoUnused: boolean): number {
    // A complete file may be read by the kernel alone.
    if (this.#cannotPunch || this.#store.availability.complete) return 0;
    this.#window ??= this.#openWindow();
    // What others read, and may fetch, exceeds the room rather than being taken from under them.
    this.#isAlone ||= this.#deps.copy.isAlone();
    if (!this.#isAlone) return 0;
    let freed = 0;
    for (const block of this.#window.blocks(alsoUnused)) {
      if (freed >= bytes) break;
      const range = this.#rangeOf(block);
      if (this.#deps.isInUse(range)) continue;
      const cleared = this.#store.availability.clear(range);
      this.#window.delete(block);
      if (cleared > 0 && !this.#givenBack(range)) break;
      freed += cleared;
    }
    return freed;
  }

  #openWindow(): Window {
    const { copy, logger, leftCache } = this.#deps;
    const { id, version, availability } = this.#store;
    copy.detach();
    leftCache();
    logger.info(
      { store: id, key: version.key, bytes: availability.arrivedBytes },
      'no room in the cache: the object is read through a window',
    );
    const window = new Window(copy.reservedBytes);
    const blocks = Math.ceil(version.size / this.#blockBytes);
    for (let block = 0; block < blocks; block += 1) {
      const range = this.#rangeOf(block);
      const gap = availability.firstMissing(range);
      if (gap !== undefined && gap.start <= range.start && gap.end >= range.end) continue;
      if (range.start < this.#usedUpTo) window.used(block);
      else window.arrived(block);
    }
    return window;
  }

  #givenBack(range: ByteRange): boolean {
    try {
      if (this.#deps.punch(range)) return true;
    } catch (error) {
      this.#deps.logger.warn({ store: this.#store.id, err: error }, 'the local file cannot be punched');
    }
    this.#cannotPunch = true;
    return false;
  }

  #rangeOf(block: number): ByteRange {
    return {
      start: block * this.#blockBytes,
      end: Math.min((block + 1) * this.#blockBytes, this.#store.version.size),
    };
  }

  *#blocksOf({ start, end }: ByteRange): Iterable<number> {
    for (let block = Math.floor(start / this.#blockBytes); block * this.#blockBytes < end; block += 1)
      yield block;
  }
}

/**
 * Blocks in the order in which they are given up: those that were used, longest ago first, then those that nobody used yet,
 * the last that came first: it is likely to be needed last.
 */
class Window {
  bytesMax: number;
  readonly #used = new Set<number>();
  readonly #unused = new Set<number>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  *blocks(alsoUnused: boolean): Iterable<number> {
    yield* this.#used;
    if (alsoUnused) yield* [...this.#unused].toReversed();
  }

  arrived(block: number): void {
    if (!this.#used.has(block)) this.#unused.add(block);
  }

  used(block: number): void {
    this.#unused.delete(block);
    this.#used.delete(block);
    this.#used.add(block);
  }

  delete(block: number): void {
    this.#used.delete(block);
    this.#unused.delete(block);
  }
}
