/** Availability whose pages are taken away again: beside a model that does it plainly, and by threads that publish meanwhile. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import t from 'tap';
import { Availability } from '../../src/runtime/availability.js';
import type { ByteRange } from '../../src/runtime/range.js';
import { meet } from './availability-worker.js';
import type { ClearingRounds } from './availability-worker.js';

const PAGE = 4096;

/** The same by arrays: whole pages that arrived, and the prefix in bytes. */
class Model {
  prefix = 0;
  readonly #size: number;
  readonly #pages: boolean[];

  constructor(size: number) {
    this.#size = size;
    this.#pages = Array.from({ length: Math.ceil(size / PAGE) }, () => false);
  }

  publish({ start, end }: ByteRange): void {
    const endPage = end === this.#size ? this.#pages.length : Math.floor(end / PAGE);
    if (start / PAGE < endPage) this.#pages.fill(true, start / PAGE, endPage);
    if (start <= this.prefix) this.prefix = Math.max(this.prefix, end);
    while (this.prefix < this.#size && this.#pages[Math.floor(this.prefix / PAGE)] === true) {
      this.prefix = Math.min((Math.floor(this.prefix / PAGE) + 1) * PAGE, this.#size);
    }
  }

  clear({ start, end }: ByteRange): void {
    this.#pages.fill(false, start / PAGE, Math.ceil(end / PAGE));
    this.prefix = Math.min(this.prefix, start);
  }

  has({ start, end }: ByteRange): boolean {
    return (
      end <= this.prefix ||
      !this.#pages.slice(Math.floor(start / PAGE), Math.ceil(end / PAGE)).includes(false)
    );
  }

  get arrivedBytes(): number {
    const bytesOf = (page: number) => Math.min(PAGE, this.#size - page * PAGE);
    return this.#pages.reduce((sum, arrived, page) => sum + (arrived ? bytesOf(page) : 0), 0);
  }
}

t.test('what was cleared is missing, until it is published again', async (t) => {
  const availability = Availability.create(10 * PAGE + 5);
  availability.publish({ start: 0, end: availability.size });
  t.ok(availability.complete);
  const before = availability.generation;
  t.equal(availability.clear({ start: 2 * PAGE, end: 4 * PAGE }), 2 * PAGE);
  t.not(availability.generation, before);
  t.equal(availability.contiguousBytes, 2 * PAGE);
  t.same(availability.missing({ start: 0, end: 10 * PAGE }), [{ start: 2 * PAGE, end: 4 * PAGE }]);
  t.ok(availability.has({ start: 4 * PAGE, end: availability.size }), 'what lies behind stays');
  t.equal(availability.clear({ start: 2 * PAGE, end: 4 * PAGE }), 0, 'nothing is left to clear');
  availability.publish({ start: 2 * PAGE, end: 4 * PAGE });
  t.ok(availability.complete);
  t.equal(
    availability.clear({ start: 10 * PAGE, end: availability.size }),
    5,
    'the last page counts its length',
  );
  t.equal(availability.arrivedBytes, 10 * PAGE);
  availability.clear({ start: 0, end: availability.size });
  t.equal(availability.arrivedBytes, 0);
  t.equal(availability.contiguousBytes, 0);
});

t.test('a clear that lowers nothing is counted, too', async (t) => {
  const availability = Availability.create(10 * PAGE);
  const before = availability.generation;
  availability.clear({ start: 5 * PAGE, end: 6 * PAGE });
  availability.clear({ start: PAGE, end: PAGE });
  t.equal(availability.generation, before + 2);
  for (let times = 0; times < 70_000; times++) availability.clear({ start: 9 * PAGE, end: 10 * PAGE });
  availability.publish({ start: 0, end: 3 * PAGE + 1 });
  t.equal(availability.contiguousBytes, 3 * PAGE + 1, 'however often');
});

t.test('clearing inside a page, or beyond the size, is a bug and says so', async (t) => {
  const availability = Availability.create(2 * PAGE + 1);
  for (const range of [
    { start: 1, end: PAGE },
    { start: 0, end: PAGE + 1 },
    { start: PAGE, end: 0 },
    { start: 0, end: 3 * PAGE },
  ]) {
    t.throws(() => availability.clear(range), /out of place/);
  }
});

t.test('for any order of publishing and clearing it agrees with a plain model', async (t) => {
  const sizes = fc.integer({ min: 1, max: 100 * PAGE });
  const operation = fc.record({
    clears: fc.boolean(),
    page: fc.nat(99),
    length: fc.oneof(fc.integer({ min: 1, max: 3 * PAGE }), fc.integer({ min: 1, max: 60 * PAGE })),
  });
  const queries = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 5, maxLength: 15 });
  const operations = fc.array(operation, { maxLength: 40 });
  const property = fc.property(sizes, operations, queries, (size, operations, queries) => {
    const availability = Availability.create(size);
    const model = new Model(size);
    for (const { clears, page, length } of operations) {
      const start = page * PAGE;
      if (start >= size) continue;
      const end = Math.min(size, start + length);
      const generation = availability.generation;
      if (clears) {
        const range = { start, end: Math.min(size, Math.ceil(end / PAGE) * PAGE) };
        availability.clear(range);
        model.clear(range);
      } else {
        availability.publish({ start, end });
        model.publish({ start, end });
      }
      if ((availability.generation !== generation) !== clears)
        throw new Error('the generation tells of clears');
      if (availability.contiguousBytes !== model.prefix)
        throw new Error(`the prefix is ${availability.contiguousBytes}, not ${model.prefix}`);
      if (availability.arrivedBytes !== model.arrivedBytes) throw new Error('the arrived bytes differ');
      if (availability.complete !== (model.prefix === size)) throw new Error('completeness differs');
      for (const [a, b] of queries) {
        const from = a % size;
        const range = { start: from, end: Math.min(size, from + 1 + (b % (20 * PAGE))) };
        if (availability.has(range) !== model.has(range))
          throw new Error(`[${range.start}, ${range.end}) differs`);
      }
    }
  });
  fc.assert(property, { numRuns: 500 });
  t.pass('500 random sequences');
});

