/** What warm and pin need of the cache: cache/cache.ts has it. */
import type { ObjectVersion } from '../object-store/object-store.js';

/** A copy of this version is in the cache, or expected there. */
export interface CachedVersion {
  readonly version: ObjectVersion;
  /** What it takes on disk, or has been promised: all of an object has its size at least. */
  readonly bytes: number;
}

/** Everything that is given must hold. */
export interface CachedVersionFilter {
  readonly endpoint?: string | undefined;
  readonly bucket?: string | undefined;
  readonly key?: string | undefined;
  readonly pinned?: boolean | undefined;
}

export interface PinnableCache {
  /** The budget. */
  readonly bytesMax: number;
  list(filter: CachedVersionFilter): readonly CachedVersion[];
  /** Its copy is never evicted from now on; one that is not there yet is expected. */
  pin(version: ObjectVersion): void;
  /** Returns what was pinned. */
  unpin(filter: CachedVersionFilter): readonly CachedVersion[];
}
