import fc from 'fast-check';
import t from 'tap';
import { PartWriter } from '../../src/file/part-writer.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { fillPattern, findPatternMismatch } from '../../src/runtime/pattern.js';
import { MemoryFile } from '../support/memory-file.js';

const SEED = 7;
const pattern = (start: number, length: number) => fillPattern(new Uint8Array(length), SEED, start);

t.test('chunks that come during a write go out together, and are published after it', async (t) => {
  const gate = new Deferred<void>();
  const writes: number[] = [];
  const file = new MemoryFile(1000, {
    step: (_operation, offset) => {
      writes.push(offset);
      return writes.length === 1 ? gate.promise : undefined;
    },
  });
  const published: number[] = [];
  const writer = new PartWriter(file, 100, (end) => published.push(end));
  for (let at = 100; at < 500; at += 50) void writer.write(pattern(at, 50));
  t.equal(writer.position, 500);
  t.same(published, [], 'nothing is published before its write returned');
  gate.resolve();
  await writer.flush();
  t.same(writes, [100, 150], 'one write for the first chunk, one for the seven that gathered');
  t.same(published, [150, 500]);
  t.equal(findPatternMismatch(file.bytes.subarray(100, 500), SEED, 100), -1);
});

t.test('back-pressure: write asks to wait once 2 MiB are pending', async (t) => {
  const gate = new Deferred<void>();
  const writer = new PartWriter(new MemoryFile(8 << 20, { step: () => gate.promise }), 0, () => {});
  t.equal(writer.write(new Uint8Array(1 << 20)), undefined, 'the first chunk is being written');
  t.equal(writer.write(new Uint8Array(1 << 20)), undefined);
  const wait = writer.write(new Uint8Array(1 << 20));
  t.ok(wait instanceof Promise);
  gate.resolve();
  await wait;
  t.equal(writer.position, 3 << 20);
});

t.test(
  'a failed write is thrown by flush and by every later write, and nothing more is published',
  async (t) => {
    const published: number[] = [];
    const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    let writes = 0;
    const file = new MemoryFile(100, {
      step: () => {
        writes += 1;
        if (writes === 2) throw full;
      },
    });
    const writer = new PartWriter(file, 0, (end) => published.push(end));
    void writer.write(pattern(0, 10));
    await writer.flush();
    void writer.write(pattern(10, 10));
    await t.rejects(writer.flush(), full);
    t.throws(() => void writer.write(pattern(20, 10)), full);
    await t.rejects(writer.flush(), full);
    t.same(published, [10]);
  },
);

t.test('whatever the chunk sizes, the file holds the bytes in place', async (t) => {
  const chunks = fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(chunks, fc.scheduler(), async (lengths, scheduler) => {
      const size = lengths.reduce((sum, length) => sum + length, 0);
      const file = new MemoryFile(size, { step: () => scheduler.schedule(Promise.resolve()) });
      let published = 0;
      const writer = new PartWriter(file, 0, (end) => {
        if (end <= published) throw new Error('published twice');
        published = end;
      });
      let at = 0;
      for (const length of lengths) {
        void writer.write(pattern(at, length));
        at += length;
      }
      await scheduler.waitFor(writer.flush());
      return published === size && findPatternMismatch(file.bytes, SEED, 0) === -1;
    }),
  );
  t.pass('100 random sequences');
});
