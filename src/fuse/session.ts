/**
 * The kernel boundary: one mounted filesystem, whatever driver carries it. A driver converts, calls one method of
 * `Filesystem` and replies exactly once; it decides nothing. Drivers: native-session.ts (the addon), portable-session.ts
 * (fuse-native); drivers.ts chooses.
 */
import type { DriverStatus } from '../observability/status-report.js';

export interface SessionOptions {
  /** Absolute path of an existing directory. */
  readonly mountpoint: string;
  /** Shown as the source in mount tables, e.g. `s3://bucket/prefix`. */
  readonly source: string;
  readonly allowOther: boolean;
  /** Longest time the kernel may rely on a name or attributes; the driver may shorten it. */
  readonly metadataTtlMs: number;
  /** A read that waited this long fails with EIO. */
  readonly readDeadlineMs: number;
  /** Threads that read requests, 1…16; the portable driver has one. */
  readonly fuseThreads: number;
  /** Complete files may be read by the kernel without asking Sluice, where it can; the portable driver cannot. */
  readonly passthrough: boolean;
  /** Every read is to be seen: none without asking Sluice. */
  readonly traceReads: boolean;
}

export interface Session {
  /** Checks the machine and the mount point, once, before `mount`. @throws MountError with what is missing */
  prepare(): Promise<void>;
  /** Resolves once the kernel answers requests at the mount point. @throws MountError; nothing stays mounted then. */
  mount(): Promise<void>;
  /**
   * Looks up, opens, reads and closes the file `name` of the root as if the kernel asked for it, so that the code has run
   * before it does. Needs no mount, and does nothing to one. Rejects when any of it fails.
   */
  rehearse(name: string): Promise<void>;
  /** Settles when the mount is gone, whoever removed it, and nothing is asked of the filesystem any more. */
  readonly ended: Promise<void>;
  /** Removes the mount, at once when nothing is open, lazily otherwise, by force when asked. Idempotent. */
  unmount(options: { readonly force: boolean }): Promise<void>;
  status(): DriverStatus;
}

/** A mount-wide failure, with a message for the user: what happened, why, what to do. */
export class MountError extends Error {
  override readonly name = 'MountError';
  readonly code: MountErrorCode;

  constructor(code: MountErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

export type MountErrorCode =
  | 'mountpoint_missing'
  | 'mountpoint_not_directory'
  | 'mountpoint_not_empty'
  | 'mountpoint_in_use'
  | 'fuse_missing'
  | 'fuse_denied'
  | 'allow_other_denied'
  | 'driver_unavailable'
  | 'cache_dir_unusable'
  | 'mount_failed'
  | 'unmount_failed';
