/**
 * The check of AWS Signature Version 4: in the Authorization header, in the query (presigned URLs), and of signed
 * chunks. Called by exchange.ts for every request. Only node:crypto; signatures are compared in constant time.
 *
 * Follows "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference. The path is decoded and
 * encoded again before it is signed, since clients differ in which characters they escape on the wire.
 */
import { isUtf8 } from 'node:buffer';
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { S3Error } from './errors.js';
import {
  ALGORITHM,
  UNSIGNED_PAYLOAD,
  headerClaim,
  malformed,
  presignedClaim,
  type Claim,
} from './sigv4-claim.js';
import {
  header,
  percentDecode,
  queryPairs,
  type ChunkVerifier,
  type PayloadCheck,
  type RequestTarget,
} from './request.js';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface SignaturePolicy {
  readonly region: string;
  readonly credentials: readonly Credentials[];
  readonly wallTimeMs: number;
}

/** The window S3 allows between the client's clock and its own. */
const CLOCK_SKEW_MAX_MS = 15 * 60 * 1000;
const EMPTY_SHA256 = sha256Hex('');

interface Scope {
  readonly accessKeyId: string;
  readonly text: string;
  readonly date: string;
  readonly region: string;
}

/** Whether the request claims an identity at all. */
export function isSigned(target: RequestTarget): boolean {
  return header(target, 'authorization') !== undefined || target.query.has('X-Amz-Signature');
}

/** The payload check of a request that need not be signed. */
export function unsignedPayload(target: RequestTarget): PayloadCheck {
  return { chunked: (header(target, 'x-amz-content-sha256') ?? '').startsWith('STREAMING-') };
}

/** Throws S3Error when the request is not signed by one of the credentials, for this region, now. */
export function verifySignature(target: RequestTarget, policy: SignaturePolicy): PayloadCheck {
  const claim = target.query.has('X-Amz-Signature') ? presignedClaim(target) : headerClaim(target);
  const scope = parseScope(claim, policy.region);
  const credentials = policy.credentials.find(({ accessKeyId }) => accessKeyId === scope.accessKeyId);
  if (credentials === undefined) {
    throw new S3Error(
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
      {
        elements: { AWSAccessKeyId: scope.accessKeyId },
      },
    );
  }
  checkTime(target, claim, policy.wallTimeMs);
  if (claim.sessionToken !== credentials.sessionToken)
    throw new S3Error('InvalidToken', 'The provided token is malformed or otherwise invalid.');
  checkHeadersCovered(target, claim);
  const key = signingKey(credentials.secretAccessKey, scope.date, scope.region);
  const stringToSign = [
    ALGORITHM,
    claim.timestamp,
    scope.text,
    sha256Hex(canonicalRequest(target, claim)),
  ].join('\n');
  if (!equalSignatures(claim.signature, hmacHex(key, stringToSign)))
    throw signatureMismatch(scope, stringToSign);
  return payloadCheck(claim, key, scope);
}

function parseScope(claim: Claim, expectedRegion: string): Scope {
  const parts = claim.credential.split('/');
  const [date, region, service, terminator] = parts.slice(-4);
  const accessKeyId = parts.slice(0, -4).join('/');
  if (date === undefined || region === undefined || accessKeyId === '' || terminator !== 'aws4_request')
    throw malformed('The authorization header is malformed; the Credential is mal-formed.');
  if (service !== 's3')
    throw malformed(`The authorization header is malformed; incorrect service "${service}".`);
  if (region !== expectedRegion) {
    throw new S3Error(
      'AuthorizationHeaderMalformed',
      `The authorization header is malformed; the region '${region}' is wrong; expecting '${expectedRegion}'`,
      { elements: { Region: expectedRegion }, headers: { 'x-amz-bucket-region': expectedRegion } },
    );
  }
  if (date !== claim.timestamp.slice(0, 8))
    throw malformed(
      'The authorization header is malformed; the date of the Credential is not that of the request.',
    );
  return { accessKeyId, date, region, text: `${date}/${region}/${service}/${terminator}` };
}

function checkTime(target: RequestTarget, claim: Claim, nowMs: number): void {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(claim.timestamp);
  const [year, month, day, hour, minute, second] = (match ?? []).slice(1).map(Number);
  const signedMs = Date.UTC(year ?? NaN, (month ?? NaN) - 1, day, hour, minute, second);
  if (Number.isNaN(signedMs)) {
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  }
  if (claim.presigned) {
    const expiresMs = signedMs + Number(target.query.get('X-Amz-Expires')) * 1000;
    if (nowMs > expiresMs) {
      throw new S3Error('AccessDenied', 'Request has expired', {
        elements: { Expires: new Date(expiresMs).toISOString(), ServerTime: new Date(nowMs).toISOString() },
      });
    }
    if (signedMs > nowMs + CLOCK_SKEW_MAX_MS) throw new S3Error('AccessDenied', 'Request is not yet valid');
    return;
  }
  if (Math.abs(nowMs - signedMs) <= CLOCK_SKEW_MAX_MS) return;
  throw new S3Error(
    'RequestTimeTooSkewed',
    'The difference between the request time and the current time is too large.',
    {
      elements: {
        RequestTime: claim.timestamp,
        ServerTime: new Date(nowMs).toISOString(),
        MaxAllowedSkewMilliseconds: String(CLOCK_SKEW_MAX_MS),
      },
    },
  );
}

