/**
 * What the exit code of `sluice` means: the one table, shown by --help, and the mapping from errors to it.
 */
import { CacheDirectoryError } from '../cache/directory-check.js';
import { ConfigError } from '../config/config-error.js';
import { MountError } from '../fuse/session.js';
import { ObjectStoreError } from '../object-store/errors.js';
import type { ObjectStoreErrorCode } from '../object-store/errors.js';
import { RequestError } from '../requests/messages.js';
import { LogFileError } from '../observability/log-destination.js';
import { StatusSocketError } from '../observability/status-socket.js';

export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  mount: 3,
  access: 4,
  bucket: 5,
  endpoint: 6,
  notMounted: 7,
  busy: 8,
  incomplete: 9,
} as const;

export const EXIT_CODE_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT.ok, 'done'],
  [EXIT.unexpected, 'something unexpected failed; the message and the log say what'],
  [EXIT.usage, 'wrong usage or configuration'],
  [EXIT.mount, 'the mount point, FUSE, or a local folder cannot be used'],
  [EXIT.access, 'no credentials, wrong credentials, or access denied'],
  [EXIT.bucket, 'no such bucket, or not in a region that can be reached'],
  [EXIT.endpoint, 'the S3 server cannot be reached or does not answer as one'],
  [EXIT.notMounted, 'nothing is mounted there'],
  [EXIT.busy, 'somebody else is at it: files of the mount are open, or another sync into the directory runs'],
  [EXIT.incomplete, 'not everything that was asked for is there; the messages say what is missing'],
];

/** A failure that a command has put into words for the user and given its exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

const OBJECT_STORE_EXITS: Readonly<Record<ObjectStoreErrorCode, number>> = {
  credentials_missing: EXIT.access,
  credentials_rejected: EXIT.access,
  clock_skew: EXIT.access,
  access_denied: EXIT.access,
  archived: EXIT.access,
  wrong_region: EXIT.bucket,
  no_such_bucket: EXIT.bucket,
  throttled: EXIT.endpoint,
  unreachable: EXIT.endpoint,
  invalid_request: EXIT.endpoint,
  server_error: EXIT.endpoint,
  precondition_failed: EXIT.unexpected,
  aborted: EXIT.unexpected,
};

/** Something on this machine that the mount needs. */
const LOCAL_ERRORS = [MountError, CacheDirectoryError, LogFileError, StatusSocketError];

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.exitCode;
  if (error instanceof ConfigError || error instanceof RequestError) return EXIT.usage;
  if (LOCAL_ERRORS.some((kind) => error instanceof kind)) return EXIT.mount;
  if (error instanceof ObjectStoreError) return OBJECT_STORE_EXITS[error.code];
  return EXIT.unexpected;
}
