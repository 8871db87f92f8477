/** Reads of bytes that never come, through a store: who waits until the deadline, and who shares the end of another. */
import t from 'tap';
import type { Test } from 'tap';
import { Deferred } from '../../src/runtime/deferred.js';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { createStores, settle } from '../support/store-harness.js';

const KIB = 1024;
const PAGE = 4 * KIB;
const SIZE = 256 * KIB;
const DEADLINE_MS = 60_000;

/** One object, of which nothing comes until `arrive` is called, and a read of 128 KiB that ran into its deadline. */
async function setUp(t: Test) {
  const clock = new SimulatedClock();
  const arrived = new Deferred<void>();
  const objectStore = new MemoryObjectStore({ beforeChunk: () => arrived.promise });
  const options = { clock, readDeadlineMs: DEADLINE_MS, stallTimeoutMs: 2 * DEADLINE_MS };
  const { stores, reads } = createStores(objectStore, options);
  t.teardown(() => stores.close());
  const version = objectStore.put('a', { size: SIZE, seed: 1 });
  const open = () => {
    const content = stores.open(version);
    return {
      content,
      /** How a read ends, or that it waits. */
      async read(offset: number, length = PAGE): Promise<string> {
        const target = new Uint8Array(length);
        let end = 'waits';
        content.read(target, offset).then(
          () => (end = findPatternMismatch(target, 1, offset) === -1 ? 'right' : 'wrong'),
          (error: Error) => (end = error.message),
        );
        await settle();
        return end;
      },
    };
  };
  const first = open();
  const ahead = first.content.read(new Uint8Array(128 * KIB), 0);
  await settle();
  clock.advance(DEADLINE_MS);
  await t.rejects(ahead, { code: 'deadline' });
  return { clock, stores, reads, first, open, arrive: () => arrived.resolve() };
}

const END = 'bytes 0-131071 of a did not arrive within 60000 ms (no answer yet)';

t.test('eight processes, one after the other, share the end of the read ahead of them', async (t) => {
  const { reads, open } = await setUp(t);
  for (let process = 0; process < 8; process += 1) t.equal(await open().read(PAGE), END);
  t.equal(reads.inFlightCount, 0);
  const exits = reads.recent().filter(({ event }) => event === 'EXIT');
  t.same(
    exits.map(({ result, waitedMs }) => ({ result, waitedMs })),
    [DEADLINE_MS, 0, 0, 0, 0, 0, 0, 0, 0].map((waitedMs) => ({ result: 'deadline', waitedMs })),
  );
});

t.test('who tries again later, or wants other bytes, waits', async (t) => {
  const { clock, reads, first } = await setUp(t);
  t.equal(await first.read(128 * KIB), 'waits');
  clock.advance(101);
  t.equal(await first.read(0), 'waits');
  t.equal(reads.inFlightCount, 2);
});

t.test('bytes that come after all are read', async (t) => {
  const { first, arrive } = await setUp(t);
  t.equal(await first.read(0), END);
  arrive();
  await settle();
  t.equal(await first.read(0), 'right');
  t.equal(await first.read(0, SIZE), 'right');
});

t.test('who opens an object that nobody has open any more waits', async (t) => {
  const { first, open } = await setUp(t);
  const second = open();
  first.content.close();
  const third = open();
  t.equal(await third.read(0), END, 'the second has it open still');
  second.content.close();
  third.content.close();
  t.equal(await open().read(0), 'waits');
});

t.test('the end of the store comes before that of another read', async (t) => {
  const { stores, first } = await setUp(t);
  await stores.close();
  t.equal(await first.read(0), 'the file was closed while it was read');
});
