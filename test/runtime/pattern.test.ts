import { createHash } from 'node:crypto';
import t from 'tap';
import { fillPattern, findPatternMismatch, patternByte } from '../../src/runtime/pattern.js';

/** Where the index of a word leaves 32 bits. */
const HALF_BYTES = 4 * 2 ** 32;

t.test('the bytes are those of other programs, for good', async (t) => {
  const bytes = fillPattern(Buffer.alloc(100_000), 9, 0);
  t.equal(
    createHash('sha256').update(bytes).digest('hex'),
    'dcb0305f2a79654417003535e93d9138050c6f2d0c8d511879c855f42e7157a4',
    'as scripts/bench-reader.c makes them',
  );
});

t.test('wherever a piece begins and lies in memory, it has the bytes of its offsets', async (t) => {
  for (const offset of [0, 1, 3, 4, HALF_BYTES - 8, HALF_BYTES - 6, HALF_BYTES, HALF_BYTES + 5]) {
    for (const shift of [0, 1, 2]) {
      for (const length of [0, 1, 3, 4, 37, 64]) {
        const bytes = fillPattern(new Uint8Array(80).subarray(shift, shift + length), 9, offset);
        const expected = Array.from({ length }, (_, at) => patternByte(9, offset + at));
        t.same([...bytes], expected, `${length} bytes from ${offset}, shifted by ${shift}`);
      }
    }
  }
});

t.test('a wrong byte is found where it is', async (t) => {
  const bytes = fillPattern(Buffer.alloc(1000), 3, 5000);
  t.equal(findPatternMismatch(bytes, 3, 5000), -1);
  bytes[777] = (bytes[777] ?? 0) ^ 1;
  t.equal(findPatternMismatch(bytes, 3, 5000), 5777);
});
