import fc from 'fast-check';
import t from 'tap';
import { nextOfFill, nextPrefetch, prefetchLimits } from '../../src/download/prefetch-plan.js';
import type { PrefetchState } from '../../src/download/prefetch-plan.js';
import { subtractRanges } from '../../src/runtime/range.js';
import type { ByteRange } from '../../src/runtime/range.js';

const MIB = 1024 * 1024;
const PAGE = 4096;
const pace = { roundTripMs: 20, bytesPerMs: 60 * 1024 };
const limitsFor = (connections: number, part = 16 * MIB, window = 128 * MIB) =>
  prefetchLimits(pace, connections, PAGE, { part, window });
const stream = (position: number, runBytes: number) => ({
  position,
  runBytes,
  fromHead: position === runBytes,
  waitedRunBytes: runBytes,
  lastBytes: MIB,
  isAlone: true,
  isNear: true,
});

/** What is left of an object of which `taken` is there or under way. */
function stateOf(
  size: number,
  taken: readonly ByteRange[],
  more: Partial<PrefetchState> = {},
): PrefetchState {
  const firstFree = ({ start, end }: ByteRange) => {
    const from = Math.floor(start / PAGE) * PAGE;
    const to = Math.min(size, Math.ceil(end / PAGE) * PAGE);
    return from < to ? subtractRanges({ start: from, end: to }, taken)[0] : undefined;
  };
  return { size, streams: [], first: [], fills: false, firstFree, ...more };
}

const pages = fc.nat({ max: 60_000 });
const ranges = fc
  .array(fc.tuple(pages, fc.integer({ min: 1, max: 4000 })), { maxLength: 8 })
  .map((pairs) => pairs.map(([page, count]) => ({ start: page * PAGE, end: (page + count) * PAGE })));

t.test('a part is free, begins on a page, lies within the object and is not too large', async (t) => {
  const property = fc.property(
    fc.integer({ min: 1, max: 60_000 * PAGE }),
    ranges,
    fc.array(fc.tuple(pages, fc.nat({ max: 64 * MIB })), { maxLength: 5 }),
    fc.integer({ min: 1, max: 24 }),
    fc.boolean(),
    (size, taken, readers, connections, fills) => {
      const streams = readers.map(([page, run]) => stream(page * PAGE, run));
      const state = stateOf(size, taken, { streams, fills });
      const limits = limitsFor(connections);
      const part = nextPrefetch(state, limits);
      if (part === undefined) return !fills || state.firstFree({ start: 0, end: size }) === undefined;
      const isWhole = part.end % PAGE === 0 || part.end === size;
      const isFree = subtractRanges(part, taken).every(
        ({ start, end }) => start === part.start && end === part.end,
      );
      const isSound = part.start % PAGE === 0 && isWhole && part.start < part.end && part.end <= size;
      return isSound && isFree && part.end - part.start <= limits.partBytesMax;
    },
  );
  t.doesNotThrow(() => fc.assert(property));
});

t.test('a fill asks for every byte once, and its parts shrink to the end', async (t) => {
  const property = fc.property(
    fc.integer({ min: 1, max: 60_000 * PAGE }),
    pages,
    fc.integer({ min: 1, max: 24 }),
    (size, page, connections) => {
      const taken: ByteRange[] = [];
      const streams = [stream(page * PAGE, 0)];
      let bytes = 0;
      for (let part = nextOfFill(stateOf(size, taken, { streams }), limitsFor(connections)); part;) {
        taken.push(part);
        bytes += part.end - part.start;
        part = nextOfFill(stateOf(size, taken, { streams }), limitsFor(connections));
      }
      return bytes === size;
    },
  );
  t.doesNotThrow(() => fc.assert(property));
  const sizes: number[] = [];
  const taken: ByteRange[] = [];
  const state = () => stateOf(1024 * MIB, taken, { fills: true });
  for (let part = nextPrefetch(state(), limitsFor(18)); part; part = nextPrefetch(state(), limitsFor(18))) {
    taken.push(part);
    sizes.push(part.end - part.start);
  }
  t.equal(sizes[0], 16 * MIB);
  t.ok(Math.max(...sizes.slice(-18)) <= 4 * MIB, 'the last part of each connection is small');
  t.ok(Math.min(...sizes) >= MIB, 'and worth its round trip');
});

t.test('what the format asks for comes before windows, and windows before the rest', async (t) => {
  const taken: ByteRange[] = [];
  const first = [{ start: 900 * MIB, end: 901 * MIB }];
  const streams = [stream(4 * MIB, 4 * MIB), stream(500 * MIB, 4 * MIB)];
  const next = () => {
    const part = nextPrefetch(stateOf(1024 * MIB, taken, { first, streams, fills: true }), limitsFor(4));
    if (part) taken.push(part);
    return part?.start;
  };
  t.equal(next(), 900 * MIB);
  t.same(new Set([next(), next()]), new Set([4 * MIB, 500 * MIB]), 'each reader has what is nearest to it');
});

t.test('who reads at random has nothing fetched ahead', async (t) => {
  const streams = [stream(300 * MIB, MIB), stream(100 * MIB, 64 * 1024)];
  t.equal(nextPrefetch(stateOf(1024 * MIB, [], { streams }), limitsFor(18)), undefined);
});

t.test('a window that slides sends whole parts, not slivers at its edge', async (t) => {
  const limits = limitsFor(4);
  const reader = stream(64 * MIB, 64 * MIB);
  const edge = reader.position + limits.windowBytesMax;
  const taken = [{ start: 0, end: edge - 256 * 1024 }];
  t.equal(nextPrefetch(stateOf(1024 * MIB, taken, { streams: [reader] }), limits), undefined);
});
