/**
 * What a signed request claims, read from its Authorization header or from the query of a presigned URL. Only the form
 * is checked here; sigv4.ts verifies the claim.
 */
import { S3Error } from './errors.js';
import { header, type RequestTarget } from './request.js';

export const ALGORITHM = 'AWS4-HMAC-SHA256';
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
/** The longest validity of a presigned URL: seven days. */
const EXPIRES_SECONDS_MAX = 7 * 24 * 3600;

export interface Claim {
  readonly credential: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** `YYYYMMDDTHHMMSSZ` as it is signed. */
  readonly timestamp: string;
  readonly sessionToken: string | undefined;
  readonly payloadHash: string;
  readonly presigned: boolean;
}

/** Throws S3Error InvalidRequest or AuthorizationHeaderMalformed. */
export function headerClaim(target: RequestTarget): Claim {
  const authorization = header(target, 'authorization') ?? '';
  if (!authorization.startsWith(`${ALGORITHM} `)) {
    throw new S3Error(
      'InvalidRequest',
      `The authorization mechanism you have provided is not supported. Please use ${ALGORITHM}.`,
    );
  }
  const fields = new Map(
    authorization
      .slice(ALGORITHM.length)
      .split(',')
      .map((field) => {
        const [name = '', ...value] = field.trim().split('=');
        return [name, value.join('=')] as const;
      }),
  );
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) =>
    fields.get(name),
  );
  if (credential === undefined || signedHeaders === undefined || signature === undefined)
    throw malformed(
      'The authorization header is malformed; Credential, SignedHeaders and Signature are required.',
    );
  const payloadHash = header(target, 'x-amz-content-sha256');
  if (payloadHash === undefined)
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  return {
    credential,
    signedHeaders: signedHeaders.split(';'),
    signature,
    timestamp: header(target, 'x-amz-date') ?? rfcDateToTimestamp(header(target, 'date')),
    sessionToken: header(target, 'x-amz-security-token'),
    payloadHash,
    presigned: false,
  };
}

/** Throws S3Error AuthorizationQueryParametersError. */
export function presignedClaim(target: RequestTarget): Claim {
  const parameter = (name: string): string => {
    const value = target.query.get(name);
    if (value !== undefined) return value;
    throw new S3Error(
      'AuthorizationQueryParametersError',
      'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
    );
  };
  if (parameter('X-Amz-Algorithm') !== ALGORITHM)
    throw new S3Error('AuthorizationQueryParametersError', `X-Amz-Algorithm only supports "${ALGORITHM}"`);
  const expires = parameter('X-Amz-Expires');
  if (!/^\d{1,6}$/.test(expires) || Number(expires) > EXPIRES_SECONDS_MAX || Number(expires) < 1) {
    throw new S3Error(
      'AuthorizationQueryParametersError',
      `X-Amz-Expires must be a number between 1 and ${EXPIRES_SECONDS_MAX} seconds`,
    );
  }
  return {
    credential: parameter('X-Amz-Credential'),
    signedHeaders: parameter('X-Amz-SignedHeaders').split(';'),
    signature: parameter('X-Amz-Signature'),
    timestamp: parameter('X-Amz-Date'),
    sessionToken: target.query.get('X-Amz-Security-Token'),
    payloadHash:
      target.query.get('X-Amz-Content-Sha256') ?? header(target, 'x-amz-content-sha256') ?? UNSIGNED_PAYLOAD,
    presigned: true,
  };
}

function rfcDateToTimestamp(date: string | undefined): string {
  const ms = Date.parse(date ?? '');
  return Number.isNaN(ms) ? '' : new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
}

export function malformed(message: string): S3Error {
  return new S3Error('AuthorizationHeaderMalformed', message);
}
