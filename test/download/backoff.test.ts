import fc from 'fast-check';
import t from 'tap';
import { backoffDelayMs } from '../../src/download/backoff.js';

t.test('delays double from 50 ms to 2 s, with jitter between half and the whole', async (t) => {
  t.equal(backoffDelayMs(1, 0), 25);
  t.equal(backoffDelayMs(3, 0), 100);
  t.equal(backoffDelayMs(100, 0), 1000);
  const property = fc.property(
    fc.integer({ min: 1, max: 1000 }),
    fc.double({ min: 0, max: 0.999, noNaN: true }),
    (n, random) => {
      const ceiling = Math.min(2000, 50 * 2 ** (n - 1));
      const delay = backoffDelayMs(n, random);
      return delay >= ceiling / 2 && delay <= ceiling;
    },
  );
  fc.assert(property);
});

t.test("the server's Retry-After is honoured up to 4 s", async (t) => {
  t.equal(backoffDelayMs(1, 0, 1500), 1500);
  t.equal(backoffDelayMs(1, 0, 3_600_000), 4000);
});
