/**
 * The five concurrency scenarios of the TempFileStore under a scheduler that fast-check drives: every chunk from the
 * object store, every access to the local file and every reader's next step is a task whose order is random but
 * replayable (a failure prints its seed and path; RACE_RUNS and RACE_SEED set how many and which). After each run
 * all gauges must be at zero. The fourth scenario, stress with real threads, is scripts/stress-test.sh.
 */
import fc from 'fast-check';
import t from 'tap';
import type { Test } from 'tap';
import { ContentError } from '../../src/file/content.js';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { MemoryFile } from '../support/memory-file.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { createStores } from '../support/store-harness.js';

const RUNS = Number(process.env['RACE_RUNS'] ?? 60);
/** Not shrunk: the seed and path that a failure prints repeat it, and shrinking takes minutes. */
const REPLAY = {
  endOnFailure: true,
  ...(process.env['RACE_SEED'] === undefined ? {} : { seed: Number(process.env['RACE_SEED']) }),
};
const KIB = 1024;

interface World extends ReturnType<typeof createStores> {
  readonly objectStore: MemoryObjectStore;
  readonly step: () => Promise<void>;
}

/** Small parts and chunks, so that a few hundred KiB make many interleavings. */
function createWorld(scheduler: fc.Scheduler): World {
  const step = () => scheduler.schedule(Promise.resolve());
  const objectStore = new MemoryObjectStore({ chunkBytes: 24 * KIB, beforeChunk: step });
  const harness = createStores(objectStore, {
    connectionsMax: 3,
    partBytesMax: 64 * KIB,
    prefetchBytesMax: 256 * KIB,
    createFile: (_path, size) => new MemoryFile(size, { step }),
  });
  return { ...harness, objectStore, step };
}

function assertQuiet({ stores, reads, scheduler }: World): void {
  const gauges = { open: stores.openCount, reads: reads.inFlightCount, requests: scheduler.running };
  for (const [name, value] of Object.entries(gauges))
    if (value !== 0) throw new Error(`${value} ${name} left over`);
  for (const { readsWaiting, partsInFlight, id } of stores.status(100).stores) {
    if (readsWaiting + partsInFlight > 0)
      throw new Error(`${id}: ${readsWaiting} waiting, ${partsInFlight} in flight`);
  }
}

async function readAndCheck(
  world: World,
  key: string,
  seed: number,
  reads: readonly ReadSpec[],
): Promise<void> {
  const content = world.stores.open(world.objectStore.version(key));
  const { size } = content.version;
  try {
    for (const { at, length } of reads) {
      await world.step();
      const offset = at % size;
      const target = new Uint8Array(length);
      const bytes = await content.read(target, offset);
      if (bytes !== Math.min(length, size - offset))
        throw new Error(`${bytes} bytes at ${offset} of ${size}`);
      const wrong = findPatternMismatch(target.subarray(0, bytes), seed, offset);
      if (wrong !== -1) throw new Error(`wrong byte at ${wrong}`);
    }
  } finally {
    content.close();
  }
}

interface ReadSpec {
  readonly at: number;
  readonly length: number;
}

const readSpec = fc.record({ at: fc.nat(), length: fc.integer({ min: 1, max: 100 * KIB }) });
const readSpecs = fc.array(readSpec, { minLength: 1, maxLength: 6 });
const sequential: readonly ReadSpec[] = Array.from({ length: 20 }, (_, at) => ({
  at: at * 16 * KIB,
  length: 16 * KIB,
}));
const sizes = fc.integer({ min: 1, max: 400 * KIB });

function race<Ts extends [unknown, ...unknown[]]>(
  t: Test,
  arbitraries: { [K in keyof Ts]: fc.Arbitrary<Ts[K]> },
  body: (world: World, ...values: Ts) => Promise<void>,
): Promise<void> {
  const property = fc.asyncProperty(fc.scheduler(), fc.tuple(...arbitraries), async (scheduler, values) => {
    const world = createWorld(scheduler);
    await scheduler.waitFor(body(world, ...(values as unknown as Ts)));
    await scheduler.waitIdle();
    await new Promise((resolve) => setImmediate(resolve));
    assertQuiet(world);
  });
  return fc.assert(property, { numRuns: RUNS, ...REPLAY }).then(() => void t.pass(`${RUNS} schedules`));
}

