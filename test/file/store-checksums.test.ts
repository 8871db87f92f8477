/** The local copy beside the checksum that the server keeps: when it is asked, what is summed, and what comes of it. */
import t from 'tap';
import { StoreChecksums } from '../../src/file/store-checksums.js';
import type { ChecksumDeps, ChecksummedStore } from '../../src/file/store-checksums.js';
import type { ObjectVersion, WholeChecksum } from '../../src/object-store/object-store.js';
import { createLogger } from '../../src/observability/logger.js';
import { Availability } from '../../src/runtime/availability.js';
import { BlockChecksummer } from '../../src/runtime/block-checksummer.js';
import { BLOCK_BYTES, BlockChecksums } from '../../src/runtime/block-checksums.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { MemoryFile } from '../support/memory-file.js';
import { serverCrcOf } from '../support/plain-crc.js';
import { checksumDeps, settle } from '../support/store-harness.js';

const MIB = 1024 * 1024;

function versionOf(size: number): ObjectVersion {
  return { endpoint: 'e', bucket: 'b', key: 'model', etag: '"1"', size };
}

/** A store of pattern bytes, of which nothing has arrived yet, and a server that answers when the test says so. */
class Rig {
  readonly bytes: Uint8Array;
  readonly availability: Availability;
  readonly lines: Record<string, unknown>[] = [];
  readonly asked: { readonly version: ObjectVersion; readonly signal: AbortSignal }[] = [];
  readonly answer = new Deferred<WholeChecksum | undefined>();
  /** Offsets at which the local file was read. */
  readonly reads: number[] = [];
  readonly deps: ChecksumDeps;
  readonly checksums: StoreChecksums;
  corrupt = 0;
  onRead: () => Promise<void> | void = () => {};
  readonly #file: MemoryFile;

  constructor(size: number, changes: Partial<ChecksumDeps> = {}, store: Partial<ChecksummedStore> = {}) {
    this.bytes = fillPattern(new Uint8Array(size), 5, 0);
    this.availability = Availability.create(size);
    this.#file = new MemoryFile(size, {
      step: (operation, offset) => {
        if (operation === 'write') return undefined;
        this.reads.push(offset);
        return this.onRead();
      },
    });
    const wholeChecksum = (version: ObjectVersion, signal: AbortSignal) => {
      this.asked.push({ version, signal });
      return this.answer.promise;
    };
    this.deps = checksumDeps({ wholeChecksum }, changes);
    const write = (line: string) => void this.lines.push(JSON.parse(line) as Record<string, unknown>);
    this.checksums = new StoreChecksums(
      { id: 's1', version: versionOf(size), availability: this.availability, ...store },
      this.#file,
      {
        logger: createLogger('info', { write }),
        checksums: this.deps,
        onCorrupt: () => (this.corrupt += 1),
      },
    );
  }

  /** `[start, end)` is in the file and published; the transport summed it, when it is one that does. */
  async arrive(start: number, end: number, transport: 'sums' | 'does not sum' = 'does not sum') {
    const part = this.bytes.subarray(start, end);
    await this.#file.write([part], start);
    const blocks = BlockChecksums.attach(this.checksums.buffer);
    if (transport === 'sums')
      new BlockChecksummer(blocks, this.deps.functions, start).update(part, 0, part.length);
    this.availability.publish({ start, end });
    this.checksums.advanced();
  }
}

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
  const wholeChecksum = () => {
    asked += 1;
    return new Promise<undefined>(() => {});
  };
  const deps = {
    logger: createLogger('info', { write() {} }),
    checksums: checksumDeps({ wholeChecksum }),
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
    const value = await serverCrcOf('crc32c', rig.bytes);
    await rig.arrive(0, 2 * MIB, 'sums');
    if (answered === 'before') rig.answer.resolve({ kind: 'crc32c', value });
    await settle();
    await rig.arrive(2 * MIB, 3 * MIB + 4096);
    await rig.arrive(3 * MIB + 4096, size, 'sums');
    await settle();
    t.equal(rig.checksums.result, answered === 'before' ? 'matches' : 'unknown');
    rig.answer.resolve({ kind: 'crc32c', value });
    await settle();
    t.equal(rig.checksums.result, 'matches');
    t.same(rig.reads, [2 * MIB, 3 * MIB], 'the block nobody summed, and the one that no part held whole');
    t.equal(rig.corrupt, 0);
  }
});

t.test('blocks that were summed before the object’s own kind was known are read again for it', async (t) => {
  const rig = new Rig(4 * MIB);
  await rig.arrive(0, 2 * MIB, 'sums');
  rig.answer.resolve({ kind: 'crc32', value: await serverCrcOf('crc32', rig.bytes) });
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
    const value = expected === 'right' ? await serverCrcOf('crc32c', rig.bytes) : 1n;
    await rig.arrive(0, MIB);
    if (expected === 'no answer') rig.answer.reject(new Error('no answer'));
    else rig.answer.resolve(expected === 'none' ? undefined : { kind: 'crc32c', value });
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
    const value = await serverCrcOf('crc32c', bytes);
    const checksums = new StoreChecksums(
      { id: 's1', version: versionOf(size), availability, blocks },
      { read: () => Promise.reject(new Error('nothing is to be read')) },
      {
        logger: createLogger('info', { write() {} }),
        checksums: checksumDeps({ wholeChecksum: async () => ({ kind: 'crc32c', value }) }),
        onCorrupt() {},
      },
    );
    t.equal(await checksums.verdict, 'matches');
    t.equal(checksums.buffer, blocks.buffer);
  },
);

t.test('a copy that differs is told of once, in the log and to the owner', async (t) => {
  const rig = new Rig(2 * MIB);
  rig.answer.resolve({ kind: 'crc32c', value: 0x1234n });
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
  none.answer.resolve(undefined);
  const unable = new Rig(2 * MIB);
  unable.answer.resolve({ kind: 'crc64nvme', value: 1n });
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
  rig.answer.resolve({ kind: 'crc32c', value: 1n });
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
  waiting.answer.resolve({ kind: 'crc32c', value: 1n });
  await settle();
  waiting.checksums.close();

  const summing = new Rig(2 * MIB);
  const hold = new Deferred<void>();
  summing.onRead = () => hold.promise;
  summing.answer.resolve({ kind: 'crc32c', value: 1n });
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
    rig.answer.resolve({ kind: 'crc32c', value: await serverCrcOf('crc32c', rig.bytes) });
  }
  await settle();
  t.equal(second.asked.length, 1);
  t.same([first.reads, second.reads], [[0], []]);
  hold.resolve();
  await settle();
  t.same([first.checksums.result, second.checksums.result], ['matches', 'matches']);
});
