/**
 * What a failed call means: from whatever the SDK or the network threw to an `ObjectStoreError` for the user and the
 * facts that retries need. Decides by error codes, names and statuses, never by texts. Nothing of the request gets
 * into an error: a server's own error documents repeat access keys and signatures, so they are no cause either.
 */
import type { Clock } from '../runtime/clock.js';
import { AbortedWait } from './abort.js';
import { messageFor } from './error-messages.js';
import { ObjectStoreError } from './errors.js';
import type { ObjectStoreErrorCode, ObjectStoreErrorFacts } from './errors.js';
import { ProxyRefusedError } from './network.js';
import { NonsenseError } from './part-response.js';
import { retryAfterMs } from './retry-after.js';
import { CredentialsError } from './sdk-client.js';

/** The call that failed, as far as it is known on this side. */
export interface FailedCall extends ObjectStoreErrorFacts {
  readonly bucket: string;
  /** See `ObjectVersion.endpoint`. */
  readonly endpoint: string;
  readonly region: string;
}

export interface Failure {
  readonly error: ObjectStoreError;
  /** The same call may succeed a moment later. */
  readonly transient: boolean;
  readonly retryAfterMs: number | undefined;
  /** Where the server says the bucket is. */
  readonly bucketRegion: string | undefined;
  /** The server's time differed much, and the next request will be signed with it. */
  readonly clockCorrected: boolean;
}

/** Server codes that say more than their status. */
const CODES: Readonly<Record<string, ObjectStoreErrorCode>> = {
  InvalidAccessKeyId: 'credentials_rejected',
  InvalidClientTokenId: 'credentials_rejected',
  UnrecognizedClientException: 'credentials_rejected',
  SignatureDoesNotMatch: 'credentials_rejected',
  ExpiredToken: 'credentials_rejected',
  ExpiredTokenException: 'credentials_rejected',
  InvalidToken: 'credentials_rejected',
  TokenRefreshRequired: 'credentials_rejected',
  RequestTimeTooSkewed: 'clock_skew',
  RequestExpired: 'clock_skew',
  RequestInTheFuture: 'clock_skew',
  PermanentRedirect: 'wrong_region',
  AuthorizationHeaderMalformed: 'wrong_region',
  IllegalLocationConstraintException: 'wrong_region',
  NoSuchBucket: 'no_such_bucket',
  InvalidObjectState: 'archived',
  AccessDenied: 'access_denied',
  AllAccessDisabled: 'access_denied',
  SlowDown: 'throttled',
  RequestTimeout: 'server_error',
};

/** Codes of failed name look-ups and connections that may work a moment later; timeouts have a name instead. */
const NETWORK_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

/** Codes of OpenSSL and Node for a handshake that cannot succeed. */
const TLS_CODE = /^(ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|EPROTO)/;

/** The parts of an SDK or Node error that are looked at; each may be absent. */
interface Thrown {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly $metadata?: {
    readonly httpStatusCode?: number;
    readonly requestId?: string;
    readonly clockSkewCorrected?: boolean;
  };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
  readonly Region?: unknown;
}

export function explainFailure(thrown: unknown, call: FailedCall, clock: Clock): Failure {
  if (thrown instanceof ObjectStoreError) return local(thrown, false);
  if (isAbort(thrown)) return local(build('aborted', call), false);
  if (thrown instanceof CredentialsError) {
    // Without a network there are no credentials from SSO or STS, but there may be a moment later.
    return explainNetwork(thrown.cause, call) ?? local(build('credentials_missing', call, thrown), false);
  }
  if (thrown instanceof NonsenseError) return local(build('server_error', call, thrown), true);
  return explainNetwork(thrown, call) ?? explainAnswer(thrown as Thrown, call, clock);
}

/** A failure on the way, before any answer could be read; undefined when it is none. */
function explainNetwork(thrown: unknown, call: FailedCall): Failure | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const code = textOf((thrown as Thrown).code) ?? '';
  if (TLS_CODE.test(code)) return local(build('unreachable', call, thrown), false);
  if (code.startsWith('HPE_')) return local(build('server_error', call, thrown), true);
  const transient =
    thrown instanceof ProxyRefusedError || thrown.name === 'TimeoutError' || NETWORK_CODES.has(code);
  return transient ? local(build('unreachable', call, thrown), true) : undefined;
}

function explainAnswer(thrown: Thrown, call: FailedCall, clock: Clock): Failure {
  const httpStatus = thrown.$metadata?.httpStatusCode ?? thrown.$response?.statusCode;
  if (httpStatus === undefined) {
    return local(build('invalid_request', call, thrown instanceof Error ? thrown : undefined), false);
  }
  const headers = thrown.$response?.headers ?? {};
  const serverCode = textOf(thrown.name) ?? '';
  const code = codeOf(serverCode, httpStatus);
  const clockCorrected = thrown.$metadata?.clockSkewCorrected === true;
  const facts = { ...call, httpStatus, serverCode, requestId: thrown.$metadata?.requestId };
  return {
    error: build(code, facts),
    transient: code === 'throttled' || code === 'server_error' || clockCorrected,
    retryAfterMs: retryAfterMs(headers['retry-after'], clock),
    bucketRegion: headers['x-amz-bucket-region'] ?? textOf(thrown.Region),
    clockCorrected,
  };
}

function codeOf(serverCode: string, httpStatus: number): ObjectStoreErrorCode {
  const known = Object.hasOwn(CODES, serverCode) ? CODES[serverCode] : undefined;
  if (known) return known;
  if (httpStatus === 503 || httpStatus === 429) return 'throttled';
  // Not implemented: it will not be in a moment either.
  if (httpStatus === 501) return 'invalid_request';
  // A success that was thrown is an answer that could not be parsed.
  if (httpStatus >= 500 || httpStatus === 408 || httpStatus < 300) return 'server_error';
  if (httpStatus < 400) return 'wrong_region';
  if (httpStatus === 401 || httpStatus === 403) return 'access_denied';
  return httpStatus === 412 ? 'precondition_failed' : 'invalid_request';
}

function build(code: ObjectStoreErrorCode, facts: FailedCall, cause?: Error): ObjectStoreError {
  return new ObjectStoreError(code, messageFor(code, facts, cause), facts, cause);
}

function local(error: ObjectStoreError, transient: boolean): Failure {
  return { error, transient, retryAfterMs: undefined, bucketRegion: undefined, clockCorrected: false };
}

/** Sluice's own, or the SDK's. */
function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown instanceof AbortedWait || thrown.name === 'AbortError');
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
