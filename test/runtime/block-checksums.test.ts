/** BlockChecksums and the BlockChecksummer that fills it, beside CRCs of the whole object computed plainly. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import t from 'tap';
import { loadNativeAddon } from '../../src/native.js';
import { BlockChecksummer } from '../../src/runtime/block-checksummer.js';
import { BLOCK_BYTES, BlockChecksums } from '../../src/runtime/block-checksums.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import type { CrcKind } from '../../src/runtime/crc.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { serverCrcOf } from '../support/plain-crc.js';

const functions = checksumFunctions(loadNativeAddon());
const KINDS: readonly CrcKind[] = ['crc32', 'crc32c', 'crc64nvme'];

function patternOf(size: number): Uint8Array {
  return fillPattern(new Uint8Array(size), 11, 0);
}

/** A part as a transport passes it on: chunks of its bytes, somewhere in a buffer. */
function pass(checksums: BlockChecksums, bytes: Uint8Array, start: number, end: number, chunkBytes: number) {
  const summer = new BlockChecksummer(checksums, functions, start);
  const buffer = new Uint8Array(chunkBytes + 3);
  for (let at = start; at < end;) {
    const length = Math.min(chunkBytes, end - at);
    buffer.set(bytes.subarray(at, at + length), 3);
    summer.update(buffer, 3, 3 + length);
    at += length;
  }
}

t.test('an empty object has no blocks, and the CRC of nothing', async (t) => {
  const checksums = BlockChecksums.create(0);
  t.equal(checksums.blocks, 0);
  t.same(checksums.missingBlocks(), []);
  t.equal(checksums.combined('crc32c'), 0n);
});

t.test('blocks are of 1 MiB, the last of what is left', async (t) => {
  const checksums = BlockChecksums.create(2 * BLOCK_BYTES + 5);
  t.equal(checksums.blocks, 3);
  t.same(checksums.blockRange(1), { start: BLOCK_BYTES, end: 2 * BLOCK_BYTES });
  t.same(checksums.blockRange(2), { start: 2 * BLOCK_BYTES, end: 2 * BLOCK_BYTES + 5 });
  t.throws(() => checksums.blockRange(3), /block 3 of 3/);
  t.equal(BlockChecksums.create(BLOCK_BYTES).blocks, 1);
});

t.test('a block that is forgotten is summed anew, and counts for the whole again', async (t) => {
  const bytes = patternOf(34 * BLOCK_BYTES);
  const checksums = BlockChecksums.create(bytes.length);
  checksums.expectKind('crc32');
  pass(checksums, bytes, 0, bytes.length, BLOCK_BYTES);
  for (const block of [0, 31, 32]) {
    checksums.forget(block);
    t.same(checksums.missingBlocks(), [block]);
    t.equal(checksums.crc32c(block), undefined);
    t.equal(checksums.combined('crc32'), undefined);
    pass(checksums, bytes, block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES, BLOCK_BYTES);
  }
  t.equal(checksums.combined('crc32'), await serverCrcOf('crc32', bytes));
  t.equal(checksums.combined('crc32c'), await serverCrcOf('crc32c', bytes));
  checksums.forgetOwn();
  t.equal(checksums.kind, undefined);
  t.equal(checksums.combined('crc32'), undefined);
  t.equal(checksums.combined('crc32c'), await serverCrcOf('crc32c', bytes));
  checksums.expectKind('crc64nvme');
  t.equal(checksums.missingBlocks().length, 34);
});

t.test('parts in any order and any chunks give the CRC of the whole, of each kind', async (t) => {
  const size = 5 * BLOCK_BYTES + 12_345;
  const bytes = patternOf(size);
  for (const kind of KINDS) {
    const expected = await serverCrcOf(kind, bytes);
    const expected32c = await serverCrcOf('crc32c', bytes);
    const parts = fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 5 }).chain((cuts) => {
      const sorted = [0, ...cuts.toSorted((a, b) => a - b), 6];
      const pieces = sorted.slice(0, -1).map((from, i) => [from, sorted[i + 1] ?? 6] as const);
      return fc.shuffledSubarray(pieces, { minLength: pieces.length });
    });
    const chunks = fc.oneof(
      fc.integer({ min: 1000, max: 70_000 }),
      fc.constantFrom(BLOCK_BYTES, 3 * BLOCK_BYTES),
    );
    fc.assert(
      fc.property(parts, chunks, (parts, chunkBytes) => {
        const checksums = BlockChecksums.create(size);
        checksums.expectKind(kind);
        for (const [from, to] of parts) {
          t.equal(checksums.combined(kind), undefined, 'not before all is there');
          pass(checksums, bytes, from * BLOCK_BYTES, Math.min(to * BLOCK_BYTES, size), chunkBytes);
        }
        t.same(checksums.missingBlocks(), []);
        t.equal(checksums.combined(kind), expected);
        t.equal(checksums.combined('crc32c'), expected32c);
      }),
      { numRuns: 15 },
    );
  }
});

