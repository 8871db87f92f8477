/** What the cache tells people and commands of its copies. */
import type { ObjectVersion } from '../object-store/object-store.js';
import type { CatalogueTotals } from './index/catalogue.js';
import type { CopyRow } from './index/copy-row.js';
import type { CopyVerdict } from './local-copy.js';

export interface CachedObject {
  /** Number in the index. */
  readonly id: number;
  readonly version: ObjectVersion;
  readonly state: 'filling' | 'complete';
  /** What it takes on disk, or has been promised. */
  readonly bytes: number;
  readonly pinned: boolean;
  /** Daemons that have it open. */
  readonly openCount: number;
  readonly useCount: number;
  /** By the wall clock, in ms; undefined when it has not been used yet. */
  readonly usedAtMs: number | undefined;
  readonly verdict: CopyVerdict;
  /** The server's checksum that it was compared with, as text. */
  readonly checksum: string | undefined;
}

export interface EvictOptions {
  /** Pinned ones as well. */
  readonly pinned?: boolean | undefined;
  readonly only?: ((copy: CachedObject) => boolean) | undefined;
}

export interface CacheStats extends CatalogueTotals {
  readonly directory: string;
  readonly bytesMax: number;
  /** Of the disk, now, and what is to stay free of it. */
  readonly freeBytes: number;
  readonly freeBytesMin: number;
}

export function cachedObject({ row, open }: { readonly row: CopyRow; readonly open: number }): CachedObject {
  const { id, endpoint, bucket, key, etag, versionId, size } = row;
  const { state, bytes, pinned, useCount, usedAtMs, verdict, checksum } = row;
  return {
    id,
    version: { endpoint, bucket, key, etag, versionId, size },
    state: state === 'complete' ? 'complete' : 'filling',
    bytes,
    pinned,
    openCount: open,
    useCount,
    usedAtMs: useCount === 0 ? undefined : usedAtMs,
    verdict,
    checksum,
  };
}
