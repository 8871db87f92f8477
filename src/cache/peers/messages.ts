/**
 * What owner and follower say to each other: one JSON object per line. Each side begins with `hello`, without waiting for
 * the other's. A link is a number that the follower chose; it is used again only after a `close`.
 *
 * Parsing trusts nothing: a line that is not exactly such a message is undefined, and its sender is cut off.
 */
import type { ObjectVersion } from '../../object-store/object-store.js';
import type { ByteRange } from '../../runtime/range.js';
import type { CopyEnd, CopyFill } from './peers.js';

/** Raised with every change that an older daemon would misunderstand: the two then do not talk at all. */
export const PEER_PROTOCOL = 2;

/**
 * Bytes of a line. The longest says `open`: a key of 1024 bytes, each escaped as six, beside an endpoint, a bucket, a
 * version id and an ETag of less than 1 KiB each; the text of a failure is cut to MESSAGE_CHARACTERS_MAX.
 */
export const LINE_BYTES_MAX = 16 * 1024;
const MESSAGE_CHARACTERS_MAX = 2000;

export type Hello = { readonly kind: 'hello'; readonly protocol: number };

export type FollowerMessage =
  | Hello
  | { readonly kind: 'open'; readonly link: number; readonly version: ObjectVersion }
  | { readonly kind: 'observe'; readonly link: number; readonly range: ByteRange }
  /** `number` counts the demands and fills of the connection; `heard` answers it. */
  | { readonly kind: 'demand'; readonly link: number; readonly range: ByteRange; readonly number: number }
  | { readonly kind: 'fill'; readonly link: number; readonly fill: CopyFill; readonly number: number }
  | { readonly kind: 'close'; readonly link: number };

export type OwnerMessage =
  | Hello
  /** All demands and fills up to `number` were taken note of. */
  | { readonly kind: 'heard'; readonly number: number }
  | { readonly kind: 'advanced'; readonly link: number }
  | { readonly kind: 'arrived'; readonly link: number; readonly range: ByteRange }
  | {
      readonly kind: 'failed';
      readonly link: number;
      readonly range: ByteRange;
      readonly code: string;
      readonly message: string;
    }
  | { readonly kind: 'unfilled'; readonly link: number; readonly code: string; readonly message: string }
  | { readonly kind: 'ended'; readonly link: number; readonly end: CopyEnd; readonly message: string }
  /** Not filled here, or not any more. */
  | { readonly kind: 'refused'; readonly link: number; readonly reason: string };

export function encodeMessages(messages: readonly (FollowerMessage | OwnerMessage)[]): string {
  return messages.map((message) => `${JSON.stringify(message)}\n`).join('');
}

/** A text for a message, no longer than a line may take. */
export function shortText(text: string): string {
  return text.slice(0, MESSAGE_CHARACTERS_MAX);
}

export function parseFollowerMessage(line: string): FollowerMessage | undefined {
  const fields = parseFields(line);
  if (fields === undefined) return undefined;
  const { kind, link, number, protocol } = fields;
  if (kind === 'hello') return isCount(protocol) ? { kind, protocol } : undefined;
  if (!isCount(link)) return undefined;
  if (kind === 'close') return { kind, link };
  if (kind === 'fill') {
    const { fill } = fields;
    return isCopyFill(fill) && isCount(number) ? { kind, link, fill, number } : undefined;
  }
  if (kind === 'open') {
    const version = parseVersion(fields['version']);
    return version && { kind, link, version };
  }
  const range = parseRange(fields['range']);
  if (range === undefined) return undefined;
  if (kind === 'observe') return { kind, link, range };
  return kind === 'demand' && isCount(number) ? { kind, link, range, number } : undefined;
}

export function parseOwnerMessage(line: string): OwnerMessage | undefined {
  const fields = parseFields(line);
  if (fields === undefined) return undefined;
  const { kind, link, number, protocol, end, code, message, reason } = fields;
  if (kind === 'hello') return isCount(protocol) ? { kind, protocol } : undefined;
  if (kind === 'heard') return isCount(number) ? { kind, number } : undefined;
  if (!isCount(link)) return undefined;
  if (kind === 'advanced') return { kind, link };
  if (kind === 'refused') return typeof reason === 'string' ? { kind, link, reason } : undefined;
  const range = parseRange(fields['range']);
  if (kind === 'arrived') return range && { kind, link, range };
  if (typeof message !== 'string') return undefined;
  if (kind === 'ended') return isCopyEnd(end) ? { kind, link, end, message } : undefined;
  if (typeof code !== 'string') return undefined;
  if (kind === 'unfilled') return { kind, link, code, message };
  return kind === 'failed' && range !== undefined ? { kind, link, range, code, message } : undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function parseFields(line: string): Fields | undefined {
  try {
    return asFields(JSON.parse(line));
  } catch {
    return undefined;
  }
}

function asFields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCopyFill(value: unknown): value is CopyFill {
  return value === 'gently' || value === 'as prefetch';
}

function isCopyEnd(value: unknown): value is CopyEnd {
  return value === 'complete' || value === 'stale' || value === 'failed' || value === 'corrupt';
}

function parseRange(value: unknown): ByteRange | undefined {
  const { start, end } = asFields(value) ?? {};
  return isCount(start) && isCount(end) && start < end ? { start, end } : undefined;
}

function parseVersion(value: unknown): ObjectVersion | undefined {
  const { endpoint, bucket, key, etag, versionId, size } = asFields(value) ?? {};
  if (typeof endpoint !== 'string' || typeof bucket !== 'string' || typeof key !== 'string') return undefined;
  if (typeof etag !== 'string' || !isCount(size)) return undefined;
  if (versionId === undefined) return { endpoint, bucket, key, etag, size };
  return typeof versionId === 'string' ? { endpoint, bucket, key, etag, versionId, size } : undefined;
}
