import fc from 'fast-check';
import t from 'tap';
import { WorkQueue } from '../../src/sync/work-queue.js';

t.test('every item is handed out once, and then nothing more', async (t) => {
  const queue = new WorkQueue([1, 2, 3]);
  const taken: number[] = [];
  const lane = async () => {
    for (let item = await queue.take(); item !== undefined; item = await queue.take()) {
      taken.push(item);
      queue.done();
    }
  };
  await Promise.all([lane(), lane()]);
  t.strictSame(taken, [1, 2, 3]);
  t.equal(await new WorkQueue([]).take(), undefined);
});

t.test('what is put aside comes again after a change, behind what nobody had yet', async (t) => {
  const queue = new WorkQueue(['a', 'b']);
  const seen = queue.changes;
  t.equal(await queue.take(), 'a');
  queue.putAside('a', seen);
  queue.change();
  t.equal(await queue.take(), 'b');
  queue.done();
  t.equal(await queue.take(), 'a');
  queue.done();
  t.equal(await queue.take(), undefined);
});

t.test('a change between the look and the putting aside is not missed', async (t) => {
  const queue = new WorkQueue(['a']);
  const seen = queue.changes;
  await queue.take();
  queue.change();
  queue.putAside('a', seen);
  t.equal(await queue.take(), 'a');
  queue.done();
});

t.test('the end gives back what is left and wakes who waits', async (t) => {
  const queue = new WorkQueue(['a', 'b', 'c']);
  await queue.take();
  queue.putAside('a', queue.changes);
  await queue.take();
  t.strictSame(queue.end(), ['a', 'c']);
  t.equal(await queue.take(), undefined);
  queue.done();
  t.strictSame(queue.end(), []);
});

t.test('whatever the order, lanes end when all is done, and nothing is done twice', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 6 }),
      async (s, lanes, count) => {
        const items = Array.from({ length: count }, (_, at) => at);
        const queue = new WorkQueue(items);
        /** Each is held by another worker until that one says so. */
        const held = new Set(items.filter((at) => at % 2 === 0));
        const done: number[] = [];
        const lane = async () => {
          for (let item = await queue.take(); item !== undefined; item = await queue.take()) {
            const seen = queue.changes;
            const isFree = !held.has(item);
            await s.schedule(Promise.resolve(), 'look');
            if (isFree) {
              done.push(item);
              queue.done();
            } else {
              queue.putAside(item, seen);
            }
          }
        };
        const others = items
          .filter((at) => held.has(at))
          .map(async (at) => {
            await s.schedule(Promise.resolve(), 'release');
            held.delete(at);
            queue.change();
          });
        await s.waitFor(Promise.all([...Array.from({ length: lanes }, lane), ...others]));
        return done.length === count && new Set(done).size === count;
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});
