import t from 'tap';
import { RateMeter, TransferMetrics } from '../../src/observability/metrics.js';
import { SimulatedClock } from '../support/simulated-clock.js';

t.test('a rate is the average of the last ten seconds, or of the time since the start', async (t) => {
  const clock = new SimulatedClock();
  const meter = new RateMeter(clock);
  clock.advance(2000);
  meter.add(1000);
  t.equal(meter.perSecond(), 500);
  clock.advance(8500);
  t.equal(meter.perSecond(), 100);
  clock.advance(3000);
  t.equal(meter.perSecond(), 0);
  clock.advance(3_600_000);
  meter.add(50);
  t.equal(meter.perSecond(), 5);
});

t.test('reads that were answered outside count like the others', async (t) => {
  const clock = new SimulatedClock();
  const metrics = new TransferMetrics(clock);
  metrics.readEnded(10);
  clock.advance(1000);
  metrics.readsEndedOutside({ reads: 3, readErrors: 1, bytesRead: 90 });
  t.match(metrics.totals, { reads: 4, readErrors: 1, bytesRead: 100 });
  t.equal(metrics.rates().bytesReadPerSecond, 100);
});

t.test('reads and fetches are counted', async (t) => {
  const metrics = new TransferMetrics(new SimulatedClock());
  metrics.readEnded(10);
  metrics.readFailed();
  metrics.partRequested();
  metrics.partRetried();
  metrics.bytesFetched(7);
  metrics.hedged(3);
  t.same(metrics.totals, {
    reads: 2,
    readErrors: 1,
    bytesRead: 10,
    partRequests: 1,
    partRetries: 1,
    bytesFetched: 7,
    hedges: 1,
    hedgedBytes: 3,
  });
});
