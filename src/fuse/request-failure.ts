/**
 * What becomes of a request that failed: an errno for the kernel and one line in the log, at the reply. Shared by the
 * request handlers of both drivers.
 */
import { FilesystemError } from '../filesystem/errors.js';
import type { FilesystemErrorCode } from '../filesystem/errors.js';
import type { Platform } from '../filesystem/keys.js';
import type { Logger } from '../observability/logger.js';
import { errnoOf } from './errno.js';

/** What was asked, for the log: the operation, and whatever names its object. */
export interface RequestSubject {
  readonly operation: string;
  readonly [field: string]: unknown;
}

/** Answers that programs ask for all the time are no failures of the mount. */
const EXPECTED: ReadonlySet<FilesystemErrorCode> = new Set([
  'not_found',
  'not_directory',
  'is_directory',
  'name_too_long',
  'read_only',
  'unsupported',
  'interrupted',
]);

/** A positive errno; what is no FilesystemError is a bug and answers EIO. */
export function errnoOfError(error: unknown, platform: Platform): number {
  return errnoOf(error instanceof FilesystemError ? error.code : 'disk_failed', platform);
}

export function logFailure(logger: Logger, subject: RequestSubject, error: unknown): void {
  const { operation } = subject;
  if (!(error instanceof FilesystemError)) {
    logger.error({ ...subject, err: error }, `${operation} failed by a bug`);
  } else if (EXPECTED.has(error.code) || (error.code === 'stale' && operation !== 'read')) {
    logger.debug({ ...subject, code: error.code }, `${operation}: ${error.message}`);
  } else {
    logger.warn({ ...subject, code: error.code, err: error.cause }, `${operation}: ${error.message}`);
  }
}
