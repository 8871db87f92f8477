/**
 * What the cache may take on disk: a number of bytes for all copies together, whoever fills them, and a rest of the file
 * system that stays free. Bytes are counted in the index before they are written, a grain at a time; what nobody has
 * open makes room, least recently used first. Called by copies that grow, and by those who find the disk full.
 *
 * Promise: what is counted never exceeds `bytesMax`, in all processes with that budget; nothing is evicted that is open
 * or pinned. Everything throws what the index says.
 */
import type { CacheMetrics } from '../observability/cache-metrics.js';
import type { FileOperations } from './file-operations.js';
import type { CacheIndex } from './index/cache-index.js';
import type { Beginning } from './index/claims.js';
import { mapFileBytes } from './map-file.js';

/** Counted at a time for a larger object: a few parts, so that the index is asked a few times a second at most. */
export const GRAIN_BYTES = 32 * 1024 * 1024;
/** Of a smaller object all is counted at once. */
const SMALL_BYTES_MAX = 1024 * 1024;
/** The room that was made may be taken by others that want some, of which there are not that many. */
const TRIES_MAX = 100;
const BYTES_MAX_DEFAULT = 20 * 1024 ** 3;
const FREE_BYTES_MIN_DEFAULT = 1024 ** 3;
const FREE_SHARE_MIN_DEFAULT = 1 / 20;

export interface BudgetDeps {
  readonly index: CacheIndex;
  readonly files: FileOperations;
  readonly metrics: Pick<CacheMetrics, 'evicted'>;
  /** Deletes the files of what is being evicted. */
  readonly sweep: () => void;
}

export interface BudgetOptions {
  /** The cache directory. */
  readonly path: string;
  /** Undefined: 20 GiB, or half of what is free or the cache's already, if that is less. */
  readonly bytesMax: number | undefined;
  /** Undefined: 1 GiB, or a twentieth of the disk, if that is less. */
  readonly freeBytesMin: number | undefined;
}

export class Budget {
  readonly bytesMax: number;
  readonly freeBytesMin: number;
  readonly #deps: BudgetDeps;
  readonly #path: string;

  constructor(deps: BudgetDeps, { path, bytesMax, freeBytesMin }: BudgetOptions) {
    this.#deps = deps;
    this.#path = path;
    const { freeBytes, bytes } = deps.files.space(path);
    const used = deps.index.catalogue.bytes();
    this.bytesMax = bytesMax ?? Math.min(BYTES_MAX_DEFAULT, Math.floor((freeBytes + used) / 2));
    this.freeBytesMin =
      freeBytesMin ?? Math.min(FREE_BYTES_MIN_DEFAULT, Math.floor(bytes * FREE_SHARE_MIN_DEFAULT));
  }

  /** Makes what is counted fit, as after a start with a smaller budget than before. */
  fit(): void {
    const over = this.#deps.index.catalogue.bytes() - this.bytesMax;
    const short = Math.max(over, this.freeBytesMin - this.freeBytes);
    if (short > 0) this.free(short);
  }

  /**
   * Counts `bytes` in all for a copy, `more` than before. False when there is no room for them, whatever is evicted;
   * then they must not be written.
   */
  charge(id: number, bytes: number, more: number): boolean {
    const short = more + this.freeBytesMin - this.freeBytes;
    if (short > 0 && this.free(short) < short) return false;
    const { claims, catalogue } = this.#deps.index;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (claims.charge(id, bytes, this.bytesMax)) return true;
      const over = catalogue.bytes() + more - this.bytesMax;
      if (over > 0 && this.free(over) === 0) return false;
    }
    return false;
  }

  /**
   * What is to be counted for a copy from its beginning, where it fits: all of a small one, so that the index need not be
   * asked again before it is filled.
   */
  beginning(size: number): Beginning {
    const bytes = size + mapFileBytes(size);
    const isWise = size <= SMALL_BYTES_MAX && bytes + this.freeBytesMin <= this.freeBytes;
    return { bytes: isWise ? bytes : 0, bytesMax: this.bytesMax };
  }

  /** Evicts what held `bytes`, as far as something can be evicted. Returns what it held. */
  free(bytes: number): number {
    let freed = 0;
    while (freed < bytes) {
      const evicted = this.#deps.index.evictions.begin(bytes - freed);
      if (evicted.length === 0) break;
      this.#deps.sweep();
      for (const each of evicted) {
        this.#deps.metrics.evicted(each);
        freed += each;
      }
    }
    return freed;
  }

  get freeBytes(): number {
    return this.#deps.files.space(this.#path).freeBytes;
  }
}

/** What is to be counted for a copy of which `bytes` are to be written: whole grains, never more than all of it. */
export function grainsFor(bytes: number, size: number): number {
  return Math.min(Math.ceil(bytes / GRAIN_BYTES) * GRAIN_BYTES, size);
}