t.test('a publisher that looked before a clear does not count what was cleared', async (t) => {
  const pages = 20_000;
  const rounds = 1500;
  const availability = Availability.create(pages * PAGE);
  const meetings = new Int32Array(new SharedArrayBuffer(4));
  const workerData: ClearingRounds = { memory: availability.memory, meetings, rounds };
  const worker = new Worker(fileURLToPath(new URL('availability-worker.js', import.meta.url)), {
    workerData,
  });
  const ended = once(worker, 'exit');
  const cleared = (round: number) => ((round * 7919) % (pages - 1)) + 1;
  let wrong = 0;
  for (let round = 0; round < rounds; round++) {
    const hole = { start: cleared(round) * PAGE, end: (cleared(round) + 1) * PAGE };
    availability.publish({ start: PAGE, end: pages * PAGE });
    // The other thread publishes the first page now, and moves the prefix over all that is there.
    meet(meetings, 4 * round + 2);
    availability.clear(hole);
    meet(meetings, 4 * round + 4);
    const { contiguousBytes, arrivedBytes } = availability;
    if (contiguousBytes !== hole.start || arrivedBytes !== (pages - 1) * PAGE) wrong += 1;
    availability.publish(hole);
    if (!availability.complete) wrong += 1;
    availability.clear({ start: 0, end: PAGE });
  }
  t.same(await ended, [0]);
  t.equal(wrong, 0);
});

t.test('of what threads publish and clear at once each page is counted once', async (t) => {
  const availability = Availability.create(999 * PAGE + 7);
  const threads = [1, 2, 3].map((seed) => {
    const workerData = { memory: availability.memory, seed, steps: 20_000 };
    return once(
      new Worker(fileURLToPath(new URL('availability-worker.js', import.meta.url)), { workerData }),
      'exit',
    );
  });
  t.same(await Promise.all(threads), [[0], [0], [0]]);
  const { contiguousBytes, arrivedBytes, size } = availability;
  const missing = availability.missing({ start: 0, end: size });
  const missingBytes = missing.reduce((sum, { start, end }) => sum + end - start, 0);
  t.equal(arrivedBytes, size - missingBytes);
  t.equal(contiguousBytes, missing[0]?.start ?? size);
  availability.clear({ start: 0, end: size });
  t.equal(availability.arrivedBytes, 0);
});
