/**
 * The object-store layer's one error class. The code is stable; the message is for people: what happened, why, and
 * what to do. Callers decide by the code, never by the text.
 */

export type ObjectStoreErrorCode =
  /** No credentials anywhere in the standard chain. */
  | 'credentials_missing'
  /** The server does not know the key, the signature is wrong, or the token expired. */
  | 'credentials_rejected'
  /** This machine's clock and the server's are too far apart to sign requests. */
  | 'clock_skew'
  /** The bucket lives in another region and could not be followed there. */
  | 'wrong_region'
  | 'no_such_bucket'
  /** Authenticated, but policy forbids the call. */
  | 'access_denied'
  /** The object lies in an archive class and must be restored first. */
  | 'archived'
  | 'precondition_failed'
  /** 503 or 429 after all retries. */
  | 'throttled'
  /** No connection, TLS failure, or no answer in time, after all retries. */
  | 'unreachable'
  /** The server refuses the request as malformed or not supported, or a setting does not allow to make any. */
  | 'invalid_request'
  /** 5xx or nonsense after all retries. */
  | 'server_error'
  /** The caller's signal, or `close()`, ended the call. */
  | 'aborted';

/** What the error is about; all that is known of it. */
export interface ObjectStoreErrorFacts {
  readonly operation: string;
  readonly bucket?: string | undefined;
  readonly key?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly httpStatus?: number | undefined;
  /** The server's own error code and request id, for its operators. */
  readonly serverCode?: string | undefined;
  readonly requestId?: string | undefined;
  readonly attempts?: number | undefined;
  /** The request brought the customer's key, or would have. */
  readonly sseCustomerKey?: boolean | undefined;
}

export class ObjectStoreError extends Error {
  override readonly name = 'ObjectStoreError';
  readonly code: ObjectStoreErrorCode;
  readonly facts: ObjectStoreErrorFacts;

  constructor(code: ObjectStoreErrorCode, message: string, facts: ObjectStoreErrorFacts, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.facts = facts;
  }
}
