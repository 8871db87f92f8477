/** The local copy beside the checksum that the server keeps: when it is asked, what is summed, and what comes of it. */
import t from 'tap';
import { StoreChecksums } from '../../src/file/store-checksums.js';
import { NO_CHECKSUMS } from '../../src/object-store/object-checksums.js';
import type { ObjectChecksums } from '../../src/object-store/object-store.js';
import { createLogger } from '../../src/observability/logger.js';
import { Availability } from '../../src/runtime/availability.js';
import { BlockChecksummer } from '../../src/runtime/block-checksummer.js';
import { BLOCK_BYTES, BlockChecksums } from '../../src/runtime/block-checksums.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { MemoryFile } from '../support/memory-file.js';
import { serverCrcOf } from '../support/plain-crc.js';
import { checksumDeps, NO_SUMS, settle } from '../support/store-harness.js';
import { crcOf, MIB, Rig, told, versionOf, WRONG } from './checksums-rig.js';

t.test(
  'the server is asked once, about this version, when a quarter of the object has arrived',
  async (t) => {
    const rig = new Rig(16 * MIB);
    await rig.arrive(8 * MIB, 11 * MIB);
    await rig.arrive(0, MIB - 4096);
    await settle();
    t.equal(rig.asked.length, 0);
    await rig.arrive(MIB - 4096, MIB);
    await rig.arrive(MIB, 2 * MIB);
    await settle();
    t.same(
      rig.asked.map(({ version }) => version),
      [versionOf(16 * MIB)],
    );
    rig.checksums.close();
  },
);

t.test('or when 64 MiB have, of a large object; and a small one when it is complete', async (t) => {
  const availability = Availability.create(1024 * MIB);
  let asked = 0;
  const objectChecksums = () => {
    asked += 1;
    return new Promise<ObjectChecksums>(() => {});
  };
  const deps = {
    logger: createLogger('info', { write() {} }),
    checksums: checksumDeps({ ...NO_SUMS, objectChecksums }),
    onCorrupt() {},
  };
  const large = new StoreChecksums(
    { id: 's1', version: versionOf(1024 * MIB), availability },
    new MemoryFile(0),
    deps,
  );
  for (let read = 0; read < 255; read++) {
    availability.publish({ start: read * 4 * MIB, end: read * 4 * MIB + MIB / 4 });
    large.advanced();
  }
  await settle();
  t.equal(asked, 0, 'random reads of a little less');
  availability.publish({ start: 2 * MIB, end: 2 * MIB + MIB / 4 });
  large.advanced();
  await settle();
  t.equal(asked, 1);
  large.close();
  const small = new Rig(10);
  await small.arrive(0, 10);
  await settle();
  t.equal(small.asked.length, 1);
});

t.test('blocks that were summed on the way are not read again, whenever the answer comes', async (t) => {
  const size = 4 * MIB + 10;
  for (const answered of ['before', 'after'] as const) {
    const rig = new Rig(size);
    const answer = await crcOf('crc32c', rig.bytes);
    await rig.arrive(0, 2 * MIB, 'sums');
    if (answered === 'before') rig.answer.resolve(answer);
    await settle();
    await rig.arrive(2 * MIB, 3 * MIB + 4096);
    await rig.arrive(3 * MIB + 4096, size, 'sums');
    await settle();
    t.equal(rig.checksums.result, answered === 'before' ? 'matches' : 'unknown');
    rig.answer.resolve(answer);
    await settle();
    t.equal(rig.checksums.result, 'matches');
    t.same(rig.reads, [2 * MIB, 3 * MIB], 'the block nobody summed, and the one that no part held whole');
    t.equal(rig.corrupt, 0);
  }
});

t.test('blocks that were summed before the object’s own kind was known are read again for it', async (t) => {
  const rig = new Rig(4 * MIB);
  await rig.arrive(0, 2 * MIB, 'sums');
  rig.answer.resolve(await crcOf('crc32', rig.bytes));
  await settle();
  await rig.arrive(2 * MIB, 4 * MIB, 'sums');
  await settle();
  t.equal(rig.checksums.result, 'matches');
  t.same(rig.reads, [0, MIB]);
});

t.test('the verdict waits for the last byte, and for the comparison', async (t) => {
  for (const [expected, verdict] of [
    ['right', 'matches'],
    ['wrong', 'differs'],
    ['none', 'none'],
    ['no answer', 'unknown'],
  ] as const) {
    const rig = new Rig(2 * MIB);
    let settled: string | undefined;
    void rig.checksums.verdict.then((result) => (settled = result));
    const answers = { right: await crcOf('crc32c', rig.bytes), wrong: WRONG, none: NO_CHECKSUMS };
    await rig.arrive(0, MIB);
    if (expected === 'no answer') rig.answer.reject(new Error('no answer'));
    else rig.answer.resolve(answers[expected]);
    await settle();
    t.equal(settled, undefined, `${expected}: half of it says nothing`);
    await rig.arrive(MIB, 2 * MIB);
    await settle();
    t.equal(settled, verdict);
    t.equal(rig.checksums.result, verdict);
  }
  const closed = new Rig(2 * MIB);
  await closed.arrive(0, 2 * MIB);
  closed.checksums.close();
  t.equal(await closed.checksums.verdict, 'unknown', 'closing ends the wait');
});

