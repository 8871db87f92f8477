/**
 * Conditional requests and ranges, as pure functions of headers and the object's ETag, time and size. The order of
 * evaluation is RFC 9110 §13.2.2, which S3 follows: If-Match beats If-Unmodified-Since, If-None-Match beats
 * If-Modified-Since, and a Range is looked at last.
 */
import { S3Error } from './errors.js';

export interface Validators {
  /** Without quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
}

export interface ReadConditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  readonly ifModifiedSince?: string | undefined;
  readonly ifUnmodifiedSince?: string | undefined;
}

/** For GET and HEAD. Throws S3Error PreconditionFailed or NotModified (with the validators as headers). */
export function checkReadConditions(conditions: ReadConditions, current: Validators): void {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions;
  if (ifMatch !== undefined) {
    if (!matchesEtag(ifMatch, current.etag)) throw preconditionFailed('If-Match');
  } else if (isAfter(current, ifUnmodifiedSince) === true) throw preconditionFailed('If-Unmodified-Since');
  const notModified =
    ifNoneMatch === undefined
      ? isAfter(current, ifModifiedSince) === false
      : matchesEtag(ifNoneMatch, current.etag);
  if (!notModified) return;
  const headers = { etag: `"${current.etag}"`, 'last-modified': httpDate(current.lastModifiedMs) };
  throw new S3Error('NotModified', 'Not Modified', { headers });
}

/** For the source of a copy, where every failed condition is a 412. */
export function checkCopyConditions(conditions: ReadConditions, source: Validators): void {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions;
  if (ifMatch !== undefined) {
    if (!matchesEtag(ifMatch, source.etag)) throw preconditionFailed('x-amz-copy-source-If-Match');
  } else if (isAfter(source, ifUnmodifiedSince) === true)
    throw preconditionFailed('x-amz-copy-source-If-Unmodified-Since');
  if (ifNoneMatch !== undefined) {
    if (matchesEtag(ifNoneMatch, source.etag)) throw preconditionFailed('x-amz-copy-source-If-None-Match');
  } else if (isAfter(source, ifModifiedSince) === false)
    throw preconditionFailed('x-amz-copy-source-If-Modified-Since');
}

/**
 * For PUT and Complete: `current` is the live object, if any. As S3: If-Match on a missing key is 404, and
 * If-None-Match only knows `*`.
 */
export function checkWriteConditions(
  conditions: Pick<ReadConditions, 'ifMatch' | 'ifNoneMatch'>,
  current: Validators | undefined,
): void {
  const { ifMatch, ifNoneMatch } = conditions;
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*')
    throw new S3Error(
      'NotImplemented',
      'A header you provided implies functionality that is not implemented: If-None-Match',
    );
  if (ifNoneMatch === '*' && current !== undefined) throw preconditionFailed('If-None-Match');
  if (ifMatch === undefined) return;
  if (current === undefined) throw new S3Error('NoSuchKey', 'The specified key does not exist.');
  if (!matchesEtag(ifMatch, current.etag)) throw preconditionFailed('If-Match');
}

/** Whether a list of entity tags (or `*`) includes `etag`. Weak and unquoted tags are accepted, as S3 does. */
export function matchesEtag(list: string, etag: string): boolean {
  if (list.trim() === '*') return true;
  return list.split(',').some(
    (tag) =>
      tag
        .trim()
        .replace(/^W\//, '')
        .replace(/^"(.*)"$/, '$1') === etag,
  );
}

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * The range of a `Range` header, or undefined when it is to be ignored: malformed, several ranges, another unit.
 * Throws S3Error InvalidRange when it lies outside of the object.
 */
export function parseRange(range: string | undefined, sizeBytes: number): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range?.trim() ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  const start = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  if (start < end) return { start, end };
  throw new S3Error('InvalidRange', 'The requested range is not satisfiable', {
    elements: { RangeRequested: range ?? '', ActualObjectSize: String(sizeBytes) },
    headers: { 'content-range': `bytes */${sizeBytes}` },
  });
}

/** HTTP dates have seconds: so has every comparison with one. */
export function httpDate(ms: number): string {
  return new Date(ms).toUTCString();
}

/** Whether the object changed after `date`; undefined when there is no valid date to compare with. */
function isAfter(current: Validators, date: string | undefined): boolean | undefined {
  const sinceMs = Date.parse(date ?? '');
  if (Number.isNaN(sinceMs)) return undefined;
  return Math.floor(current.lastModifiedMs / 1000) > Math.floor(sinceMs / 1000);
}

function preconditionFailed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    elements: { Condition: condition },
  });
}