t.test('1. concurrent readers of one object get its bytes, and each byte is fetched once', async (t) => {
  const readers = fc.array(readSpecs, { minLength: 2, maxLength: 5 });
  await race<[number, ReadSpec[][]]>(t, [sizes, readers], async (world, size, readers) => {
    world.objectStore.put('o', { size, seed: 1 });
    // One handle stays open throughout, so that no close stops a download on the way.
    const keeper = world.stores.open(world.objectStore.version('o'));
    await Promise.all([...readers, sequential].map((reads) => readAndCheck(world, 'o', 1, reads)));
    keeper.close();
    if (world.objectStore.bytesFetched('o') > size) throw new Error('a byte was fetched twice');
  });
});

t.test('2. a read against the close of its handle ends, in bytes or as closed', async (t) => {
  await race<[number, ReadSpec[]]>(t, [sizes, readSpecs], async (world, size, reads) => {
    world.objectStore.put('o', { size, seed: 2 });
    const content = world.stores.open(world.objectStore.version('o'));
    const pending = reads.map(async ({ at, length }) => {
      await world.step();
      const target = new Uint8Array(length);
      try {
        const bytes = await content.read(target, at % size);
        if (findPatternMismatch(target.subarray(0, bytes), 2, at % size) !== -1)
          throw new Error('wrong bytes');
      } catch (error) {
        if (!(error instanceof ContentError) || !['closed', 'aborted'].includes(error.code)) throw error;
      }
    });
    await world.step();
    content.close();
    await Promise.all(pending);
  });
});

t.test('3. several stores in parallel do not disturb each other', async (t) => {
  const objects = fc.array(fc.tuple(sizes, readSpecs), { minLength: 2, maxLength: 5 });
  await race<[[number, ReadSpec[]][]]>(t, [objects], async (world, objects) => {
    await Promise.all(
      objects.map(async ([size, reads], index) => {
        world.objectStore.put(`o${index}`, { size, seed: index });
        await Promise.all([reads, sequential].map((specs) => readAndCheck(world, `o${index}`, index, specs)));
      }),
    );
  });
});

t.test('4. opens, reads and closes of few objects under a budget that evicts', async (t) => {
  const sessions = fc.array(fc.tuple(fc.nat(2), readSpecs), { minLength: 3, maxLength: 8 });
  const property = fc.asyncProperty(fc.scheduler(), sessions, async (scheduler, sessions) => {
    const step = () => scheduler.schedule(Promise.resolve());
    const objectStore = new MemoryObjectStore({ chunkBytes: 24 * KIB, beforeChunk: step });
    const harness = createStores(objectStore, {
      connectionsMax: 3,
      partBytesMax: 64 * KIB,
      cacheBytesMax: 150 * KIB,
      createFile: (_path, size) => new MemoryFile(size, { step }),
    });
    const world = { ...harness, objectStore, step };
    for (let index = 0; index < 3; index += 1) objectStore.put(`o${index}`, { size: 100 * KIB, seed: index });
    const all = sessions.map(([index, reads]) => readAndCheck(world, `o${index}`, index, reads));
    await scheduler.waitFor(Promise.all(all));
    await scheduler.waitIdle();
    await new Promise((resolve) => setImmediate(resolve));
    assertQuiet(world);
    if (world.copies.bytes > 150 * KIB) throw new Error(`${world.copies.bytes} bytes kept`);
  });
  await fc.assert(property, { numRuns: RUNS, ...REPLAY });
  t.pass(`${RUNS} schedules`);
});

t.test(
  '5. an early close while the download runs stops it; a later open goes on where it stopped',
  async (t) => {
    await race<[number, number]>(t, [sizes, fc.nat(30)], async (world, size, steps) => {
      world.objectStore.put('o', { size, seed: 5 });
      const content = world.stores.open(world.objectStore.version('o'));
      const first = content.read(new Uint8Array(Math.min(size, 10 * KIB)), 0).catch((error: unknown) => {
        if (!(error instanceof ContentError)) throw error;
      });
      for (let step = 0; step < steps; step += 1) await world.step();
      content.close();
      await first;
      const requests = world.objectStore.requests.length;
      for (let step = 0; step < 50; step += 1) await world.step();
      if (world.objectStore.requests.length > requests)
        throw new Error('a closed file is still being fetched');
      await readAndCheck(world, 'o', 5, sequential);
    });
  },
);
