/** Blocks that no transport summed: which of them are, when, and what is not recorded. */
import t from 'tap';
import { WholeBlocks } from '../../src/file/whole-blocks.js';
import { Availability } from '../../src/runtime/availability.js';
import { BLOCK_BYTES, BlockChecksums } from '../../src/runtime/block-checksums.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { MemoryFile } from '../support/memory-file.js';
import { serverCrcOf } from '../support/plain-crc.js';
import { settle } from '../support/store-harness.js';

const SIZE = 3 * BLOCK_BYTES + 777;
const bytes = fillPattern(new Uint8Array(SIZE), 4, 0);

class Rig {
  readonly availability = Availability.create(SIZE);
  readonly blocks = BlockChecksums.create(SIZE);
  readonly reads: number[] = [];
  onRead: () => Promise<void> | void = () => {};
  readonly #file = new MemoryFile(SIZE, {
    step: (operation, offset) => {
      if (operation === 'write') return undefined;
      this.reads.push(offset / BLOCK_BYTES);
      return this.onRead();
    },
  });
  readonly whole = new WholeBlocks(this, this.#file, checksumFunctions(undefined));

  async arrive(start: number, end: number): Promise<void> {
    await this.#file.write([bytes.subarray(start, end)], start);
    this.availability.publish({ start, end });
    this.whole.arrived({ start, end });
  }

  get known(): number[] {
    return [0, 1, 2, 3].filter((block) => this.blocks.crc32c(block) !== undefined);
  }
}

t.test('a block is summed when its last piece has come, in any order of pieces', async (t) => {
  const rig = new Rig();
  await rig.arrive(4096, BLOCK_BYTES + 8192);
  await rig.arrive(3 * BLOCK_BYTES - 4096, SIZE);
  await settle();
  t.same(rig.known, [3], 'the last one is short');
  await rig.arrive(BLOCK_BYTES + 8192, 3 * BLOCK_BYTES - 4096);
  await rig.arrive(0, 4096);
  await settle();
  t.same(rig.known, [0, 1, 2, 3]);
  t.same(
    rig.reads.toSorted((a, b) => a - b),
    [0, 1, 2, 3],
    'each is read once',
  );
  t.equal(rig.blocks.combined('crc32c'), await serverCrcOf('crc32c', bytes));
});

t.test('the object’s own kind is summed with it', async (t) => {
  const rig = new Rig();
  rig.blocks.expectKind('crc32');
  await rig.arrive(0, SIZE);
  await settle();
  t.equal(rig.blocks.combined('crc32'), await serverCrcOf('crc32', bytes));
});

t.test('what a transport summed is not read again', async (t) => {
  const rig = new Rig();
  rig.blocks.record(0, 1, undefined);
  await rig.arrive(0, 2 * BLOCK_BYTES);
  await settle();
  t.same(rig.reads, [1]);
  t.equal(rig.blocks.crc32c(0), 1);
});

t.test('a block that was cleared while it was read is not recorded', async (t) => {
  const rig = new Rig();
  const hold = new Deferred<void>();
  rig.onRead = () => hold.promise;
  await rig.arrive(0, BLOCK_BYTES);
  await settle();
  rig.availability.clear({ start: 0, end: BLOCK_BYTES });
  hold.resolve();
  await settle();
  t.same([rig.reads, rig.known], [[0], []]);
  rig.onRead = () => {};
  await rig.arrive(0, BLOCK_BYTES);
  await settle();
  t.same(rig.known, [0], 'it came again');
});

t.test('a file that cannot be read, and closing, end it', async (t) => {
  const failing = new Rig();
  failing.onRead = () => Promise.reject(new Error('EIO'));
  await failing.arrive(0, 2 * BLOCK_BYTES);
  await settle();
  const closing = new Rig();
  const hold = new Deferred<void>();
  closing.onRead = () => hold.promise;
  await closing.arrive(0, 2 * BLOCK_BYTES);
  await settle();
  closing.whole.close();
  hold.resolve();
  await settle();
  for (const rig of [failing, closing]) {
    await rig.arrive(2 * BLOCK_BYTES, 3 * BLOCK_BYTES);
    await settle();
    t.same([rig.reads, rig.known], [[0], []]);
  }
});
