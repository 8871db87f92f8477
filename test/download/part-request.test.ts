/** What a request teaches about the network: how long the first byte took, unless that cannot be told. */
import t from 'tap';
import { PartRequest } from '../../src/download/part-request.js';
import { PartScheduler } from '../../src/download/part-scheduler.js';
import type { PartTarget } from '../../src/download/target.js';
import type { ObjectStore } from '../../src/object-store/object-store.js';
import { silentLogger } from '../../src/observability/logger.js';
import { TransferMetrics } from '../../src/observability/metrics.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const SIZE = 1000;
const VERSION = { endpoint: 'e', bucket: 'b', key: 'k', etag: '"e"', size: SIZE };

/** Says what the pace is believed to be after one request, whose first bytes come `waitMs` after it was asked for. */
async function learned(waitMs: number, sentAheadMs?: number): Promise<number | undefined> {
  const clock = new SimulatedClock();
  clock.advance(1000);
  const scheduler = new PartScheduler({ clock }, { connectionsMax: 4 });
  let position = 0;
  const sink: PartTarget = {
    get position() {
      return position;
    },
    write: (chunk) => void (position += chunk.length),
    drop: () => {},
    flush: () => Promise.resolve(),
  };
  const fetchPart: ObjectStore['fetchPart'] = async (_version, _range, to, options) => {
    if (sentAheadMs !== undefined) options.onSentAhead?.(clock.nowMs() - sentAheadMs);
    clock.advance(waitMs);
    await to.write(new Uint8Array(SIZE));
    return { kind: 'complete' };
  };
  const objectStore = { fetchPart, expectFetches: () => {} };
  const deps = { objectStore, clock, logger: silentLogger, metrics: new TransferMetrics(clock), scheduler };
  const request = new PartRequest(VERSION, sink, deps, { start: 0, end: SIZE }, () => {});
  await request.send(new AbortController().signal, 3000);
  return scheduler.pace.measured ? scheduler.pace.roundTripMs : undefined;
}

t.test('a request takes from when it is sent to its first byte', async (t) => {
  t.equal(await learned(20), 20);
  t.equal(await learned(1), 1);
});

t.test('one that was sent ahead takes from then', async (t) => {
  t.equal(await learned(18, 2), 20);
});

t.test('an answer that was there before says nothing', async (t) => {
  t.equal(await learned(2, 500), undefined);
});
