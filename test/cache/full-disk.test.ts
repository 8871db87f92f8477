import t from 'tap';
import { Cache } from '../../src/cache/cache.js';
import { realFiles } from '../../src/cache/file-operations.js';
import { silentLogger } from '../../src/observability/logger.js';
import { systemClock } from '../../src/runtime/clock.js';
import { addon, fill, openCache, version } from './cache-rig.js';

t.test('where nothing is to be filled, a full disk is no obstacle to making room', async (t) => {
  const directory = t.testdir();
  const before = await openCache(directory);
  const copy = before.acquire(version('a'));
  fill(copy, version('a'));
  copy.release();
  before.close();

  const files = { ...realFiles, space: () => ({ freeBytes: 0, bytes: 1024 ** 3 }) };
  const deps = { clock: systemClock, logger: silentLogger, metrics: { evicted: () => {} }, addon, files };
  const budget = { bytesMax: Number.MAX_SAFE_INTEGER, freeBytesMin: 0 };
  await t.rejects(Cache.open(directory, budget, deps), /its disk is full/);
  const cache = await Cache.open(directory, { ...budget, fillsNothing: true }, deps);
  t.match(cache.list(), [{ version: { key: 'a' }, state: 'complete' }], 'nothing was evicted by looking');
  t.equal(cache.evict({}).length, 1);
  t.strictSame(cache.list(), []);
  cache.close();
});
