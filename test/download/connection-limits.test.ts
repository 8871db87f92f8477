import t from 'tap';
import { ConnectionLimits } from '../../src/download/connection-limits.js';
import { Pace } from '../../src/download/pace.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const MIB = 1024 * 1024;

function world(connectionsMax: number, roundTripMs: number) {
  const clock = new SimulatedClock();
  const pace = new Pace();
  pace.firstByte(roundTripMs);
  const limits = new ConnectionLimits(clock, pace, connectionsMax);
  let readersWait = true;
  /** So many milliseconds with all connections in use, which together bring `rate(n)` bytes in each. */
  const work = (ms: number, rate: (connections: number) => number) => {
    for (let passed = 0; passed < ms; passed += 1) {
      clock.advance(1);
      const { prefetch } = limits;
      const use = { running: prefetch, prefetchRunning: prefetch, readersWait: () => readersWait };
      limits.arrived(rate(prefetch), use);
    }
  };
  const idle = () => limits.arrived(1, { running: 1, prefetchRunning: 1, readersWait: () => true });
  const nobodyWaits = () => {
    readersWait = false;
  };
  return { clock, limits, work, idle, nobodyWaits };
}

/** Each connection brings as much as any other. */
const slowConnections = (connections: number) => connections * 64 * 1024;
/** Six of them fill the wire. */
const fullWire = (connections: number) => Math.min(connections, 6) * 256 * 1024;

t.test('from far away all connections are in use within a few round trips', async (t) => {
  const { limits, work } = world(24, 20);
  t.equal(limits.prefetch, 12);
  work(80, slowConnections);
  t.equal(limits.prefetch, 18);
});

t.test('where more connections bring nothing they are given back', async (t) => {
  const { limits, work } = world(24, 1);
  t.equal(limits.prefetch, 6);
  work(40, fullWire);
  t.equal(limits.prefetch, 12, 'tried');
  work(100, fullWire);
  t.equal(limits.prefetch, 6, 'for nothing');
  work(1000, fullWire);
  t.equal(limits.prefetch, 6, 'and not tried again soon');
});

t.test('nothing grows while nobody waits, or while connections are free', async (t) => {
  const one = world(24, 1);
  one.nobodyWaits();
  one.work(500, slowConnections);
  t.equal(one.limits.prefetch, 6);
  const other = world(24, 1);
  for (let step = 0; step < 500; step += 1) {
    other.clock.advance(1);
    other.idle();
  }
  t.equal(other.limits.prefetch, 6);
});

t.test('a server that asks to slow down gets half the requests, once for each half second', async (t) => {
  const { clock, limits } = world(24, 20);
  for (let refused = 0; refused < 10; refused += 1) limits.throttled();
  t.equal(limits.total, 12);
  t.equal(limits.prefetch, 9, 'three quarters of them at most for prefetch');
  clock.advance(500);
  limits.throttled();
  t.equal(limits.total, 6);
  for (let step = 0; step < 20; step += 1) {
    clock.advance(500);
    limits.throttled();
  }
  t.equal(limits.total, 1, 'one request is always allowed');
  t.equal(limits.prefetch, 1);
});

t.test('it gets one more for each round of requests that succeed, up to the limit', async (t) => {
  const { limits } = world(24, 20);
  limits.throttled();
  for (let round = 0; round < 12; round += 1) limits.succeeded();
  t.equal(limits.total, 12);
  limits.succeeded();
  t.equal(limits.total, 13);
  for (let round = 0; round < 1000; round += 1) limits.succeeded();
  t.equal(limits.total, 24);
});

t.test('a few bytes are no measurement', async (t) => {
  const { limits, work } = world(24, 1);
  work(1000, () => MIB / 1024);
  t.equal(limits.prefetch, 6);
});
