/**
 * Whether an answer to a ranged GET is the one that was asked for: checked before a byte of it is used, since a
 * wrong answer would otherwise become wrong file content. Used on both transports' answers.
 */
import type { ByteRange, ObjectVersion, PartOutcome } from './object-store.js';

/** What is looked at of the answer. */
export interface PartResponseHead {
  readonly status: number | undefined;
  readonly etag: string | undefined;
  readonly contentRange: string | undefined;
  readonly contentLength: number | undefined;
}

/** The server's answer is not one to what was asked. */
export class NonsenseError extends Error {
  override readonly name = 'NonsenseError';
}

/** Some servers leave out the quotes that are part of an entity tag. */
export function quoted(etag: string): string {
  return etag.endsWith('"') ? etag : `"${etag}"`;
}

/** Undefined when the body is exactly `range` of `version`; else what became of the attempt. */
export function judgeResponse(
  response: PartResponseHead,
  version: Pick<ObjectVersion, 'etag' | 'size'>,
  range: ByteRange,
): PartOutcome | undefined {
  const { status, etag, contentRange, contentLength } = response;
  if (etag === undefined) return broken('no ETag');
  // A server that ignores If-Match shows the change here.
  if (etag !== version.etag) return { kind: 'changed' };

  const length = range.end - range.start;
  if (status === 206) {
    const given = parseContentRange(contentRange);
    if (!given) return broken(`Content-Range ${contentRange}`);
    if (given.total !== version.size) return { kind: 'changed' };
    if (given.start !== range.start || given.end !== range.end)
      return broken(`Content-Range ${contentRange}`);
  } else if (status !== 200 || length !== version.size) {
    return broken(`status ${status}`);
  }
  // Absent when the body is chunked; then the bytes are counted.
  if (contentLength !== undefined && contentLength !== length)
    return broken(`Content-Length ${contentLength}`);
  return undefined;

  function broken(got: string): PartOutcome {
    const asked = `bytes [${range.start}, ${range.end}) of ${version.size}`;
    return { kind: 'broken', cause: new NonsenseError(`asked for ${asked}, got ${got}`) };
  }
}

/** `bytes first-last/total` (RFC 9110 §14.4) as a half-open range. */
function parseContentRange(header: string | undefined): (ByteRange & { readonly total: number }) | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header ?? '');
  if (!match) return undefined;
  return { start: Number(match[1]), end: Number(match[2]) + 1, total: Number(match[3]) };
}
