/** What a failure means for a file: the code for programs and the words for people. Pure. */
import { ObjectStoreError } from '../object-store/errors.js';
import type { ObjectStoreErrorCode } from '../object-store/errors.js';
import type { FailureCode, FileEnd } from './file-end.js';
import { BlockedNameError } from './sync-folder.js';

const OF_SERVER: Readonly<Record<ObjectStoreErrorCode, FailureCode>> = {
  credentials_missing: 'denied',
  credentials_rejected: 'denied',
  clock_skew: 'denied',
  wrong_region: 'denied',
  no_such_bucket: 'denied',
  access_denied: 'denied',
  archived: 'denied',
  invalid_request: 'denied',
  precondition_failed: 'changing',
  throttled: 'unreachable',
  unreachable: 'unreachable',
  server_error: 'unreachable',
  aborted: 'unreachable',
};

export function explainFailure(error: Error): Extract<FileEnd, { kind: 'failed' }> {
  if (error instanceof BlockedNameError) return { kind: 'failed', code: 'blocked', message: error.message };
  if (error instanceof ObjectStoreError)
    return { kind: 'failed', code: OF_SERVER[error.code], message: error.message };
  const { code } = error as NodeJS.ErrnoException;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  const message = `it cannot be written here: ${error.message}`;
  return { kind: 'failed', code: isFull ? 'disk_full' : 'disk_failed', message };
}
