/**
 * Faults by script. A test adds rules; for each authenticated request the server asks which of them apply and
 * obeys: faults of the answer here and in exchange.ts, faults of the body's bytes in body-writer.ts.
 *
 * Several rules may match one request: latencies add up, and of two faults of one kind the older rule wins.
 */
import { unreachable } from '../runtime/assert.js';
import { S3Error } from './errors.js';
import type { OperationName } from './operation-names.js';

/** A place in a body: `body` counts from its first byte (default), `object` from the first byte of the object. */
export interface BytePosition {
  readonly atByte: number;
  readonly of?: 'body' | 'object' | undefined;
}

export type Fault =
  /** Waits before the answer begins. */
  | { readonly kind: 'latency'; readonly ms: number }
  /** Waits before each piece of the body; pieces have `chunkBytes` (default 64 KiB). */
  | { readonly kind: 'chunk-latency'; readonly ms: number; readonly chunkBytes?: number | undefined }
  /** A cap for this response; the connection-wide one is a setting of the script. */
  | { readonly kind: 'bandwidth'; readonly bytesPerSecond: number }
  /** A body that comes a few bytes at a time (default 1 byte every 100 ms) from its start or a later byte: alive, yet useless. */
  | {
      readonly kind: 'trickle';
      readonly chunkBytes?: number | undefined;
      readonly everyMs?: number | undefined;
      readonly from?: BytePosition | undefined;
    }
  | { readonly kind: 'slow-down'; readonly retryAfterSeconds?: number | undefined }
  | { readonly kind: 'internal-error' }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'access-denied' }
  | { readonly kind: 'invalid-object-state' }
  | { readonly kind: 'request-time-too-skewed' }
  | { readonly kind: 'expired-token' }
  | { readonly kind: 'precondition-failed' }
  | { readonly kind: 'invalid-range' }
  | {
      readonly kind: 'redirect';
      readonly status: 301 | 307;
      readonly location?: string | undefined;
      readonly region?: string | undefined;
    }
  /** A TCP reset. `before-headers`: nothing was done; `after-effect`: done, but the client never hears of it. */
  | {
      readonly kind: 'reset';
      readonly at: 'before-headers' | 'after-effect' | 'after-headers' | BytePosition;
    }
  /** The connection ends cleanly here, though Content-Length announced the whole body. */
  | ({ readonly kind: 'early-end' } & BytePosition)
  /** The connection stays open and nothing more comes. `{ atByte: 0 }`: after the headers. */
  | { readonly kind: 'stall'; readonly at: 'before-headers' | BytePosition }
  /** Content-Range is off by `shiftBytes` (default 1), the bytes are those asked for. */
  | { readonly kind: 'wrong-content-range'; readonly shiftBytes?: number | undefined }
  /** The object has another ETag. If-Match is compared with it (412) unless `ignoreIfMatch`: then 200 or 206. */
  | {
      readonly kind: 'changed-etag';
      readonly etag?: string | undefined;
      readonly ignoreIfMatch?: boolean | undefined;
    }
  /** One byte of the body has its lowest bit inverted. */
  | ({ readonly kind: 'flipped-byte' } & BytePosition)
  /** Status 200 with an error document, as CompleteMultipartUpload and CopyObject may answer; nothing was done. */
  | { readonly kind: 'error-in-200'; readonly code?: 'InternalError' | 'SlowDown' | undefined }
  /** Listings show the bucket as it was this long ago. */
  | { readonly kind: 'stale-listing'; readonly ms: number };

export interface FaultRule {
  readonly operation: OperationName | '*';
  readonly bucket?: string | undefined;
  readonly key?: string | RegExp | undefined;
  /** Which of the matching requests: the first n, those with number [from, to) counted from 0, every n-th. Default all. */
  readonly attempts?:
    | number
    | { readonly from: number; readonly to?: number | undefined }
    | { readonly every: number }
    | undefined;
  /** Count the attempts of each key or each (key, range) by itself instead of all together. */
  readonly countBy?: 'rule' | 'key' | 'range' | undefined;
  /** Only requests whose Range header includes this offset; one without Range includes every offset. */
  readonly rangeContains?: number | undefined;
  readonly fault: Fault;
}

export interface FaultSubject {
  readonly operation: OperationName;
  readonly bucket: string | undefined;
  readonly key: string | undefined;
  /** The Range header as sent. */
  readonly range: string | undefined;
}

interface ActiveRule {
  readonly rule: FaultRule;
  readonly counts: Map<string, number>;
}

/** Attempt counters of one rule; a client that asks for more distinct ranges than this starts over. */
const COUNTS_MAX = 100_000;

export class FaultScript {
  /** Added before the answer to every request; once more for a connection that was not opened as long before. */
  roundTripMs = 0;
  /** Cap for the bytes of bodies per connection, in either direction; 0 = none. */
  connectionBytesPerSecond = 0;
  readonly #rules = new Set<ActiveRule>();

  /** Returns the function that removes the rule. */
  add(rule: FaultRule): () => void {
    const active: ActiveRule = { rule, counts: new Map() };
    this.#rules.add(active);
    return () => void this.#rules.delete(active);
  }

  /** Removes all rules and settings. */
  clear(): void {
    this.#rules.clear();
    this.roundTripMs = 0;
    this.connectionBytesPerSecond = 0;
  }

