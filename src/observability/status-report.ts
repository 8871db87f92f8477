/**
 * The stable contract of `sluice status --json`: what one mount reports of itself. Fields are only ever added under
 * the same schema number; a changed meaning gets a new one. Byte counts are plain numbers, times milliseconds.
 */

import type { CacheTotals } from './cache-metrics.js';

export const STATUS_SCHEMA = 1;

export interface StatusReport {
  readonly schema: typeof STATUS_SCHEMA;
  /** Sluice's version. */
  readonly version: string;
  readonly pid: number;
  readonly mountpoint: string;
  /** `s3://bucket/prefix`. */
  readonly source: string;
  readonly endpoint: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly uptimeMs: number;
  readonly logFile: string | null;
  readonly driver: DriverStatus;
  readonly stores: readonly StoreStatus[];
  /** Stores that `stores` leaves out because there are more than it lists (1000). */
  readonly storesOmitted: number;
  readonly readsInFlight: readonly ReadStatus[];
  readonly totals: {
    /** Reads that reached the daemon, ended, and how many of those with an error. */
    readonly reads: number;
    readonly readErrors: number;
    readonly bytesRead: number;
    /** Requests for object bytes, and bytes that arrived by them. */
    readonly partRequests: number;
    readonly bytesFetched: number;
    readonly partRetries: number;
    /** Second requests for parts that were slow, and the bytes they brought (part of `bytesFetched`). */
    readonly hedges: number;
    readonly hedgedBytes: number;
    /** Listings and HEADs. */
    readonly controlRequests: number;
  };
  /** Averages over the last 10 s. */
  readonly rates: { readonly bytesReadPerSecond: number; readonly bytesFetchedPerSecond: number };
  readonly cache: {
    readonly directory: string;
    readonly bytes: number;
    readonly bytesMax: number;
    readonly storesOpen: number;
    readonly storesIdle: number;
    /** Bytes that came from the bucket: `totals.bytesFetched` again, to compare with `bytesFromCache`. */
    readonly bytesFromBucket: number;
  } & CacheTotals;
  readonly filesystem: {
    readonly nodes: number;
    readonly handles: number;
    readonly directoriesListed: number;
    /** Keys seen so far that have no valid file name or are shadowed by a directory. */
    readonly keysHidden: number;
  };
  readonly memory: { readonly residentBytes: number; readonly heapBytes: number };
}

/** Who talks to the kernel. What a driver cannot tell is null. */
export interface DriverStatus {
  /** `native` or `portable`. */
  readonly name: string;
  /** Why it is not the native one, where that was to be expected. */
  readonly note: string | null;
  /** Bytes of the largest read request that the kernel sends. */
  readonly readBytesMax: number;
  /** Complete files may be read by the kernel without asking Sluice. */
  readonly passthrough: boolean;
  /** A replaced object gets a kernel inode of its own, so that older handles stay readable. */
  readonly versionsApart: boolean;
  /** FUSE protocol that was negotiated, e.g. `7.38`. */
  readonly protocol: string | null;
  /** Names of the negotiated features. */
  readonly features: readonly string[];
  /** Threads that read requests. */
  readonly threads: number;
  /** READ requests that reached the daemon. */
  readonly readRequests: number | null;
  /** Open handles that the kernel reads through its cache by asking Sluice, and those that it reads alone. */
  readonly handlesCached: number | null;
  readonly handlesPassthrough: number | null;
  /** Requests other than reads that wait for their answer, and the age of the oldest. */
  readonly requestsWaiting: number | null;
  readonly oldestRequestMs: number | null;
}

export interface StoreStatus {
  /** Debug id, as in the log: `s12`. */
  readonly id: string;
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  readonly state: 'filling' | 'complete' | 'stale' | 'failed' | 'corrupt' | 'closed';
  /** Gap-free prefix from 0. */
  readonly contiguousBytes: number;
  readonly arrivedBytes: number;
  /**
   * The complete local copy beside the checksum that the server keeps of the object: `unknown` as long as they were not
   * compared, or when they cannot be; `none` when the server keeps none.
   */
  readonly checksum: 'unknown' | 'none' | 'matches' | 'differs';
  readonly handles: number;
  readonly readsWaiting: number;
  readonly partsInFlight: number;
}

export interface ReadStatus {
  /** Trace id, as in the log: `r1234`. */
  readonly id: string;
  readonly storeId: string;
  readonly key: string;
  readonly offset: number;
  readonly length: number;
  readonly ageMs: number;
  /** The range that has not arrived yet; null while the read is not waiting for bytes. */
  readonly waitingFor: { readonly start: number; readonly end: number } | null;
}
