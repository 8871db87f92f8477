/** Objects that are read through a window because the cache has no room: what is fetched, given up, and kept. */
import t from 'tap';
import type { LocalCopy } from '../../src/cache/local-copy.js';
import type { FormatProbe } from '../../src/formats/load-plan.js';
import type { PartOutcome } from '../../src/object-store/object-store.js';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { FaultyObjectStore } from '../support/faulty-object-store.js';
import type { FaultScript } from '../support/faulty-object-store.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { createStores, NO_PROBE, settle } from '../support/store-harness.js';
import { HoleFile } from '../support/memory-file.js';
import type { MemoryFile } from '../support/memory-file.js';
import type { HarnessOptions } from '../support/store-harness.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const short: PartOutcome = { kind: 'short', cause: new Error('the connection was reset') };

function world(script: FaultScript, options: HarnessOptions) {
  const clock = new SimulatedClock();
  const objects = new MemoryObjectStore();
  const faulty = new FaultyObjectStore(objects, script);
  const { stores, copies } = createStores(faulty, { ...options, clock });
  const acquired: LocalCopy[] = [];
  const acquire = copies.acquire.bind(copies);
  copies.acquire = (version) => {
    const copy = acquire(version);
    acquired.push(copy);
    return copy;
  };
  /** Pages of the copy acquired last that are said to be there and hold other bytes than those of pattern `seed`. */
  const wrongPages = (seed: number) => {
    const copy = acquired.at(-1)!;
    const { availability } = copy.memory;
    const { bytes } = copies.fileOf(copy) as MemoryFile;
    const wrong: number[] = [];
    for (let start = 0; start < bytes.length; start += availability.pageBytes) {
      const page = { start, end: Math.min(bytes.length, start + availability.pageBytes) };
      const isThere = availability.has(page);
      if (isThere && findPatternMismatch(bytes.subarray(page.start, page.end), seed, start) !== -1)
        wrong.push(start);
    }
    return wrong;
  };
  return { objects, faulty, clock, stores, copies, wrongPages };
}

t.test(
  'where a part broke off in the middle of a page nothing is given up until it has gone on',
  async (t) => {
    let brokeAt: number | undefined;
    const { objects, faulty, clock, stores, wrongPages } = world(
      {
        part: ({ start }) => {
          if (start < MIB || brokeAt !== undefined) return undefined;
          brokeAt = start;
          return { bytes: 100_000, outcome: short };
        },
      },
      { cacheBytesMax: 3 * MIB, partBytesMax: MIB, prefetchBytesMax: 2 * MIB, fillBytesMax: 0 },
    );
    const content = stores.open(objects.put('a', { size: 20 * MIB, seed: 1 }));
    const read = async (offset: number, bytes: number) => {
      const target = new Uint8Array(bytes);
      await content.read(target, offset);
      t.equal(findPatternMismatch(target, 1, offset), -1, `read at ${offset}`);
    };
    for (let at = 0; at < MIB; at += 256 * KIB) await read(at, 256 * KIB);
    await settle();
    t.ok(brokeAt, 'what was fetched ahead broke off');
    // Their parts need all the room there is.
    await Promise.all([8, 10, 12, 14].map((at) => read(at * MIB, MIB)));
    clock.advance(10_000);
    await settle(50);
    const resumed = faulty.calls.filter(({ start, end }) => start > brokeAt! && end <= brokeAt! + MIB);
    t.equal(resumed[0]?.start, brokeAt! + 100_000, 'it went on where it broke off');
    t.same(wrongPages(1), []);
    await read(brokeAt!, MIB);
    content.close();
  },
);

/** Of a format whose loader begins with the end of the file. */
const TAIL_FIRST: FormatProbe = {
  wants: undefined,
  plan: { format: 'zip', dataStart: 0, first: [{ start: 90 * MIB, end: 98 * MIB }] },
  look() {},
};

for (const [what, probe] of [
  ['a load that was recognised', NO_PROBE],
  ['a model whose format was', TAIL_FIRST],
] as const) {
  t.test(`what is read once through a window is fetched once: ${what}`, async (t) => {
    const objects = new MemoryObjectStore({ chunkBytes: MIB });
    const { stores, copies } = createStores(objects, {
      cacheBytesMax: 100 * MIB,
      fillBytesMax: 100 * MIB,
      partBytesMax: 4 * MIB,
      prefetchBytesMax: 16 * MIB,
      connectionsMax: 4,
      createFile: () => new HoleFile(),
      createProbe: () => probe,
    });
    const held = stores.open(objects.put('held', { size: 50 * MIB, seed: 1 }));
    await held.read(new Uint8Array(50 * MIB), 0);
    const content = stores.open(objects.put('a', { size: 98 * MIB, seed: 1 }));
    for (let at = 0; at < 98 * MIB; at += MIB) {
      await content.read(new Uint8Array(MIB), at);
      await settle(3);
    }
    await settle(300);
    t.equal(objects.bytesFetched('a'), 98 * MIB);
    t.ok(copies.bytes <= 104 * MIB, `${copies.bytes} bytes lie on the disk`);
    content.close();
    held.close();
  });
}