/** Host and every x-amz- header must be signed; else anybody on the way could add one. */
function checkHeadersCovered(target: RequestTarget, claim: Claim): void {
  const signed = new Set(claim.signedHeaders);
  const required = Object.keys(target.headers).filter((name) => name.startsWith('x-amz-'));
  const missing = ['host', ...required].filter((name) => !signed.has(name));
  // A presigned URL may be used with an unsigned payload hash header; it is compared with the body anyway.
  const uncovered = missing.filter((name) => !(claim.presigned && name === 'x-amz-content-sha256'));
  if (uncovered.length === 0) return;
  throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', {
    elements: { HeadersNotSigned: uncovered.join(', ') },
  });
}

function canonicalRequest(target: RequestTarget, claim: Claim): string {
  const headers = claim.signedHeaders.map((name) => {
    const value = name === 'host' ? target.headers.host : header(target, name);
    return `${name}:${asSigned(value ?? '')
      .trim()
      .replace(/ +/g, ' ')}\n`;
  });
  return [
    target.method,
    canonicalPath(target.rawPath),
    canonicalQuery(target.rawQuery),
    headers.join(''),
    claim.signedHeaders.join(';'),
    claim.payloadHash,
  ].join('\n');
}

/**
 * A header as its sender saw it. node reads headers as Latin-1, but most clients send and sign UTF-8; what is not
 * valid UTF-8 was sent as Latin-1.
 */
function asSigned(value: string): string {
  const bytes = Buffer.from(value, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : value;
}

function canonicalPath(rawPath: string): string {
  return rawPath === ''
    ? '/'
    : rawPath
        .split('/')
        .map((part) => uriEncode(percentDecode(part)))
        .join('/');
}

function canonicalQuery(rawQuery: string): string {
  return [...queryPairs(rawQuery)]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [uriEncode(name), uriEncode(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) => compareText(nameA, nameB) || compareText(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** RFC 3986: everything but unreserved characters, in upper-case hex. */
function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function payloadCheck(claim: Claim, key: Buffer, scope: Scope): PayloadCheck {
  const hash = claim.payloadHash;
  if (hash === UNSIGNED_PAYLOAD) return { chunked: false };
  if (hash === 'STREAMING-UNSIGNED-PAYLOAD-TRAILER') return { chunked: true };
  if (hash === `STREAMING-${ALGORITHM}-PAYLOAD` || hash === `STREAMING-${ALGORITHM}-PAYLOAD-TRAILER`)
    return { chunked: true, chunkVerifier: chunkVerifier(claim, key, scope) };
  if (/^[0-9a-f]{64}$/.test(hash)) return { chunked: false, sha256: hash };
  throw new S3Error(
    'InvalidArgument',
    'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- value or a valid sha256 value.',
  );
}

/** Each chunk's signature covers the one before it, beginning with the request's own. */
function chunkVerifier(claim: Claim, key: Buffer, scope: Scope): ChunkVerifier {
  let previous = claim.signature;
  const advance = (kind: string, signature: string | undefined, ...hashes: readonly string[]) => {
    const stringToSign = [`${ALGORITHM}-${kind}`, claim.timestamp, scope.text, previous, ...hashes].join(
      '\n',
    );
    const expected = hmacHex(key, stringToSign);
    if (signature === undefined || !equalSignatures(signature, expected))
      throw signatureMismatch(scope, stringToSign);
    previous = expected;
  };
  return {
    verifyChunk: (signature, sha256) => advance('PAYLOAD', signature, EMPTY_SHA256, sha256),
    verifyTrailer: (signature, trailerText) => advance('TRAILER', signature, sha256Hex(trailerText)),
  };
}

function signingKey(secret: string, date: string, region: string): Buffer {
  return [date, region, 's3', 'aws4_request'].reduce<Buffer>(
    (key, part) => createHmac('sha256', key).update(part).digest(),
    Buffer.from(`AWS4${secret}`),
  );
}

function hmacHex(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function equalSignatures(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function signatureMismatch(scope: Scope, stringToSign: string): S3Error {
  return new S3Error(
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    { elements: { AWSAccessKeyId: scope.accessKeyId, StringToSign: stringToSign } },
  );
}
