import t from 'tap';
import { createLogger } from '../../src/observability/logger.js';
import { ReadTracer } from '../../src/observability/read-trace.js';
import { SimulatedClock } from '../support/simulated-clock.js';

function world(traceReads: boolean) {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger('info', {
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const clock = new SimulatedClock();
  return { lines, clock, tracer: new ReadTracer({ clock, logger }, { traceReads }) };
}

const subject = { storeId: 's1', key: 'model', offset: 0, length: 4096 };

t.test(
  'a read in flight is listed with its age and what it waits for, and gone after its exit',
  async (t) => {
    const { clock, tracer } = world(false);
    const trace = tracer.enter(subject);
    trace.beginWait({ start: 0, end: 4096 });
    clock.advance(1200);
    t.same(tracer.inFlight(), [{ id: 'r1', ...subject, ageMs: 1200, waitingFor: { start: 0, end: 4096 } }]);
    trace.endWait();
    t.equal(tracer.inFlight()[0]?.waitingFor, null);
    trace.exit('ok');
    t.same(tracer.inFlight(), []);
    t.match(tracer.recent(), [
      { event: 'ENTER', id: 'r1' },
      { event: 'EXIT', id: 'r1', result: 'ok', waitedMs: 1200, waitedFor: { start: 0, end: 4096 } },
    ]);
  },
);

t.test('a read older than 5 s logs its ENTER at warn, once, with its ids; others later', async (t) => {
  const { clock, tracer, lines } = world(false);
  tracer.enter(subject).beginWait({ start: 0, end: 4096 });
  clock.advance(3000);
  tracer.enter({ ...subject, offset: 4096 });
  clock.advance(2000);
  t.match(lines, [
    { level: 40, event: 'ENTER', id: 'r1', storeId: 's1', waitingFor: { start: 0, end: 4096 } },
  ]);
  clock.advance(3000);
  t.match(lines[1], { event: 'ENTER', id: 'r2', offset: 4096 });
  clock.advance(60_000);
  t.equal(lines.length, 2);
});

t.test('a read that came to somebody else keeps its id and its age', async (t) => {
  const { clock, tracer, lines } = world(false);
  clock.advance(10_000);
  tracer.enter(subject);
  const trace = tracer.enter(subject, { id: 'x7', ageMs: 4000 });
  t.equal(tracer.enter(subject).id, 'r2', 'it is not counted');
  t.match(tracer.inFlight(), [
    { id: 'x7', ageMs: 4000 },
    { id: 'r1', ageMs: 0 },
    { id: 'r2', ageMs: 0 },
  ]);
  clock.advance(999);
  t.same(lines, []);
  clock.advance(1);
  t.match(lines, [{ id: 'x7', ageMs: 5000 }], 'slow 5 s after it came, before those that were told first');
  clock.advance(3999);
  t.equal(lines.length, 1);
  clock.advance(1);
  t.match(lines.slice(1), [
    { id: 'r1', ageMs: 5000 },
    { id: 'r2', ageMs: 5000 },
  ]);
  trace.exit('ok');
  t.match(tracer.recent(), [{ atMs: 10_000 }, { id: 'x7', atMs: 6000 }, {}, { event: 'EXIT', atMs: 15_000 }]);
});

t.test('a read that is told when it is slow already is warned of at once', async (t) => {
  const { clock, tracer, lines } = world(false);
  clock.advance(10_000);
  tracer.enter(subject, { id: 'x1', ageMs: 7000 });
  clock.advance(0);
  t.match(lines, [{ id: 'x1', ageMs: 7000 }]);
  t.equal(clock.pendingTimers, 0);
});

t.test('how long a read waited is said by whoever answers it, also after the wait', async (t) => {
  const { clock, tracer } = world(false);
  const trace = tracer.enter(subject, { id: 'x1', ageMs: 500 });
  trace.beginWait({ start: 0, end: 4096 });
  clock.advance(100);
  trace.endWait();
  t.equal(trace.waitedMs, 100);
  trace.endWait(612.4);
  trace.exit('ok');
  t.match(tracer.recent()[1], { waitedMs: 612, waitedFor: { start: 0, end: 4096 } });
});

t.test('without reads in flight no timer is left', async (t) => {
  const { clock, tracer } = world(false);
  const traces = [tracer.enter(subject), tracer.enter(subject)];
  for (const trace of traces) trace.exit('ok');
  t.equal(clock.pendingTimers, 0);
});

t.test('tracing logs ENTER and EXIT of every read; without it nothing is logged', async (t) => {
  const quiet = world(false);
  quiet.tracer.enter(subject).exit('ok');
  t.same(quiet.lines, []);
  const { tracer, lines } = world(true);
  tracer.enter(subject).exit('deadline');
  t.match(lines, [
    { event: 'ENTER', id: 'r1', offset: 0, length: 4096 },
    { event: 'EXIT', id: 'r1', result: 'deadline', waitedMs: 0 },
  ]);
});

t.test('the ring keeps the last 2048 events, oldest first', async (t) => {
  const { tracer } = world(false);
  for (let index = 0; index < 1500; index += 1) tracer.enter(subject).exit('ok');
  const events = tracer.recent();
  t.equal(events.length, 2048);
  t.equal(events[0]?.id, 'r477');
  t.equal(events.at(-1)?.id, 'r1500');
});
