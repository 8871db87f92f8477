import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import { RangeWaiters } from '../../src/file/range-waiters.js';

t.test('waking settles those whose range is there and leaves the others', async (t) => {
  const waiters = new RangeWaiters();
  const early = waiters.add({ start: 0, end: 10 });
  const late = waiters.add({ start: 0, end: 20 });
  waiters.wake(({ end }) => end <= 10);
  t.same(await early.settled, { kind: 'arrived' });
  t.equal(waiters.count, 1);
  t.ok(waiters.wants({ start: 19, end: 30 }));
  t.notOk(waiters.wants({ start: 20, end: 30 }));
  waiters.wake(() => true);
  t.same(await late.settled, { kind: 'arrived' });
  t.equal(waiters.count, 0);
});

t.test('a failure settles only those that want a byte of its range', async (t) => {
  const waiters = new RangeWaiters();
  const hit = waiters.add({ start: 0, end: 10 });
  const spared = waiters.add({ start: 10, end: 20 });
  const error = new ContentError('denied', 'no');
  waiters.fail(error, { start: 9, end: 10 });
  t.same(await hit.settled, { kind: 'failed', error });
  t.equal(waiters.count, 1);
  waiters.fail(error);
  t.same(await spared.settled, { kind: 'failed', error });
});

t.test('the first settlement counts, later ones do nothing', async (t) => {
  const waiters = new RangeWaiters();
  const waiter = waiters.add({ start: 0, end: 1 });
  waiter.giveUp(new ContentError('aborted', 'first'));
  waiter.giveUp(new ContentError('deadline', 'second'));
  waiters.wake(() => true);
  const outcome = await waiter.settled;
  t.match(outcome, { kind: 'failed', error: { code: 'aborted' } });
});
