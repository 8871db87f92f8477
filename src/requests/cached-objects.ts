/** What warm and pin need of the cache, whatever keeps it: implemented by cache/cache.ts. */
import type { ObjectVersion } from '../object-store/object-store.js';

export interface CachedObject extends ObjectVersion {
  /** Of its copy. */
  readonly id: number;
}

/** Everything that is given must hold. */
export interface CachedObjectFilter {
  readonly endpoint?: string | undefined;
  readonly bucket?: string | undefined;
  readonly pinned?: boolean | undefined;
  readonly state?: 'complete' | undefined;
}

export interface PinnableCache {
  /** The budget. */
  readonly bytesMax: number;
  list(filter: CachedObjectFilter): readonly CachedObject[];
  /** Its copy is never evicted from now on; one that is not there yet is expected. */
  pin(version: ObjectVersion): void;
  /** False when it was not pinned any more. */
  unpin(id: number): boolean;
}