t.test(
  'only blocks that a part holds whole are known, and others are summed by whoever sees them',
  async (t) => {
    const size = 4 * BLOCK_BYTES + 100;
    const bytes = patternOf(size);
    const expected = await serverCrcOf('crc64nvme', bytes);
    const edges = fc.array(fc.integer({ min: 0, max: size }), { minLength: 2, maxLength: 2 });
    fc.assert(
      fc.property(fc.array(edges, { minLength: 1, maxLength: 6 }), (parts) => {
        const checksums = BlockChecksums.create(size);
        checksums.expectKind('crc64nvme');
        for (const part of parts) {
          const [start = 0, end = 0] = part.toSorted((a, b) => a - b);
          pass(checksums, bytes, start, end, 300_000);
        }
        const isWhole = (block: number) =>
          parts.some((part) => {
            const range = checksums.blockRange(block);
            return Math.min(...part) <= range.start && range.end <= Math.max(...part);
          });
        for (let block = 0; block < checksums.blocks; block++) {
          t.equal(checksums.isKnown(block), isWhole(block), `block ${block}`);
        }
        for (const block of checksums.missingBlocks()) {
          const { start, end } = checksums.blockRange(block);
          pass(checksums, bytes, start, end, end - start);
        }
        t.equal(checksums.combined('crc64nvme'), expected);
      }),
      { numRuns: 25 },
    );
  },
);

t.test('a kind that is told late lacks in the blocks before, and in the one under way', async (t) => {
  const bytes = patternOf(3 * BLOCK_BYTES);
  const checksums = BlockChecksums.create(bytes.length);
  const summer = new BlockChecksummer(checksums, functions, 0);
  summer.update(bytes, 0, BLOCK_BYTES + 10);
  t.same(checksums.missingBlocks(), [1, 2], 'nothing more is asked of block 0 yet');
  checksums.expectKind('crc32');
  summer.update(bytes, BLOCK_BYTES + 10, bytes.length);
  t.same(checksums.missingBlocks(), [0, 1]);
  t.equal(checksums.combined('crc32'), undefined);
  t.equal(checksums.combined('crc32c'), await serverCrcOf('crc32c', bytes), 'this needs no telling');
  pass(checksums, bytes, 0, 2 * BLOCK_BYTES, BLOCK_BYTES);
  t.equal(checksums.combined('crc32'), await serverCrcOf('crc32', bytes));
  t.equal(checksums.combined('crc64nvme'), undefined, 'nobody asked for it');
});

t.test('a kind is told once', async (t) => {
  const checksums = BlockChecksums.create(10);
  t.equal(checksums.kind, undefined);
  checksums.expectKind('crc32c');
  checksums.expectKind('crc32c');
  t.equal(checksums.kind, 'crc32c');
  t.throws(() => checksums.expectKind('crc32'), /crc32c and crc32/);
});

t.test('the first record of a block stays', async (t) => {
  const checksums = BlockChecksums.create(10);
  checksums.expectKind('crc64nvme');
  t.equal(checksums.crc32c(0), undefined);
  checksums.record(0, 1, undefined);
  t.notOk(checksums.isKnown(0));
  checksums.record(0, 2, 3n);
  t.equal(checksums.crc32c(0), 1);
  checksums.record(0, 4, 5n);
  t.equal(checksums.combined('crc64nvme'), 3n);
});

t.test('without the addon CRC64NVME stays unknown, the others do not', async (t) => {
  const bytes = patternOf(BLOCK_BYTES + 1);
  const plain = checksumFunctions(undefined);
  for (const kind of KINDS) {
    const checksums = BlockChecksums.create(bytes.length);
    checksums.expectKind(kind);
    new BlockChecksummer(checksums, plain, 0).update(bytes, 0, bytes.length);
    t.equal(checksums.combined('crc32c'), await serverCrcOf('crc32c', bytes));
    t.equal(checksums.combined(kind), kind === 'crc64nvme' ? undefined : await serverCrcOf(kind, bytes));
  }
});

t.test('more bytes than the object has are a bug', async (t) => {
  const summer = new BlockChecksummer(BlockChecksums.create(10), functions, 5);
  t.throws(() => summer.update(new Uint8Array(6), 0, 6), /6 bytes at 5 of 10/);
});

t.test('a worker thread fills the same checksums', async (t) => {
  const bytes = patternOf(2 * BLOCK_BYTES + 9);
  const checksums = BlockChecksums.create(bytes.length);
  checksums.expectKind('crc64nvme');
  const source = `
    const { workerData } = require('node:worker_threads');
    const { modules, memory, bytes } = workerData;
    Promise.all(modules.map((url) => import(url))).then(([native, functions, checksums, summer]) => {
      new summer.BlockChecksummer(
        checksums.BlockChecksums.attach(memory),
        functions.checksumFunctions(native.loadNativeAddon()),
        0,
      ).update(bytes, 0, bytes.length);
    });`;
  const modules = [
    '../../src/native.js',
    '../../src/runtime/checksum-functions.js',
    '../../src/runtime/block-checksums.js',
    '../../src/runtime/block-checksummer.js',
  ].map((name) => new URL(name, import.meta.url).href);
  const worker = new Worker(source, { eval: true, workerData: { modules, memory: checksums.memory, bytes } });
  const [status] = (await once(worker, 'exit')) as [number];
  t.equal(status, 0);
  t.equal(checksums.combined('crc64nvme'), await serverCrcOf('crc64nvme', bytes));
});
