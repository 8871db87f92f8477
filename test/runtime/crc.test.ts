import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { combineCrcs, CrcJoiner } from '../../src/runtime/crc.js';
import type { CrcKind } from '../../src/runtime/crc.js';
import { crcOf, serverCrcOf } from '../support/plain-crc.js';

const KINDS: readonly CrcKind[] = ['crc32', 'crc32c', 'crc64nvme'];
const kinds = fc.constantFrom(...KINDS);

t.test('the plain CRCs that the tests compare with are those of the catalogue', async (t) => {
  const digits = Buffer.from('123456789');
  t.equal(crcOf('crc32', digits), 0xcbf43926n);
  t.equal(crcOf('crc32c', digits), 0xe3069283n);
  t.equal(crcOf('crc64nvme', digits), 0xae8b14860a799888n);
  for (const kind of KINDS) t.equal(await serverCrcOf(kind, digits), crcOf(kind, digits));
});

t.test('the CRCs of two parts combine to that of both, wherever they are cut', async () => {
  fc.assert(
    fc.property(kinds, fc.uint8Array({ maxLength: 400 }), fc.nat(), (kind, bytes, cutAt) => {
      const cut = cutAt % (bytes.length + 1);
      const [a, b] = [bytes.subarray(0, cut), bytes.subarray(cut)];
      return combineCrcs(kind, crcOf(kind, a), crcOf(kind, b), b.length) === crcOf(kind, bytes);
    }),
  );
});

t.test('lengths beyond 32 bits are lengths', async (t) => {
  // Zeros in halves: the CRC of 2^n of them from that of 2^(n-1), beside zlib's of as many as fit.
  let ofZeros = crcOf('crc32', new Uint8Array(1));
  for (let length = 1; length < 2 ** 24; length *= 2) {
    ofZeros = combineCrcs('crc32', ofZeros, ofZeros, length);
  }
  t.equal(ofZeros, BigInt(crc32(Buffer.alloc(2 ** 24))));
  for (const kind of KINDS) {
    // Bytes behind bytes, in either order of joining.
    const [a, b, c] = [1n, 2n, 3n];
    const far = 2 ** 33 + 5;
    const left = combineCrcs(kind, combineCrcs(kind, a, b, far), c, 2 ** 40);
    t.equal(left, combineCrcs(kind, a, combineCrcs(kind, b, c, 2 ** 40), far + 2 ** 40), kind);
  }
});

t.test('pieces of one length join to the whole, and a last one of another', async () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 7, maxLength: 7 }), { maxLength: 6 });
  fc.assert(
    fc.property(kinds, pieces, fc.uint8Array({ maxLength: 9 }), (kind, pieces, last) => {
      const joiner = new CrcJoiner(kind, 7);
      const joined = pieces.reduce((crc, piece) => joiner.join(crc, crcOf(kind, piece)), 0n);
      const whole = joiner.joinLast(joined, crcOf(kind, last), last.length);
      return whole === crcOf(kind, Buffer.concat([...pieces, last]));
    }),
  );
});
