/**
 * What a mount is asked to do: the validated result of flags, environment and configuration file (config/), and the
 * only input of the composition root (mount.ts). Every limit has its name here.
 */
import type { LogLevel } from '../observability/logger.js';

/** How to reach the bucket; also used by commands that need no mount. */
export interface ConnectionConfig {
  readonly bucket: string;
  /** '' or a prefix ending in '/'. Only keys below it are visible. */
  readonly prefix: string;
  /** Undefined: AWS itself, by region. */
  readonly endpointUrl: string | undefined;
  /** Undefined: the standard chain's, else us-east-1; the bucket's own region is followed either way. */
  readonly region: string | undefined;
  readonly profile: string | undefined;
  /** Anonymous requests. */
  readonly noSignRequest: boolean;
  /** `https://host/bucket/key` instead of `https://bucket.host/key`. */
  readonly forcePathStyle: boolean;
  /** PEM file with certificate authorities to trust besides the built-in ones. */
  readonly caBundle: string | undefined;
  readonly requesterPays: boolean;
  /** HTTP connections at most, data and control together. */
  readonly connectionsMax: number;
  /** A request that brings no byte for this long is given up and tried again. */
  readonly stallTimeoutMs: number;
}

export interface MountConfig extends ConnectionConfig {
  /** Absolute path. */
  readonly mountpoint: string;
  readonly driver: 'auto' | 'portable';
  readonly allowOther: boolean;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, e.g. 0o444. */
  readonly fileMode: number;
  readonly dirMode: number;
  /** Names, sizes and ETags may be this old; 0 asks at each lookup. */
  readonly metadataTtlMs: number;
  /** A read that waited this long fails with EIO. */
  readonly readDeadlineMs: number;
  /** Largest request for object bytes. */
  readonly partBytesMax: number;
  /** How far ahead of a sequential reader to fetch, at most. */
  readonly prefetchBytesMax: number;
  /** Absolute path; temp files live in a folder of their own below it. */
  readonly cacheDir: string;
  /** Local bytes kept for objects nobody has open. Undefined: the smaller of 20 GiB and half of the free space. */
  readonly cacheBytesMax: number | undefined;
  /** Absolute path of the log; undefined logs to standard error (foreground only). */
  readonly logFile: string | undefined;
  readonly logLevel: LogLevel;
  /** Log ENTER and EXIT of every read. */
  readonly traceReads: boolean;
}
