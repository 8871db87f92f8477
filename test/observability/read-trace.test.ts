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
