import { getEventListeners } from 'node:events';
import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import { RangeWaiters, waitAsReader } from '../../src/file/range-waiters.js';
import type { WaitOutcome } from '../../src/file/range-waiters.js';
import type { ByteRange } from '../../src/runtime/range.js';
import { SimulatedClock } from '../support/simulated-clock.js';

/** A waiter with the outcomes it was told, which must never be more than one. */
function wait(waiters: RangeWaiters, range: ByteRange) {
  const outcomes: WaitOutcome[] = [];
  return { waiter: waiters.add(range, (outcome) => outcomes.push(outcome)), outcomes };
}

t.test('waking settles those whose range is there, at once, and leaves the others', async (t) => {
  const waiters = new RangeWaiters();
  const early = wait(waiters, { start: 0, end: 10 });
  const late = wait(waiters, { start: 0, end: 20 });
  waiters.wake(({ end }) => end <= 10);
  t.same(early.outcomes, [{ kind: 'arrived' }]);
  t.same(late.outcomes, []);
  t.equal(waiters.count, 1);
  t.ok(waiters.wants({ start: 19, end: 30 }));
  t.notOk(waiters.wants({ start: 20, end: 30 }));
  waiters.wake(() => true);
  t.same(late.outcomes, [{ kind: 'arrived' }]);
  t.equal(waiters.count, 0);
});

t.test('a failure settles only those that want a byte of its range', async (t) => {
  const waiters = new RangeWaiters();
  const hit = wait(waiters, { start: 0, end: 10 });
  const spared = wait(waiters, { start: 10, end: 20 });
  const error = new ContentError('denied', 'no');
  waiters.fail(error, { start: 9, end: 10 });
  t.same(hit.outcomes, [{ kind: 'failed', error }]);
  t.equal(waiters.count, 1);
  waiters.fail(error);
  t.same(spared.outcomes, [{ kind: 'failed', error }]);
});

t.test('the first settlement counts, later ones do nothing', async (t) => {
  const waiters = new RangeWaiters();
  const { waiter, outcomes } = wait(waiters, { start: 0, end: 1 });
  const error = new ContentError('aborted', 'first');
  waiter.giveUp(error);
  waiter.giveUp(new ContentError('deadline', 'second'));
  waiters.wake(() => true);
  t.same(outcomes, [{ kind: 'failed', error }]);
});

t.test('a waiter that was withdrawn is told nothing and wants nothing', async (t) => {
  const waiters = new RangeWaiters();
  const { waiter, outcomes } = wait(waiters, { start: 0, end: 1 });
  waiter.withdraw();
  t.notOk(waiters.wants({ start: 0, end: 1 }));
  waiters.wake(() => true);
  waiter.giveUp(new ContentError('aborted', 'late'));
  waiter.withdraw();
  t.same(outcomes, []);
  t.equal(waiters.count, 0);
});

/** A reader's wait for one range, and what it may end by. */
function waitHere(deadlineMs = 1000) {
  const waiters = new RangeWaiters();
  const clock = new SimulatedClock();
  const aborters = [new AbortController(), new AbortController()] as const;
  const outcome = waitAsReader((settle) => waiters.add({ start: 0, end: 10 }, settle), {
    clock,
    deadlineMs,
    deadlineError: () => new ContentError('deadline', 'too late'),
    signals: aborters.map(({ signal }) => signal),
  });
  return { waiters, clock, aborters, outcome };
}

t.test('a reader gives up at its deadline', async (t) => {
  const { waiters, clock, outcome } = waitHere();
  clock.advance(999);
  t.equal(waiters.count, 1);
  clock.advance(1);
  t.match(await outcome, { kind: 'failed', error: { code: 'deadline' } });
  t.equal(waiters.count, 0);
});

t.test('a reader gives up when any of its signals aborts', async (t) => {
  for (const which of [0, 1] as const) {
    const { waiters, clock, aborters, outcome } = waitHere();
    aborters[which].abort();
    t.match(await outcome, { kind: 'failed', error: { code: 'aborted' } });
    t.equal(waiters.count, 0);
    t.equal(clock.pendingTimers, 0);
  }
});

t.test('after its bytes came nothing of a reader is left', async (t) => {
  const { waiters, clock, aborters, outcome } = waitHere();
  waiters.wake(() => true);
  t.same(await outcome, { kind: 'arrived' });
  t.equal(clock.pendingTimers, 0);
  for (const { signal } of aborters) t.equal(getEventListeners(signal, 'abort').length, 0);
});
