/**
 * A request as handlers see it: target, query and headers decoded and checked for form. Made by exchange.ts from
 * node's IncomingMessage; whatever is malformed throws an S3Error here, so that handlers meet only decent input.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { RequestFaults } from './faults.js';
import { S3Error } from './errors.js';

export const KEY_BYTES_MAX = 1024;

export interface RequestTarget {
  readonly method: string;
  /** The path as sent, still percent-encoded, without the query. */
  readonly rawPath: string;
  /** The query as sent, without the `?`. */
  readonly rawQuery: string;
  /** Path-style addressing: the first segment of the path; undefined for the service itself. */
  readonly bucket: string | undefined;
  /** Undefined for requests on the bucket. Never empty. */
  readonly key: string | undefined;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: IncomingHttpHeaders;
}

/** How the body is protected, as established by the signature check. */
export interface PayloadCheck {
  /** Hex SHA-256 that the whole body must have. */
  readonly sha256?: string | undefined;
  /** The body is framed as aws-chunked. */
  readonly chunked: boolean;
  /** For signed chunks: verifies each chunk's and the trailer's signature, in order. */
  readonly chunkVerifier?: ChunkVerifier | undefined;
}

export interface ChunkVerifier {
  /** Throws S3Error SignatureDoesNotMatch. `sha256` is of the chunk's data, hex. */
  verifyChunk(signature: string | undefined, sha256: string): void;
  verifyTrailer(signature: string | undefined, trailerText: string): void;
}

export interface S3Request extends RequestTarget {
  readonly payload: PayloadCheck;
  readonly body: IncomingMessage;
  /** Aborts when the client has left or the server closes. */
  readonly signal: AbortSignal;
  readonly faults: RequestFaults;
  /** Called for each piece of the body: counts it, and resolves when the connection's bandwidth cap allows it. */
  readonly bodyArrived: (bytes: number) => Promise<void>;
}

/** Parses the request line. Throws S3Error InvalidURI, KeyTooLongError. */
export function parseTarget(message: IncomingMessage): RequestTarget {
  // A proxy-style request line carries the whole URL.
  const url = (message.url ?? '/').replace(/^https?:\/\/[^/?]*/i, '');
  const mark = url.indexOf('?');
  const rawPath = mark < 0 ? url : url.slice(0, mark);
  const rawQuery = mark < 0 ? '' : url.slice(mark + 1);
  if (rawPath !== '' && !rawPath.startsWith('/')) throw invalidUri();
  const slash = rawPath.indexOf('/', 1);
  const bucket = percentDecode(slash < 0 ? rawPath.slice(1) : rawPath.slice(1, slash));
  const key = slash < 0 ? '' : percentDecode(rawPath.slice(slash + 1));
  checkKeyLength(key);
  return {
    method: message.method ?? '',
    rawPath,
    rawQuery,
    bucket: bucket === '' ? undefined : bucket,
    key: key === '' ? undefined : key,
    query: parseQuery(rawQuery),
    headers: message.headers,
  };
}

export function checkKeyLength(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes <= KEY_BYTES_MAX) return;
  throw new S3Error('KeyTooLongError', 'Your key is too long', {
    elements: { Size: String(bytes), MaxSizeAllowed: String(KEY_BYTES_MAX) },
  });
}

/** UTF-8 percent-decoding. Throws S3Error InvalidURI for what is not. */
export function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalidUri();
  }
}

/** Name and value of each query parameter in the order sent, decoded; `+` is a space. */
export function* queryPairs(rawQuery: string): Generator<readonly [string, string]> {
  for (const pair of rawQuery.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const [name, value] = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
    yield [percentDecode(name.replaceAll('+', ' ')), percentDecode(value.replaceAll('+', ' '))];
  }
}

/** The first value of each parameter counts. */
function parseQuery(rawQuery: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  for (const [name, value] of queryPairs(rawQuery)) if (!query.has(name)) query.set(name, value);
  return query;
}

function invalidUri(): S3Error {
  return new S3Error('InvalidURI', "Couldn't parse the specified URI.");
}

/** A header as text; repeated ones joined as HTTP says. */
export function header(request: Pick<RequestTarget, 'headers'>, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** A whole number ≥ 0 in the query or undefined when absent. Throws S3Error InvalidArgument. */
export function queryInteger(request: RequestTarget, name: string, max: number): number | undefined {
  const text = request.query.get(name);
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value <= max) return value;
  throw new S3Error('InvalidArgument', `Argument ${name} must be an integer between 0 and ${max}`, {
    elements: { ArgumentName: name, ArgumentValue: text },
  });
}
