/**
 * The kernel boundary: one mounted filesystem, whatever driver carries it. A driver converts, calls one method of
 * `Filesystem` and replies exactly once; it decides nothing. Drivers: portable-session.ts (fuse-native).
 */
import type { Filesystem } from '../filesystem/filesystem.js';
import type { Logger } from '../observability/logger.js';

export interface SessionOptions {
  /** Absolute path of an existing directory. */
  readonly mountpoint: string;
  /** Shown as the source in mount tables, e.g. `s3://bucket/prefix`. */
  readonly source: string;
  readonly allowOther: boolean;
  /** Longest time the kernel may rely on a name or attributes; the driver may shorten it. */
  readonly metadataTtlMs: number;
}

/** What a driver can do, reported by `status`. */
export interface SessionCapabilities {
  readonly driver: 'portable';
  /** Bytes of the largest read request the kernel sends. */
  readonly readBytesMax: number;
  /** Complete files are read by the kernel without asking Sluice. */
  readonly passthrough: boolean;
  /** A replaced object gets a kernel inode of its own, so that older handles stay readable. */
  readonly versionsApart: boolean;
}

export interface Session {
  readonly capabilities: SessionCapabilities;
  /** Resolves once the kernel answers requests at the mount point. @throws MountError; nothing stays mounted then. */
  mount(): Promise<void>;
  /** Settles when the mount is gone, whoever removed it. */
  readonly ended: Promise<void>;
  /** Removes the mount, at once when nothing is open, lazily otherwise, by force when asked. Idempotent. */
  unmount(options: { readonly force: boolean }): Promise<void>;
}

export type SessionFactory = (filesystem: Filesystem, options: SessionOptions, logger: Logger) => Session;

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
  | 'cache_dir_unusable'
  | 'mount_failed'
  | 'unmount_failed';
