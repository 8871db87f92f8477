/** Heads of responses: what is read of them, what is refused, and that it does not matter how they are split. */
import fc from 'fast-check';
import t from 'tap';
import { HeadReader } from '../../../src/object-store/socket/response-head.js';
import type { HeadRead } from '../../../src/object-store/socket/response-head.js';

const MIB = 1024 * 1024;

/** Reads `text` in pieces that end at `cuts`; the offset of the body counts from the start of the text. */
function read(text: string, cuts: readonly number[] = []): HeadRead {
  const bytes = Buffer.from(text, 'latin1');
  const reader = new HeadReader();
  let from = 0;
  let last: HeadRead = { kind: 'more' };
  for (const cut of [...cuts, bytes.length]) {
    if (cut <= from || cut > bytes.length) continue;
    // As the transport does: the buffer is used again for the next piece.
    const buffer = Buffer.alloc(bytes.length + 3, 0x0d);
    bytes.copy(buffer, 3, from, cut);
    last = reader.read(buffer, 3, 3 + cut - from);
    if (last.kind === 'head') return { ...last, bodyStart: last.bodyStart - 3 + from };
    if (last.kind === 'malformed') return last;
    from = cut;
  }
  return last;
}

const PART =
  'HTTP/1.1 206 Partial Content\r\nETag: "e"\r\ncontent-RANGE:  bytes 2-4/10 \r\nContent-Length: 3\r\n\r\n';

const READ: readonly (readonly [title: string, text: string, head: object])[] = [
  ['an ordinary part', PART, { status: 206, etag: '"e"', contentRange: 'bytes 2-4/10', contentLength: 3, encoded: false, keepAlive: true }],
  ['no reason phrase', 'HTTP/1.1 200\r\n\r\n', { status: 200, contentLength: undefined, etag: undefined }],
  ['an empty reason phrase', 'HTTP/1.1 200 \r\n\r\n', { status: 200 }],
  ['an answer to be followed by nothing', 'HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n', { keepAlive: false }],
  ['close among other tokens', 'HTTP/1.1 200 OK\r\nConnection: foo , close\r\n\r\n', { keepAlive: false }],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\n', { keepAlive: false }],
  ['HTTP/1.0 that stays', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n', { keepAlive: true }],
  ['a time limit', 'HTTP/1.1 200 OK\r\nKeep-Alive: max=3, timeout=5\r\n\r\n', { keepAliveMs: 5000 }],
  ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', { encoded: true }],
  ['gzip', 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n', { encoded: true }],
  ['identity', 'HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n\r\n', { encoded: false }],
  ['a request to come later', 'HTTP/1.1 503 Slow Down\r\nRetry-After: 7\r\n\r\n', { status: 503, headers: new Map([['retry-after', '7']]) }],
  ['the same length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n', { contentLength: 3 }],
  ['interim responses before it', `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${PART}`, { status: 206, contentLength: 3 }],
  ['an empty value', 'HTTP/1.1 200 OK\r\nx-amz-meta-a:\r\n\r\n', { status: 200 }],
  ['bytes beyond ASCII in a value', 'HTTP/1.1 200 OK\r\nx-amz-meta-a: caf\xe9\r\n\r\n', { status: 200 }],
]; // prettier-ignore

for (const [title, text, head] of READ) {
  t.test(`${title} is read, split anywhere`, async (t) => {
    const whole = read(`${text}body`);
    t.match(whole, { kind: 'head', head, bodyStart: text.length });
    for (let cut = 1; cut < text.length; cut++) t.same(read(`${text}body`, [cut]), whole, `split at ${cut}`);
    t.same(
      read(
        text,
        Array.from(text, (_, at) => at),
      ),
      whole,
      'byte by byte',
    );
  });
}

const REFUSED: readonly (readonly [title: string, text: string])[] = [
  ['another protocol', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a status out of range', 'HTTP/1.1 600 OK\r\n\r\n'],
  ['a line feed alone', 'HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\n'],
  ['a carriage return within a value', 'HTTP/1.1 200 OK\r\nETag: a\rb\r\n\r\n'],
  ['a folded line', 'HTTP/1.1 200 OK\r\nETag: a\r\n b\r\n\r\n'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n'],
  ['a line without a colon', 'HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n'],
  ['two ETags', 'HTTP/1.1 200 OK\r\nETag: "a"\r\nETag: "b"\r\n\r\n'],
  ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n'],
  ['a length in hexadecimal', 'HTTP/1.1 200 OK\r\nContent-Length: 0x3\r\n\r\n'],
  ['a length of 20 digits', 'HTTP/1.1 200 OK\r\nContent-Length: 10000000000000000000\r\n\r\n'],
  ['a NUL', 'HTTP/1.1 200 OK\r\nETag: "a\0"\r\n\r\n'],
  ['another protocol to switch to', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ['interim responses without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(17)],
];

for (const [title, text] of REFUSED) {
  t.test(`${title} is refused, split anywhere`, async (t) => {
    t.match(read(text), { kind: 'malformed', reason: /./ });
    for (let cut = 1; cut < text.length; cut++) t.equal(read(text, [cut]).kind, 'malformed', `at ${cut}`);
  });
}

t.test('a head that does not end is given up', async (t) => {
  const line = `x-amz-meta-a: ${'a'.repeat(1000)}\r\n`;
  const endless = `HTTP/1.1 200 OK\r\n${line.repeat(100)}`;
  t.equal(read(endless).kind, 'malformed');
  t.equal(read(endless, [100, 5000, 50_000]).kind, 'malformed');
  t.equal(read(endless.slice(0, 60_000)).kind, 'more', 'a long one is waited for');
  t.equal(read(`HTTP/1.1 200 OK\r\n${line.repeat(10)}\r\n${'b'.repeat(MIB)}`).kind, 'head');
});

t.test('random bytes neither throw nor pass for a head', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300)), (bytes, cuts) => {
      const text = Buffer.from(bytes).toString('latin1');
      const got = read(
        text,
        cuts.toSorted((a, b) => a - b),
      );
      return got.kind !== 'head' || text.startsWith('HTTP/1.');
    }),
    { numRuns: 2000 },
  );
});

t.test('heads with a few bytes changed are read alike however they are split, or refused', async () => {
  const change = fc.record({ at: fc.nat(PART.length - 1), byte: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 3 }), fc.array(fc.nat(PART.length)), (changes, cuts) => {
      const bytes = Buffer.from(`${PART}abc`, 'latin1');
      for (const { at, byte } of changes) bytes[at] = byte;
      const text = bytes.toString('latin1');
      const whole = read(text);
      const split = read(
        text,
        cuts.toSorted((a, b) => a - b),
      );
      const isSame = JSON.stringify(whole) === JSON.stringify(split);
      // Where a refused head is split decides when, not whether, it is refused.
      return isSame || (whole.kind === 'malformed' && split.kind === 'malformed');
    }),
    { numRuns: 5000 },
  );
});
