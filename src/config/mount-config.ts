/**
 * What a mount is asked to do: the validated result of flags, environment and configuration file (config/), and the
 * only input of the composition root (mount.ts). What commands without a mount need of it stands apart. Every limit has its name here.
 */
import type { S3ObjectStoreOptions } from '../object-store/s3-connection.js';
import type { VerifyMode } from '../file/store-checksums.js';
import type { LogLevel } from '../observability/logger.js';

/** How to reach the bucket, and which part of it. */
export interface ConnectionConfig extends S3ObjectStoreOptions {
  /** '' or a prefix ending in '/'. Only keys below it are visible. */
  readonly prefix: string;
}

/** How to fetch objects, with a mount or without one, and where they are kept. */
export interface TransferConfig extends ConnectionConfig {
  /** A read that waited this long fails with EIO. */
  readonly readDeadlineMs: number;
  /** Largest request for object bytes. */
  readonly partBytesMax: number;
  /** How far ahead of a sequential reader to fetch, at most. */
  readonly prefetchBytesMax: number;
  /** Slow requests may be asked a second time. */
  readonly hedge: boolean;
  /** Absolute path; of the cache. */
  readonly cacheDir: string;
  /** What the cache may take on disk. Undefined: see cache/budget.ts. */
  readonly cacheBytesMax: number | undefined;
  /** What it leaves free. Undefined: see cache/budget.ts. */
  readonly cacheFreeBytesMin: number | undefined;
  /** What a complete local copy is compared with before it is relied on. */
  readonly verify: VerifyMode;
  /** Absolute path of the log; undefined logs to standard error (foreground only). */
  readonly logFile: string | undefined;
  readonly logLevel: LogLevel;
}

export interface MountConfig extends TransferConfig {
  /** Absolute path. */
  readonly mountpoint: string;
  readonly driver: 'auto' | 'native' | 'portable';
  /** Threads of the native driver that take requests from the kernel, 1…16. */
  readonly fuseThreads: number;
  /** Complete files may be read by the kernel without asking Sluice, where it can. */
  readonly passthrough: boolean;
  readonly allowOther: boolean;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, e.g. 0o444. */
  readonly fileMode: number;
  readonly dirMode: number;
  /** Names, sizes and ETags may be this old; 0 asks at each lookup. */
  readonly metadataTtlMs: number;
  /** Log ENTER and EXIT of every read. */
  readonly traceReads: boolean;
}
