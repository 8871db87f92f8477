/**
 * What a TempFileStore is made of: its downloader, its local file, and whom it tells. TempFileStores hands it on, the
 * composition root brings most of it.
 */
import type { Clock } from '../runtime/clock.js';
import type { ByteRange } from '../runtime/range.js';
import type { CacheMetrics } from '../observability/cache-metrics.js';
import type { Logger } from '../observability/logger.js';
import type { ReadTrace, ReadTracer } from '../observability/read-trace.js';
import type { LocalCopy } from '../cache/local-copy.js';
import type { CopyFollowing } from '../cache/peers/peers.js';
import type { FillKind } from '../download/downloader.js';
import type { DownloadTarget } from '../download/target.js';
import type { DirectReads } from './direct-reads.js';
import type { LocalFile } from './sparse-file.js';
import type { ChecksumDeps } from './store-checksums.js';
import type { VerificationDeps } from './store-verification.js';

/** What the store needs of its downloader; see download/downloader.ts. */
export interface Fetcher {
  readonly partsInFlight: number;
  observe(range: ByteRange): void;
  demand(range: ByteRange): void;
  /** What is still to come of parts under way, in bytes. */
  readonly bytesInFlight: number;
  /** Something in `range` is fetched, or about to be: what came of it may be continued in the middle of a page. */
  isUnderWay(range: ByteRange): boolean;
  /** Fetches the whole object, until `stop`. */
  fill(kind: FillKind): void;
  stop(): void;
}

export interface TempFileStoreDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly reads: ReadTracer;
  /** The session that answers reads by itself, where there is one. */
  readonly directReads?: DirectReads | undefined;
  readonly createFile: (copy: LocalCopy, size: number) => LocalFile;
  readonly createFetcher: (target: DownloadTarget) => Fetcher;
  /** How copies are followed that other processes fill; undefined: there are none. */
  readonly following?: CopyFollowing | undefined;
  readonly checksums: ChecksumDeps;
  readonly verification: VerificationDeps;
  readonly cacheMetrics: CacheMetrics;
  /** The complete local file is not the object, by its checksum: nobody else may be given this store. */
  readonly onCorrupt: () => void;
  /** Called when the local disk is full: frees what it can and says whether a write is worth another try. */
  readonly makeRoom: (bytes: number) => boolean;
}

export interface TempFileStoreOptions {
  readonly id: string;
  readonly readDeadlineMs: number;
}

export interface StoreProgress {
  readonly contiguousBytes: number;
  readonly arrivedBytes: number;
}

/** One read of a store. */
export interface StoreRead {
  readonly target: Uint8Array;
  readonly offset: number;
  readonly trace: ReadTrace;
  /** Any of them ends the wait. */
  readonly signals: readonly AbortSignal[];
}
