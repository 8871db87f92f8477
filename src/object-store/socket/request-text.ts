/** The text of a request for a part, as a worker thread of socket-transport.ts sends it. */
import type { ByteRange } from '../../runtime/range.js';
import type { ObjectVersion } from '../object-store.js';
import type { SignedRequest } from '../presigned-get.js';
import type { AskMessage } from './messages.js';

const USER_AGENT = 'sluice';

/** What a worker is told of a request. */
export function requestOf(
  request: SignedRequest,
  version: ObjectVersion,
  range: ByteRange,
): Omit<AskMessage, 'kind' | 'id' | 'stallTimeoutMs'> {
  const { etag, size } = version;
  return { origin: request.origin, request: requestText(request, version, range), range, etag, size };
}

function requestText(
  { target, hostHeader, headers }: SignedRequest,
  { etag, size }: ObjectVersion,
  { start, end }: ByteRange,
): string {
  // Servers tell the checksums of an object with all of it, and not with a range, though that be all of it.
  const isWhole = end - start === size;
  const lines = [
    `GET ${target} HTTP/1.1`,
    `Host: ${hostHeader}`,
    `If-Match: ${etag}`,
    ...(isWhole ? [] : [`Range: bytes=${start}-${end - 1}`]),
    'Accept-Encoding: identity',
    `User-Agent: ${USER_AGENT}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}