t.test('what was found before stands, and an empty object needs no question', async (t) => {
  for (const resultBefore of ['matches', 'none'] as const) {
    const rig = new Rig(2 * MIB, {}, { resultBefore });
    await rig.arrive(0, 2 * MIB);
    t.equal(await rig.checksums.verdict, resultBefore);
    t.same([rig.asked, rig.reads], [[], []]);
  }
  const unsure = new Rig(2 * MIB, {}, { resultBefore: 'unknown' });
  await unsure.arrive(0, 2 * MIB);
  await settle();
  t.equal(unsure.asked.length, 1);
  unsure.checksums.close();
  const empty = new Rig(0);
  t.equal(await empty.checksums.verdict, 'none');
  t.same(empty.asked, []);
});

t.test(
  'a copy that is complete from the beginning, and not compared, is compared; sums of before count',
  async (t) => {
    const size = 2 * MIB + 10;
    const bytes = fillPattern(new Uint8Array(size), 5, 0);
    const availability = Availability.create(size);
    availability.publish({ start: 0, end: size });
    const blocks = BlockChecksums.create(size);
    new BlockChecksummer(blocks, checksumFunctions(undefined), 0).update(bytes, 0, size);
    const answer = await crcOf('crc32c', bytes);
    const checksums = new StoreChecksums(
      { id: 's1', version: versionOf(size), availability, blocks },
      { read: () => Promise.reject(new Error('nothing is to be read')) },
      {
        logger: createLogger('info', { write() {} }),
        checksums: checksumDeps({ ...NO_SUMS, objectChecksums: async () => answer }),
        onCorrupt() {},
      },
    );
    t.equal(await checksums.verdict, 'matches');
    t.equal(checksums.blocks, blocks);
  },
);

t.test('a copy that differs is told of once, in the log and to the owner', async (t) => {
  const rig = new Rig(2 * MIB);
  rig.answer.resolve(told({ kind: 'crc32c', value: '00001234' }));
  await rig.arrive(0, 2 * MIB);
  await settle();
  rig.checksums.advanced();
  await settle();
  t.equal(rig.checksums.result, 'differs');
  t.equal(rig.corrupt, 1);
  const got = (await serverCrcOf('crc32c', rig.bytes)).toString(16).padStart(8, '0');
  t.match(rig.lines, [{ level: 50, store: 's1', key: 'model', kind: 'crc32c', expected: '00001234', got }]);
  t.equal(rig.lines.length, 1);
});

t.test('nothing is summed when there is nothing to compare with', async (t) => {
  const none = new Rig(2 * MIB);
  none.answer.resolve(NO_CHECKSUMS);
  const unable = new Rig(2 * MIB);
  unable.answer.resolve(told({ kind: 'crc64nvme', value: '0000000000000001' }));
  const unreachable = new Rig(2 * MIB);
  for (const [rig, result] of [
    [none, 'none'],
    [unable, 'unknown'],
    [unreachable, 'unknown'],
  ] as const) {
    await rig.arrive(0, 2 * MIB);
    if (rig === unreachable) rig.answer.reject(new Error('no answer'));
    await settle();
    t.equal(rig.checksums.result, result);
    t.same(rig.reads, []);
    t.equal(rig.corrupt, 0);
  }
  t.match(unreachable.lines, [{ store: 's1', err: { message: 'no answer' } }]);
});

t.test('a local file that cannot be read leaves it unknown', async (t) => {
  const rig = new Rig(2 * MIB);
  rig.answer.resolve(WRONG);
  rig.onRead = () => {
    throw new Error('EIO');
  };
  await rig.arrive(0, 2 * MIB);
  await settle();
  t.equal(rig.checksums.result, 'unknown');
  t.match(rig.lines, [{ err: { message: 'EIO' } }]);
});

t.test('closing ends the question, and the wait for the rest, and the summing', async (t) => {
  const asking = new Rig(2 * MIB);
  await asking.arrive(0, 2 * MIB);
  await settle();
  asking.checksums.close();
  t.ok(asking.asked[0]?.signal.aborted);
  asking.answer.reject(new Error('aborted'));

  const waiting = new Rig(2 * MIB);
  await waiting.arrive(0, MIB);
  waiting.answer.resolve(WRONG);
  await settle();
  waiting.checksums.close();

  const summing = new Rig(2 * MIB);
  const hold = new Deferred<void>();
  summing.onRead = () => hold.promise;
  summing.answer.resolve(WRONG);
  await summing.arrive(0, 2 * MIB);
  await settle();
  summing.checksums.close();
  hold.resolve();
  await settle();
  t.same(summing.reads, [0], 'the second block is not read any more');
  for (const rig of [asking, waiting, summing]) {
    t.equal(rig.checksums.result, 'unknown');
    t.equal(rig.corrupt, 0);
    t.same(rig.lines, []);
    t.ok(await rig.deps.asking.acquire(AbortSignal.timeout(1)), 'its turns are free again');
    t.ok(await rig.deps.summing.acquire(AbortSignal.timeout(1)));
  }
});

t.test('one store asks at a time, and one is summed', async (t) => {
  const first = new Rig(BLOCK_BYTES);
  const second = new Rig(BLOCK_BYTES, { asking: first.deps.asking, summing: first.deps.summing });
  const hold = new Deferred<void>();
  first.onRead = () => hold.promise;
  await first.arrive(0, BLOCK_BYTES);
  await second.arrive(0, BLOCK_BYTES);
  await settle();
  t.same([first.asked.length, second.asked.length], [1, 0]);
  for (const rig of [first, second]) {
    rig.answer.resolve(await crcOf('crc32c', rig.bytes));
  }
  await settle();
  t.equal(second.asked.length, 1);
  t.same([first.reads, second.reads], [[0], []]);
  hold.resolve();
  await settle();
  t.same([first.checksums.result, second.checksums.result], ['matches', 'matches']);
});
