/** What of a local copy is trusted after an unclean end, with real files: flipped bytes, holes, cuts, and who waits. */
import { readSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { Slots } from '../../src/object-store/slots.js';
import { BLOCK_BYTES } from '../../src/runtime/block-checksums.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { settle } from '../support/store-harness.js';
import { functions, LeftCopy } from './left-copy.js';
import type { LeftCopyOptions } from './left-copy.js';

const directory = t.testdir({});
let copies = 0;

function leftCopy(size: number, options?: LeftCopyOptions): Promise<LeftCopy> {
  return LeftCopy.of(join(directory, `copy${(copies += 1)}`), size, options);
}

/** Sums as the addon would, each when the test says so. */
class HeldSums {
  readonly asked: number[] = [];
  readonly #asked = new Map<number, Deferred<void>>();
  readonly #released = new Map<number, Deferred<void>>();

  readonly checksumRange = async (descriptor: number, start: number, end: number): Promise<number> => {
    const block = start / BLOCK_BYTES;
    this.asked.push(block);
    this.#step(this.#asked, block).resolve();
    await this.#step(this.#released, block).promise;
    const bytes = new Uint8Array(end - start);
    readSync(descriptor, bytes, 0, bytes.length, start);
    return functions.crc32c(bytes, 0, bytes.length, 0);
  };

  /** The sum of `block` has been asked for. */
  reached(block: number): Promise<void> {
    return this.#step(this.#asked, block).promise;
  }

  /** Gives the sum of each of `blocks`, now or once it is asked for. */
  release(...blocks: readonly number[]): void {
    for (const block of blocks) this.#step(this.#released, block).resolve();
  }

  #step(steps: Map<number, Deferred<void>>, block: number): Deferred<void> {
    const step = steps.get(block) ?? new Deferred<void>();
    steps.set(block, step);
    return step;
  }
}

t.test('a whole copy is published again, and its CRC32Cs stay', async (t) => {
  const copy = await leftCopy(3 * BLOCK_BYTES + 77);
  const verifier = copy.verifier();
  verifier.start();
  t.same(await verifier.done, { blocksRight: 4, blocksWrong: 0 });
  t.same(copy.published, [0, 1, 2, 3]);
  t.ok(copy.availability.complete);
  t.notOk(copy.blocks.combined('crc32c') === undefined);
  t.equal(copy.blocks.combined('crc32'), undefined, 'what was not checked is not relied on');
  t.same(copy.lines, []);
});

t.test('one flipped byte costs its block, wherever it lies', async (t) => {
  const size = 3 * BLOCK_BYTES + 77;
  const places: Readonly<Record<string, number>> = {
    'the first byte': 0,
    'the last byte of a block': BLOCK_BYTES - 1,
    'the first byte of a block': BLOCK_BYTES,
    'a byte in the middle of a page': BLOCK_BYTES + 4096 * 5 + 99,
    'the first byte of the last block, which is short': 3 * BLOCK_BYTES,
    'the last byte': size - 1,
  };
  for (const [place, offset] of Object.entries(places)) {
    const copy = await leftCopy(size);
    copy.flip(offset);
    const verifier = copy.verifier();
    verifier.start();
    t.same(await verifier.done, { blocksRight: 3, blocksWrong: 1 }, place);
    const bad = Math.floor(offset / BLOCK_BYTES);
    t.same(
      copy.published,
      copy.all.filter((block) => block !== bad),
      place,
    );
    t.same(copy.blocks.missingBlocks(), [bad], 'its sum is forgotten');
    t.same(copy.availability.missing({ start: 0, end: size }), [copy.blocks.blockRange(bad)]);
    await copy.file.close();
  }
});

t.test(
  'any damage to any blocks: what is published is right, and all that is right is published',
  async (t) => {
    const size = 6 * BLOCK_BYTES + 4097;
    const damages = fc.record({
      written: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 7 }),
      flips: fc.array(fc.integer({ min: 0, max: size - 1 }), { maxLength: 4 }),
      needed: fc.array(fc.integer({ min: 0, max: size - 1 }), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(damages, async ({ written, flips, needed }) => {
        // At least one, so that there is a file to damage.
        const copy = await leftCopy(size, { written: [0, ...written.filter((block) => block > 0)] });
        const bad = new Set<number>();
        for (const offset of new Set(flips)) {
          copy.flip(offset);
          bad.add(Math.floor(offset / BLOCK_BYTES));
        }
        const good = copy.all.filter((block) => (block === 0 || written.includes(block)) && !bad.has(block));
        const verifier = copy.verifier();
        await Promise.all(
          needed.map(async (offset) => {
            await verifier.need({ start: offset, end: offset + 1 });
            t.equal(
              copy.availability.has({ start: offset, end: offset + 1 }),
              good.includes(Math.floor(offset / BLOCK_BYTES)),
            );
          }),
        );
        verifier.start();
        await verifier.done;
        t.same(
          copy.published.toSorted((a, b) => a - b),
          good,
        );
        await copy.file.close();
      }),
      { numRuns: 25 },
    );
  },
);

t.test('holes are not zeros of the object, and blocks that nobody summed are not looked at', async (t) => {
  const sums = new HeldSums();
  const copy = await leftCopy(4 * BLOCK_BYTES, { written: [1], deps: sums });
  const hole = copy.blocks.blockRange(2);
  // As a map that reached the disk where the data did not.
  copy.blocks.record(2, 0x12345678, undefined);
  sums.release(1, 2);
  const verifier = copy.verifier();
  verifier.start();
  t.same(await verifier.done, { blocksRight: 1, blocksWrong: 1 });
  t.same(sums.asked, [1, 2]);
  t.same(copy.published, [1]);
  t.notOk(copy.availability.has({ start: hole.start, end: hole.start + 1 }));
});

