/** The stall timer: progress puts it off, a pause stops it, and it fires once. */
import t from 'tap';
import type { Test } from 'tap';
import { StallTimer } from '../../src/object-store/stall-timer.js';
import { SimulatedClock } from '../support/simulated-clock.js';

function watch(t: Test) {
  const clock = new SimulatedClock();
  const stalls: number[] = [];
  const timer = new StallTimer(clock, 1000, () => stalls.push(clock.nowMs()));
  t.teardown(() => timer.pause());
  return { clock, stalls, timer };
}

t.test('silence from the start is a stall', async (t) => {
  const { clock, stalls } = watch(t);
  clock.advance(999);
  t.same(stalls, []);
  clock.advance(5000);
  t.same(stalls, [1000], 'once');
});

t.test('each progress gives the whole time again', async (t) => {
  const { clock, stalls, timer } = watch(t);
  for (let step = 0; step < 10; step++) {
    clock.advance(900);
    timer.progress();
  }
  t.same(stalls, []);
  clock.advance(2000);
  t.same(stalls, [10_000]);
});

t.test('a trickle is a stall: bytes count only once there are enough of them', async (t) => {
  const { clock, stalls, timer } = watch(t);
  for (let step = 0; step < 10; step++) {
    clock.advance(90);
    timer.progress(6 * 1024);
  }
  t.same(stalls, [], '60 KiB within the time');
  clock.advance(90);
  timer.progress(6 * 1024);
  clock.advance(999);
  t.same(stalls, [], 'with 66 KiB the time begins anew');
  timer.progress(1024);
  clock.advance(1);
  t.same(stalls, [1990]);
});

t.test('a pause is not counted, and leaves no timer', async (t) => {
  const { clock, stalls, timer } = watch(t);
  clock.advance(900);
  timer.pause();
  t.equal(clock.pendingTimers, 0);
  clock.advance(100_000);
  timer.resume();
  clock.advance(999);
  t.same(stalls, []);
  clock.advance(1);
  t.same(stalls, [101_900]);
});

t.test('resuming twice arms one timer', async (t) => {
  const { clock, timer } = watch(t);
  timer.resume();
  timer.resume();
  t.equal(clock.pendingTimers, 1);
});
