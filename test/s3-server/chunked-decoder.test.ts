import fc from 'fast-check';
import t from 'tap';
import { ChunkedDecoder } from '../../src/s3-server/chunked-decoder.js';

/** Frames chunks as a client does. */
function frame(chunks: readonly Uint8Array[], trailers: Readonly<Record<string, string>> = {}): Buffer {
  const pieces = chunks.flatMap((chunk) => [
    Buffer.from(`${chunk.length.toString(16)}\r\n`),
    chunk,
    Buffer.from('\r\n'),
  ]);
  const lines = Object.entries(trailers).map(([name, value]) => `${name}:${value}\r\n`);
  return Buffer.concat([...pieces, Buffer.from(`0\r\n${lines.join('')}\r\n`)]);
}

function decode(pieces: readonly Buffer[]): { data: Buffer; trailers: Record<string, string> } {
  const decoder = new ChunkedDecoder();
  const data = pieces.flatMap((piece) => decoder.push(piece));
  decoder.end();
  return { data: Buffer.concat(data), trailers: Object.fromEntries(decoder.trailers) };
}

t.test('the data comes out the same wherever the framing is cut into pieces', async () => {
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 });
  fc.assert(
    fc.property(chunks, fc.array(fc.nat(300), { maxLength: 30 }), (chunks, cuts) => {
      const framed = frame(chunks, { 'x-amz-checksum-crc32': 'AAAAAA==' });
      const at = [0, ...cuts.map((cut) => Math.min(cut, framed.length)).sort((a, b) => a - b), framed.length];
      const pieces = at.slice(1).map((end, i) => framed.subarray(at[i], end));
      const { data, trailers } = decode(pieces);
      return data.equals(Buffer.concat(chunks)) && trailers['x-amz-checksum-crc32'] === 'AAAAAA==';
    }),
  );
});

t.test('byte by byte', async (t) => {
  const framed = frame([Buffer.from('hello '), Buffer.from('world')], { 'X-Amz-Meta': ' v ' });
  const { data, trailers } = decode([...framed].map((byte) => Buffer.from([byte])));
  t.equal(data.toString(), 'hello world');
  t.same(trailers, { 'x-amz-meta': 'v' });
});

t.test('bad framing is refused', async (t) => {
  const refused = (text: string) => {
    const decoder = new ChunkedDecoder();
    t.throws(
      () => {
        decoder.push(Buffer.from(text));
        decoder.end();
      },
      { name: 'S3Error' },
      JSON.stringify(text.slice(0, 30)),
    );
  };
  for (const text of [
    '',
    'zz\r\n',
    '5\r\nhello',
    '5\r\nhelloX\r\n0\r\n\r\n',
    '5\nhello\r\n0\r\n\r\n',
    '0\r\n',
    '0\r\n\r\nmore',
    '0\r\nno colon\r\n\r\n',
    `${'0'.repeat(5000)}\r\n`,
    `0\r\n${'a:b\r\n'.repeat(20)}`,
    'fffffffffffffffff\r\n',
  ])
    refused(text);
});
