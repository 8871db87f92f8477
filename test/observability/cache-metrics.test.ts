import t from 'tap';
import { CacheCounters } from '../../src/observability/cache-metrics.js';

t.test('without a fill there is no average', async (t) => {
  t.same(new CacheCounters().totals, {
    hits: 0,
    misses: 0,
    bytesFromCache: 0,
    fills: 0,
    fillMsAverage: null,
    retries: 0,
    verificationFailures: 0,
    evictions: 0,
    evictedBytes: 0,
  });
});

t.test('what the cache does is counted', async (t) => {
  const counters = new CacheCounters();
  counters.opened(true);
  counters.opened(false);
  counters.opened(true);
  counters.found(10);
  counters.filled(100);
  counters.filled(201);
  counters.refetched();
  counters.verificationFailed();
  counters.evicted(7);
  counters.evicted(5);
  t.same(counters.totals, {
    hits: 2,
    misses: 1,
    bytesFromCache: 10,
    fills: 2,
    fillMsAverage: 151,
    retries: 1,
    verificationFailures: 1,
    evictions: 2,
    evictedBytes: 12,
  });
});