t.test(
  'a file of another length is not trusted at all, nor one that is gone or cannot be read',
  async (t) => {
    const cut = await leftCopy(3 * BLOCK_BYTES);
    truncateSync(cut.path, 3 * BLOCK_BYTES - 1);
    const grown = await leftCopy(3 * BLOCK_BYTES);
    truncateSync(grown.path, 3 * BLOCK_BYTES + 1);
    const failing = await leftCopy(3 * BLOCK_BYTES, {
      deps: { checksumRange: () => Promise.reject(new Error('EIO')) },
    });
    const gone = await leftCopy(3 * BLOCK_BYTES);
    await gone.file.close();
    for (const copy of [cut, grown, failing, gone]) {
      const verifier = copy.verifier();
      verifier.start();
      await Promise.all([
        verifier.need({ start: 0, end: 1 }),
        verifier.need({ start: BLOCK_BYTES, end: copy.size }),
      ]);
      t.same(await verifier.done, { blocksRight: 0, blocksWrong: 3 });
      t.same(copy.published, []);
      t.same(copy.blocks.missingBlocks(), [0, 1, 2]);
      t.match(copy.lines, [{ level: 40, store: 's1' }], 'said once');
      t.equal(copy.lines.length, 1);
    }
  },
);

t.test('a file that is cut while it is read is not trusted from there on', async (t) => {
  const copy = await leftCopy(3 * BLOCK_BYTES);
  const verifier = copy.verifier();
  await verifier.need({ start: 0, end: 1 });
  truncateSync(copy.path, BLOCK_BYTES + 5);
  await verifier.need({ start: BLOCK_BYTES, end: BLOCK_BYTES + 1 });
  await verifier.done;
  t.same(copy.published.slice(0, 1), [0]);
  t.notOk(copy.published.includes(2));
  t.notOk(copy.availability.has({ start: 2 * BLOCK_BYTES, end: 2 * BLOCK_BYTES + 1 }));
});

t.test('what a reader needs comes at once, whatever the background waits for', async (t) => {
  const turns = new Slots(1);
  t.ok(await turns.acquire(new AbortController().signal), 'another store has the turn');
  const copy = await leftCopy(4 * BLOCK_BYTES, { deps: { turns } });
  const verifier = copy.verifier();
  verifier.start();
  await settle();
  t.same(copy.published, []);
  await verifier.need({ start: 2 * BLOCK_BYTES + 1, end: 3 * BLOCK_BYTES + 1 });
  t.same(copy.published, [2, 3]);
  turns.release();
  await verifier.done;
  t.same(copy.published, [2, 3, 0, 1]);
  t.ok(await turns.acquire(new AbortController().signal), 'the turn is free again');
});

t.test('many who need one block wait for one look at it, the background among them', async (t) => {
  const sums = new HeldSums();
  const copy = await leftCopy(2 * BLOCK_BYTES, { deps: sums });
  const verifier = copy.verifier();
  verifier.start();
  const needs = [5, 5, 900].map((start) => verifier.need({ start, end: start + 10 }));
  await sums.reached(0);
  await settle();
  t.same(sums.asked, [0]);
  sums.release(0);
  await Promise.all(needs);
  t.same(copy.published, [0]);
  sums.release(1);
  await verifier.done;
  t.same(sums.asked, [0, 1]);
  await verifier.need({ start: 0, end: copy.size });
  t.same(sums.asked, [0, 1], 'what is known is not looked at again');
});

t.test('a block that a fetch brings meanwhile is summed anew when the copy is complete', async (t) => {
  const sums = new HeldSums();
  const copy = await leftCopy(3 * BLOCK_BYTES, { deps: sums });
  const verifier = copy.verifier();
  verifier.start();
  copy.availability.publish(copy.blocks.blockRange(1));
  sums.release(0, 2);
  t.same(await verifier.done, { blocksRight: 2, blocksWrong: 0 });
  t.same(copy.published, [0, 2]);
  t.same(copy.blocks.missingBlocks(), [1]);
});

t.test('stopping ends the waits; nothing is published after it, and what was noted stays', async (t) => {
  const sums = new HeldSums();
  const copy = await leftCopy(3 * BLOCK_BYTES, { deps: sums });
  const verifier = copy.verifier();
  verifier.start();
  const need = verifier.need({ start: 0, end: copy.size });
  await sums.reached(0);
  verifier.stop();
  verifier.stop();
  sums.release(0);
  await need;
  t.same(await verifier.done, { blocksRight: 0, blocksWrong: 0 });
  t.same(sums.asked, [0]);
  t.same(copy.published, []);
  t.same(copy.blocks.missingBlocks(), []);
  await verifier.need({ start: 0, end: 1 });
  t.same(sums.asked, [0]);

  const untouched = (await leftCopy(BLOCK_BYTES)).verifier();
  untouched.stop();
  t.same(await untouched.done, { blocksRight: 0, blocksWrong: 0 });
});

t.test('an empty copy needs no look', async (t) => {
  const verifier = (await leftCopy(0)).verifier();
  await verifier.need({ start: 0, end: 0 });
  t.same(await verifier.done, { blocksRight: 0, blocksWrong: 0 });
});
