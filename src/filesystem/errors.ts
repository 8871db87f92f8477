/** The filesystem layer's one error class; fuse/errno.ts turns its codes into errnos, exhaustively. */

export type FilesystemErrorCode =
  | 'not_found'
  | 'not_directory'
  | 'is_directory'
  | 'name_too_long'
  | 'access_denied'
  /** Sluice mounts are read-only. */
  | 'read_only'
  /** The object was replaced or deleted; this handle or node is of the old version. */
  | 'stale'
  | 'bad_handle'
  | 'invalid_argument'
  | 'too_many_open_files'
  /** The local disk is full. */
  | 'no_space'
  /** The local disk failed. */
  | 'disk_failed'
  /** What came of an object is not the object. */
  | 'corrupt'
  /** The object store did not answer, or nonsense, until the deadline. */
  | 'unreachable'
  /** The caller went away or the mount is closing. */
  | 'interrupted'
  /** The operation does not exist here (extended attributes, special files). */
  | 'unsupported';

export class FilesystemError extends Error {
  override readonly name = 'FilesystemError';
  readonly code: FilesystemErrorCode;

  constructor(code: FilesystemErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
