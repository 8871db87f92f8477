/**
 * The head of an HTTP/1.x response, read strictly from bytes that may be split anywhere. Used by exchange.ts; pure.
 * Whatever is doubtful is refused: the request is then made again by the SDK's path, or counts as failed.
 */

/** What a transfer of object bytes needs to know of a response. */
export interface ResponseHead {
  readonly status: number;
  /** Bytes of the body, when announced. */
  readonly contentLength: number | undefined;
  readonly contentRange: string | undefined;
  readonly etag: string | undefined;
  /** The body is chunked, compressed or otherwise not the plain bytes. */
  readonly encoded: boolean;
  /** The connection may be used again after the body. */
  readonly keepAlive: boolean;
  /** For how long an idle connection stays open, as the server says. */
  readonly keepAliveMs: number | undefined;
  /** All of them, by their names in lower case; the first of those that came more than once. */
  readonly headers: ReadonlyMap<string, string>;
}

export type HeadRead =
  | { readonly kind: 'more' }
  /** `bodyStart`: offset in the bytes given last where the body begins. */
  | { readonly kind: 'head'; readonly head: ResponseHead; readonly bodyStart: number }
  | { readonly kind: 'malformed'; readonly reason: string };

/** S3 heads have some 500 bytes; user metadata of 2 KiB and a proxy's additions fit many times. */
const HEAD_BYTES_MAX = 64 * 1024;
/** A server that sends nothing but interim responses never answers. */
const INTERIM_MAX = 16;

const END_OF_HEAD = Buffer.from('\r\n\r\n');
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const HEADER_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
const DIGITS = /^\d{1,15}$/;

/** Reads one response's head; make one for each response. */
export class HeadReader {
  #pending: Buffer | undefined;
  #interim = 0;

  /** Takes in `[from, to)` of `bytes`, which it does not keep. To be called until it gives something other than 'more'. */
  read(bytes: Uint8Array, from: number, to: number): HeadRead {
    let at = from;
    for (;;) {
      const chunk = Buffer.from(bytes.buffer, bytes.byteOffset + at, to - at);
      const before = this.#pending?.length ?? 0;
      const seen = this.#pending === undefined ? chunk : Buffer.concat([this.#pending, limited(chunk)]);
      const end = seen.indexOf(END_OF_HEAD);
      if (end === -1 || end > HEAD_BYTES_MAX) {
        if (seen.length > HEAD_BYTES_MAX) return malformed('the head of the response does not end');
        this.#pending = Buffer.from(seen);
        return { kind: 'more' };
      }
      this.#pending = undefined;
      const head = parseHead(seen.toString('latin1', 0, end));
      if (typeof head === 'string') return malformed(head);
      at += end + END_OF_HEAD.length - before;
      if (head.status >= 200) return { kind: 'head', head, bodyStart: at };
      this.#interim += 1;
      // After 101 the connection speaks something else.
      if (head.status === 101 || this.#interim > INTERIM_MAX)
        return malformed(`unexpected status ${head.status}`);
    }
  }
}

/** No more of a chunk than a head can be long: the rest is body, which would be copied for nothing. */
function limited(chunk: Buffer): Buffer {
  return chunk.subarray(0, HEAD_BYTES_MAX + END_OF_HEAD.length);
}

function malformed(reason: string): HeadRead {
  return { kind: 'malformed', reason };
}

/** The head, or what is wrong with it. */
function parseHead(text: string): ResponseHead | string {
  const [first = '', ...lines] = text.split('\r\n');
  const status = STATUS_LINE.exec(first);
  if (status === null) return `the response begins with ${JSON.stringify(first.slice(0, 80))}`;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const match = HEADER_LINE.exec(line);
    if (match === null) return `malformed header line ${JSON.stringify(line.slice(0, 80))}`;
    const name = match[1]!.toLowerCase();
    const value = match[2]!.trimEnd();
    const before = headers.get(name);
    if (before === undefined) headers.set(name, value);
    else if (SINGLE.has(name) && before !== value) return `two headers ${name} that differ`;
  }
  const length = headers.get('content-length');
  if (length !== undefined && !DIGITS.test(length)) return `Content-Length ${JSON.stringify(length)}`;
  return {
    status: Number(status[2]),
    contentLength: length === undefined ? undefined : Number(length),
    contentRange: headers.get('content-range'),
    etag: headers.get('etag'),
    encoded:
      headers.has('transfer-encoding') || (headers.get('content-encoding') ?? 'identity') !== 'identity',
    keepAlive: staysOpen(status[1] === '1', headers.get('connection')),
    keepAliveMs: secondsMs(/\btimeout=(\d{1,9})\b/i.exec(headers.get('keep-alive') ?? '')?.[1]),
    headers,
  };
}

/** Headers that decide where bytes go: two different ones are two different answers. */
const SINGLE = new Set(['content-length', 'content-range', 'etag', 'transfer-encoding', 'content-encoding']);

function staysOpen(isHttp11: boolean, connection: string | undefined): boolean {
  const tokens = (connection ?? '').toLowerCase().split(/[ \t]*,[ \t]*/);
  return isHttp11 ? !tokens.includes('close') : tokens.includes('keep-alive');
}

function secondsMs(seconds: string | undefined): number | undefined {
  return seconds !== undefined && DIGITS.test(seconds) ? Number(seconds) * 1000 : undefined;
}
