/**
 * The one place where failures of the layers below become `FilesystemError`s: exhaustive over their codes. Called by
 * the filesystem at its boundary; whatever is not one of the known classes is a bug and passes through unchanged.
 */
import { ContentError } from '../file/content.js';
import type { ContentErrorCode } from '../file/content.js';
import { ObjectStoreError } from '../object-store/errors.js';
import type { ObjectStoreErrorCode } from '../object-store/errors.js';
import { asError } from '../runtime/assert.js';
import { FilesystemError } from './errors.js';
import type { FilesystemErrorCode } from './errors.js';

const BY_CONTENT_CODE: Record<ContentErrorCode, FilesystemErrorCode> = {
  stale: 'stale',
  denied: 'access_denied',
  deadline: 'unreachable',
  no_space: 'no_space',
  disk_failed: 'disk_failed',
  corrupt: 'corrupt',
  aborted: 'interrupted',
  closed: 'interrupted',
};

const BY_OBJECT_STORE_CODE: Record<ObjectStoreErrorCode, FilesystemErrorCode> = {
  // Whoever may not ask cannot be told whether the name exists: EACCES, as on a directory without permission.
  credentials_missing: 'access_denied',
  credentials_rejected: 'access_denied',
  access_denied: 'access_denied',
  archived: 'access_denied',
  // The server refuses every signature until the clock is set.
  clock_skew: 'access_denied',
  precondition_failed: 'stale',
  // These concern the whole mount, whatever the name: an input/output error, never "no such file".
  wrong_region: 'unreachable',
  no_such_bucket: 'unreachable',
  throttled: 'unreachable',
  unreachable: 'unreachable',
  invalid_request: 'unreachable',
  server_error: 'unreachable',
  aborted: 'interrupted',
};

/** `error` in the filesystem's vocabulary; the original is its cause. */
export function toFilesystemError(error: unknown): Error {
  if (error instanceof ContentError) {
    return new FilesystemError(BY_CONTENT_CODE[error.code], error.message, error);
  }
  if (error instanceof ObjectStoreError) {
    return new FilesystemError(BY_OBJECT_STORE_CODE[error.code], error.message, error);
  }
  return asError(error);
}
