import fc from 'fast-check';
import t from 'tap';
import { Availability } from '../../src/runtime/availability.js';
import { rangesOverlap } from '../../src/runtime/range.js';

const PAGE = 4096;
const GIB = 1024 ** 3;

t.test('an empty object is complete from the start', async (t) => {
  const availability = Availability.create(0);
  t.ok(availability.complete);
  t.equal(availability.contiguousBytes, 0);
  t.same(availability.missing({ start: 0, end: 0 }), []);
});

t.test('pages are 4 KiB up to 64 GiB and coarser by powers of two beyond', async (t) => {
  t.equal(Availability.create(1).pageBytes, 4096);
  t.equal(Availability.create(64 * GIB).pageBytes, 4096);
  t.equal(Availability.create(64 * GIB + 1).pageBytes, 8192);
  t.equal(Availability.create(5 * 1024 * GIB).pageBytes, 512 * 1024);
});

t.test('the prefix counts bytes, the bitmap only whole pages', async (t) => {
  const availability = Availability.create(10 * PAGE);
  t.equal(availability.publish({ start: 0, end: 100 }), 0, 'no page is whole yet');
  t.equal(availability.contiguousBytes, 100);
  t.ok(availability.has({ start: 0, end: 100 }));
  t.notOk(availability.has({ start: 0, end: 101 }));
  availability.publish({ start: 2 * PAGE, end: 3 * PAGE + 5 });
  t.ok(availability.has({ start: 2 * PAGE, end: 3 * PAGE }));
  t.notOk(availability.has({ start: 2 * PAGE, end: 3 * PAGE + 5 }), 'a cut page out of order does not count');
  t.equal(availability.arrivedBytes, PAGE);
});

t.test('the prefix jumps over pages that came out of order, from the middle of a page too', async (t) => {
  const availability = Availability.create(4 * PAGE + 10);
  availability.publish({ start: PAGE, end: 3 * PAGE });
  t.equal(availability.contiguousBytes, 0);
  availability.publish({ start: 0, end: PAGE + 7 });
  t.equal(availability.contiguousBytes, 3 * PAGE);
  availability.publish({ start: 3 * PAGE, end: 4 * PAGE + 10 });
  t.ok(availability.complete);
  t.equal(availability.arrivedBytes, 4 * PAGE + 10, 'the last page counts its real length');
});

t.test('another view of the shared buffer sees the same', async (t) => {
  const availability = Availability.create(100 * PAGE);
  availability.publish({ start: 32 * PAGE, end: 64 * PAGE });
  const other = Availability.attach(availability.memory);
  t.equal(other.size, 100 * PAGE);
  t.ok(other.has({ start: 32 * PAGE, end: 64 * PAGE }));
  other.publish({ start: 0, end: 32 * PAGE });
  t.equal(availability.contiguousBytes, 64 * PAGE);
});

t.test('publishing off a page boundary or beyond the size is a bug and says so', async (t) => {
  const availability = Availability.create(2 * PAGE);
  t.throws(() => availability.publish({ start: 1, end: PAGE }), /out of place/);
  t.throws(() => availability.publish({ start: 0, end: 3 * PAGE }), /out of place/);
});

t.test('nothing is missing before a prefix that ends inside a page', async (t) => {
  const availability = Availability.create(10 * PAGE);
  availability.publish({ start: 0, end: 2 * PAGE + 1 });
  for (const start of [0, PAGE, 2 * PAGE]) {
    const range = { start, end: 2 * PAGE + 1 };
    t.ok(availability.has(range));
    t.same(availability.missing(range), []);
    t.equal(availability.firstMissing(range), undefined);
  }
  t.same(availability.missing({ start: 0, end: 2 * PAGE + 2 }), [{ start: 2 * PAGE, end: 3 * PAGE }]);
});

t.test('for any order of parts it agrees with a naive model', async (t) => {
  const sizes = fc.integer({ min: 1, max: 200 * PAGE });
  const parts = fc.array(fc.record({ page: fc.nat(199), length: fc.integer({ min: 1, max: 50 * PAGE }) }), {
    maxLength: 30,
  });
  const queries = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 20 });
  const property = fc.property(sizes, parts, queries, (size, parts, queries) => {
    const availability = Availability.create(size);
    const written = new Uint8Array(size);
    let published = 0;
    let prefixBefore = 0;
    for (const { page, length } of parts) {
      const start = page * PAGE;
      if (start >= size) continue;
      const end = Math.min(size, start + length);
      published += availability.publish({ start, end });
      written.fill(1, start, end);
      const gap = written.indexOf(0);
      const prefix = availability.contiguousBytes;
      if (prefix > (gap === -1 ? size : gap))
        throw new Error(`the counter ${prefix} runs over the gap at ${gap}`);
      if (prefix < prefixBefore) throw new Error('the counter moved back');
      prefixBefore = prefix;
    }
    if (published !== availability.arrivedBytes) throw new Error('the added bytes do not sum up');
    for (const [a, b] of queries) {
      const start = a % size;
      const end = Math.min(size, start + 1 + (b % (20 * PAGE)));
      const there = written.subarray(start, end).indexOf(0) === -1;
      if (availability.has({ start, end }) && !there) throw new Error(`[${start}, ${end}) is not there`);
      const missing = availability.missing({ start, end });
      if (availability.has({ start, end }) !== (missing.length === 0))
        throw new Error('has and missing disagree');
      const first = availability.firstMissing({ start, end });
      if (first?.start !== missing[0]?.start || first?.end !== missing[0]?.end)
        throw new Error('first gap differs');
      for (let at = start; at < end; at += 997) {
        const isMissing = missing.some((gap) => rangesOverlap(gap, { start: at, end: at + 1 }));
        if (!isMissing && written[at] === 0) throw new Error(`byte ${at} is missing and not listed`);
      }
      for (const gap of missing) if (gap.start % PAGE !== 0) throw new Error('a gap starts inside a page');
    }
  });
  fc.assert(property, { numRuns: 300 });
  t.pass('300 random sequences');
});