  /** The faults of this request; counts it as an attempt of each rule that matches. */
  match(subject: FaultSubject): RequestFaults {
    const faults: Fault[] = [];
    for (const active of this.#rules) {
      if (matches(active.rule, subject) && isDue(active.rule.attempts, countAttempt(active, subject)))
        faults.push(active.rule.fault);
    }
    return new RequestFaults(faults);
  }
}

/** The faults that apply to one request. */
export class RequestFaults {
  readonly all: readonly Fault[];

  constructor(all: readonly Fault[]) {
    this.all = all;
  }

  find<K extends Fault['kind']>(kind: K): Extract<Fault, { readonly kind: K }> | undefined {
    return this.all.find((fault): fault is Extract<Fault, { readonly kind: K }> => fault.kind === kind);
  }

  get latencyMs(): number {
    return this.all.reduce((sum, fault) => sum + (fault.kind === 'latency' ? fault.ms : 0), 0);
  }

  resetsAt(point: 'before-headers' | 'after-effect' | 'after-headers'): boolean {
    return this.all.some((fault) => fault.kind === 'reset' && fault.at === point);
  }

  get stallsBeforeHeaders(): boolean {
    return this.all.some((fault) => fault.kind === 'stall' && fault.at === 'before-headers');
  }

  /** The error that is answered instead of doing anything. */
  get error(): S3Error | undefined {
    for (const fault of this.all) {
      const error = faultError(fault);
      if (error !== undefined) return error;
    }
    return undefined;
  }
}

function matches(rule: FaultRule, subject: FaultSubject): boolean {
  if (rule.operation !== '*' && rule.operation !== subject.operation) return false;
  if (rule.bucket !== undefined && rule.bucket !== subject.bucket) return false;
  if (rule.rangeContains !== undefined && !headerIncludes(subject.range, rule.rangeContains)) return false;
  if (rule.key === undefined) return true;
  if (typeof rule.key === 'string') return rule.key === subject.key;
  rule.key.lastIndex = 0;
  return subject.key !== undefined && rule.key.test(subject.key);
}

function headerIncludes(range: string | undefined, offset: number): boolean {
  const match = /^bytes=(\d+)-(\d*)$/.exec(range ?? '');
  if (match === null) return range === undefined;
  return Number(match[1]) <= offset && (match[2] === '' || offset <= Number(match[2]));
}

/** Returns the number of this attempt, from 0. */
function countAttempt({ rule, counts }: ActiveRule, subject: FaultSubject): number {
  const { countBy = 'rule' } = rule;
  const range = countBy === 'range' ? (subject.range ?? '') : '';
  const name = countBy === 'rule' ? '' : JSON.stringify([subject.bucket, subject.key, range]);
  const attempt = counts.get(name) ?? 0;
  if (counts.size >= COUNTS_MAX) counts.clear();
  counts.set(name, attempt + 1);
  return attempt;
}

function isDue(attempts: FaultRule['attempts'], attempt: number): boolean {
  if (attempts === undefined) return true;
  if (typeof attempts === 'number') return attempt < attempts;
  if ('every' in attempts) return (attempt + 1) % attempts.every === 0;
  return attempt >= attempts.from && attempt < (attempts.to ?? Infinity);
}

function faultError(fault: Fault): S3Error | undefined {
  switch (fault.kind) {
    case 'slow-down': {
      const { retryAfterSeconds } = fault;
      const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
      return new S3Error('SlowDown', 'Please reduce your request rate.', { headers });
    }
    case 'internal-error':
      return new S3Error('InternalError', 'We encountered an internal error. Please try again.');
    case 'not-found':
      return new S3Error('NoSuchKey', 'The specified key does not exist.');
    case 'access-denied':
      return new S3Error('AccessDenied', 'Access Denied');
    case 'invalid-object-state':
      return archivedError('GLACIER');
    case 'request-time-too-skewed':
      return new S3Error(
        'RequestTimeTooSkewed',
        'The difference between the request time and the current time is too large.',
      );
    case 'expired-token':
      return new S3Error('ExpiredToken', 'The provided token has expired.');
    case 'precondition-failed':
      return new S3Error(
        'PreconditionFailed',
        'At least one of the pre-conditions you specified did not hold',
      );
    case 'invalid-range':
      return new S3Error('InvalidRange', 'The requested range is not satisfiable');
    case 'redirect':
      return redirectError(fault);
    case 'latency':
    case 'chunk-latency':
    case 'bandwidth':
    case 'trickle':
    case 'reset':
    case 'early-end':
    case 'stall':
    case 'wrong-content-range':
    case 'changed-etag':
    case 'flipped-byte':
    case 'error-in-200':
    case 'stale-listing':
      return undefined;
    default:
      return unreachable(fault);
  }
}

function redirectError({ status, location, region }: Extract<Fault, { kind: 'redirect' }>): S3Error {
  const headers = {
    ...(location === undefined ? {} : { location }),
    ...(region === undefined ? {} : { 'x-amz-bucket-region': region }),
  };
  return status === 301
    ? new S3Error(
        'MovedPermanently',
        'The bucket you are attempting to access must be addressed using the specified endpoint.',
        { headers },
      )
    : new S3Error('TemporaryRedirect', 'Please re-send this request to the specified temporary endpoint.', {
        headers,
      });
}

/** Also the honest answer for objects whose storage class is an archive. */
export function archivedError(storageClass: string): S3Error {
  return new S3Error('InvalidObjectState', "The operation is not valid for the object's storage class", {
    elements: { StorageClass: storageClass },
  });
}
