/**
 * The one errno table: what the kernel is told for each FilesystemErrorCode. Numbers are per platform, because those
 * beyond the classic ones differ; the platform is a parameter so that both columns are tested everywhere.
 */
import type { FilesystemErrorCode } from '../filesystem/errors.js';
import type { Platform } from '../filesystem/keys.js';

type ErrnoName =
  | 'ENOENT'
  | 'EINTR'
  | 'EIO'
  | 'EBADF'
  | 'EACCES'
  | 'ENOTDIR'
  | 'EISDIR'
  | 'EINVAL'
  | 'ENFILE'
  | 'ENOSPC'
  | 'EROFS'
  | 'ENAMETOOLONG'
  | 'ENOTSUP'
  | 'ESTALE';

/** From <errno.h> of Linux and of macOS. */
const ERRNO: Record<ErrnoName, Record<Platform, number>> = {
  ENOENT: { linux: 2, darwin: 2 },
  EINTR: { linux: 4, darwin: 4 },
  EIO: { linux: 5, darwin: 5 },
  EBADF: { linux: 9, darwin: 9 },
  EACCES: { linux: 13, darwin: 13 },
  ENOTDIR: { linux: 20, darwin: 20 },
  EISDIR: { linux: 21, darwin: 21 },
  EINVAL: { linux: 22, darwin: 22 },
  ENFILE: { linux: 23, darwin: 23 },
  ENOSPC: { linux: 28, darwin: 28 },
  EROFS: { linux: 30, darwin: 30 },
  ENAMETOOLONG: { linux: 36, darwin: 63 },
  ENOTSUP: { linux: 95, darwin: 45 },
  ESTALE: { linux: 116, darwin: 70 },
};

const BY_CODE: Record<FilesystemErrorCode, ErrnoName> = {
  not_found: 'ENOENT',
  not_directory: 'ENOTDIR',
  is_directory: 'EISDIR',
  name_too_long: 'ENAMETOOLONG',
  access_denied: 'EACCES',
  read_only: 'EROFS',
  stale: 'ESTALE',
  bad_handle: 'EBADF',
  invalid_argument: 'EINVAL',
  // Sluice's limit is the whole mount's, not the calling process's (EMFILE).
  too_many_open_files: 'ENFILE',
  no_space: 'ENOSPC',
  disk_failed: 'EIO',
  corrupt: 'EIO',
  // Not ETIMEDOUT, ENETUNREACH and the like: programs treat those as a socket's. EIO is what read(2) documents.
  unreachable: 'EIO',
  interrupted: 'EINTR',
  unsupported: 'ENOTSUP',
};

/** A positive errno. */
export function errnoOf(code: FilesystemErrorCode, platform: Platform): number {
  return ERRNO[BY_CODE[code]][platform];
}

/**
 * What only the native driver answers, of Linux' <errno.h>: an operation that does not exist, after which the kernel
 * asks for it no more, and a seek beyond the end.
 */
export const ENOSYS = 38;
export const ENXIO = 6;
