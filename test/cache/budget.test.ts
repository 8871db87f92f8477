import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { realFiles } from '../../src/cache/file-operations.js';
import { GRAIN_BYTES } from '../../src/cache/budget.js';
import { mapFileBytes } from '../../src/cache/map-file.js';
import type { Cache } from '../../src/cache/cache.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { bring, fill, openCache, version } from './cache-rig.js';

const MIB = 1024 ** 2;

/** What all files of copies take on disk. */
function diskBytes(directory: string): number {
  const data = join(directory, 'data');
  return readdirSync(data, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(data, name)))
    .filter((stat) => stat.isFile())
    .reduce((sum, { blocks }) => sum + blocks * 512, 0);
}

function keys(cache: Cache): string[] {
  return cache.list().map((object) => object.version.key);
}

function use(cache: Cache, key: string, size = MIB): void {
  const copy = cache.acquire(version(key, size));
  if (copy.trust === 'fresh') fill(copy, version(key, size));
  copy.release();
}

t.test('closed copies make room, the least recently used first, and the budget holds', async (t) => {
  const directory = t.testdir({});
  const evicted: number[] = [];
  const cache = await openCache(directory, {
    bytesMax: 5 * MIB,
    metrics: { evicted: (bytes) => evicted.push(bytes) },
  });
  // Uses count in steps of 16: far enough apart that what was used last is newer.
  for (const key of ['a', 'b', 'c', 'd']) for (let uses = 0; uses < 16; uses++) use(cache, key);
  for (let uses = 0; uses < 16; uses++) use(cache, 'a');
  use(cache, 'e');
  t.same(keys(cache), ['a', 'c', 'd', 'e']);
  t.equal(evicted.length, 1);
  t.ok(diskBytes(directory) <= 5 * MIB, String(diskBytes(directory)));
  t.ok(cache.stats().bytes <= 5 * MIB);
  cache.close();
});

t.test('of copies that were used about as recently, the often used stay', async (t) => {
  const cache = await openCache(t.testdir({}), { bytesMax: 3 * MIB + MIB / 2 });
  for (const key of ['often', 'often', 'often', 'seldom', 'other']) use(cache, key);
  use(cache, 'new');
  t.same(keys(cache), ['new', 'often', 'other']);
  cache.close();
});

t.test('what was used often, but long ago, goes before what was used once just now', async (t) => {
  const cache = await openCache(t.testdir({}), { bytesMax: 3 * MIB + MIB / 2 });
  for (let uses = 0; uses < 20; uses++) use(cache, 'long ago');
  for (let uses = 0; uses < 16; uses++) use(cache, 'now');
  use(cache, 'once');
  use(cache, 'new');
  t.same(keys(cache), ['new', 'now', 'once']);
  cache.close();
});

t.test('the order of use does not depend on the clock', async (t) => {
  const directory = t.testdir({});
  const clock = new SimulatedClock({ wallTimeMs: Date.UTC(2030, 0) });
  const first = await openCache(directory, { bytesMax: 3 * MIB, clock });
  for (let uses = 0; uses < 16; uses++) use(first, 'a');
  first.close();
  const past = new SimulatedClock({ wallTimeMs: Date.UTC(1990, 0) });
  const second = await openCache(directory, { bytesMax: 3 * MIB, clock: past });
  for (let uses = 0; uses < 16; uses++) use(second, 'b');
  use(second, 'c');
  t.same(keys(second), ['b', 'c']);
  t.match(second.list({ key: 'b' }), [{ usedAtMs: Date.UTC(1990, 0) }]);
  second.close();
});

t.test('what is open or pinned stays, and who gets no room is told before it writes', async (t) => {
  const directory = t.testdir({});
  const cache = await openCache(directory, { bytesMax: 3 * MIB });
  const open = cache.acquire(version('open', MIB));
  fill(open, version('open', MIB));
  cache.pin(version('pinned', MIB));
  use(cache, 'pinned');
  const copy = cache.acquire(version('big', 4 * MIB));
  t.notOk(bring(copy, version('big', 4 * MIB), 0, MIB), 'an object is counted as a whole');
  t.equal(copy.reservedBytes, 0);
  t.ok(cache.stats().bytes <= 3 * MIB);
  open.release();
  t.notOk(copy.reserve(MIB));
  cache.unpin({});
  t.notOk(copy.reserve(MIB), 'it is larger than the budget');
  t.equal(cache.acquire(version('open', MIB)).trust, 'fresh', 'all that could go went');
  cache.close();
});

t.test(
  'large objects are counted in grains, and what a partial one does not take is given back',
  async (t) => {
    const size = 3 * GRAIN_BYTES;
    const cache = await openCache(t.testdir({}), { bytesMax: 2 * GRAIN_BYTES + MIB });
    const object = version('large', size);
    const copy = cache.acquire(object);
    t.ok(bring(copy, object, 0, MIB));
    t.equal(cache.stats().bytes, GRAIN_BYTES + mapFileBytes(size));
    t.ok(copy.reserve(GRAIN_BYTES));
    t.equal(cache.stats().bytes, 2 * GRAIN_BYTES + mapFileBytes(size));
    t.notOk(copy.reserve(GRAIN_BYTES), 'no room for a third');
    t.equal(copy.reservedBytes, GRAIN_BYTES + MIB);
    copy.release();
    const { bytes } = cache.stats();
    t.ok(bytes >= MIB && bytes <= MIB + 64 * 1024, String(bytes));
    const again = cache.acquire(object);
    t.ok(again.reservedBytes >= MIB && again.reservedBytes < 2 * MIB);
    cache.close();
  },
);

t.test(
  'a small object is counted from the beginning of its copy, if it fits, and not when nothing came',
  async (t) => {
    const whole = MIB + mapFileBytes(MIB);
    const cache = await openCache(t.testdir({}), { bytesMax: 2 * whole });
    const copy = cache.acquire(version('a', MIB));
    t.equal(cache.stats().bytes, whole);
    t.equal(copy.reservedBytes, MIB);
    t.ok(copy.reserve(MIB));
    t.equal(cache.stats().bytes, whole, 'once');
    const large = cache.acquire(version('large', MIB + 1));
    t.equal(cache.stats().bytes, whole);
    t.equal(large.reservedBytes, 0);
    large.release();
    cache.acquire(version('b', MIB));
    t.equal(cache.stats().bytes, 2 * whole);
    const late = cache.acquire(version('c', MIB));
    t.equal(late.reservedBytes, 0);
    t.notOk(late.reserve(1), 'nothing is evicted for an object that was merely opened');
    copy.release();
    t.equal(cache.stats().bytes, whole, 'of a nothing came');
    cache.close();
  },
);

t.test('a part of the disk stays free: first by evicting, then by refusing', async (t) => {
  const space = { freeBytes: 1024 * MIB, bytes: 2048 * MIB };
  const files = { ...realFiles, space: () => space };
  const cache = await openCache(t.testdir({}), { bytesMax: 1024 * MIB, freeBytesMin: 100 * MIB, files });
  use(cache, 'a');
  space.freeBytes = 100 * MIB + MIB / 2;
  const copy = cache.acquire(version('b', MIB));
  t.ok(copy.reserve(MIB), 'the first made room');
  t.same(keys(cache), ['b']);
  space.freeBytes = 50 * MIB;
  const other = cache.acquire(version('c', MIB));
  t.notOk(other.reserve(MIB));
  space.freeBytes = 500 * MIB;
  t.ok(other.reserve(MIB), 'as soon as there is space again');
  cache.close();
});

t.test('a disk that does not say what is free costs no reader anything', async (t) => {
  let fails = false;
  const space = (path: string) => {
    if (fails) throw Object.assign(new Error('the disk is gone'), { code: 'EIO' });
    return realFiles.space(path);
  };
  const cache = await openCache(t.testdir({}), { files: { ...realFiles, space } });
  fails = true;
  const copy = cache.acquire(version('a', MIB));
  t.equal(copy.role, 'private');
  copy.release();
  fails = false;
  t.equal(cache.acquire(version('a', MIB)).role, 'owner');
  cache.close();
});

t.test('a smaller budget holds from the start', async (t) => {
  const directory = t.testdir({});
  const first = await openCache(directory, { bytesMax: 10 * MIB });
  for (const key of ['a', 'b', 'c', 'd', 'e']) use(first, key);
  first.close();
  const second = await openCache(directory, { bytesMax: 3 * MIB });
  t.ok(second.stats().bytes <= 3 * MIB);
  t.same(keys(second), ['d', 'e']);
  second.close();
});

t.test(
  'by default half of what is free or the cache is its own, and a twentieth of the disk stays free',
  async (t) => {
    const directory = t.testdir({});
    const files = { ...realFiles, space: () => ({ freeBytes: 1024 * MIB, bytes: 4096 * MIB }) };
    const defaults = { bytesMax: undefined, freeBytesMin: undefined, files };
    const { Cache } = await import('../../src/cache/cache.js');
    const { addon } = await import('./cache-rig.js');
    const { silentLogger } = await import('../../src/observability/logger.js');
    const deps = {
      clock: new SimulatedClock(),
      logger: silentLogger,
      metrics: { evicted: () => {} },
      addon,
      files,
    };
    const cache = await Cache.open(directory, defaults, deps);
    t.equal(cache.bytesMax, 512 * MIB);
    t.equal(cache.stats().freeBytesMin, Math.floor((4096 * MIB) / 20));
    use(cache, 'a');
    cache.close();
    const again = await Cache.open(directory, defaults, deps);
    t.ok(again.bytesMax > 512 * MIB);
    again.close();
  },
);

t.test('what is deleted at the start counts as free for the budget by default', async (t) => {
  const directory = t.testdir({ data: { ab: { ab0123456789abcdef012345: 'x' } } });
  const orphan = join(directory, 'data', 'ab', 'ab0123456789abcdef012345');
  const space = () => ({ freeBytes: (existsSync(orphan) ? 600 : 1000) * MIB, bytes: 4096 * MIB });
  const { Cache } = await import('../../src/cache/cache.js');
  const { addon } = await import('./cache-rig.js');
  const { silentLogger } = await import('../../src/observability/logger.js');
  const cache = await Cache.open(
    directory,
    { bytesMax: undefined, freeBytesMin: undefined },
    {
      clock: new SimulatedClock(),
      logger: silentLogger,
      metrics: { evicted: () => {} },
      addon,
      files: { ...realFiles, space },
    },
  );
  t.equal(cache.bytesMax, 500 * MIB);
  cache.close();
});

t.test('several caches keep one budget', async (t) => {
  const directory = t.testdir({});
  const caches = [];
  for (let at = 0; at < 3; at++) caches.push(await openCache(directory, { bytesMax: 8 * MIB }));
  for (let round = 0; round < 60; round++) {
    const cache = caches[round % 3];
    if (cache !== undefined) use(cache, `k${(round * 7) % 20}`);
    t.ok(diskBytes(directory) <= 8 * MIB, `round ${round}`);
  }
  t.ok((caches[0]?.stats().bytes ?? Infinity) <= 8 * MIB);
  for (const cache of caches) cache.close();
});

t.test('room is made for others when the disk is full', async (t) => {
  const cache = await openCache(t.testdir({}));
  t.notOk(cache.free(MIB), 'there is nothing');
  use(cache, 'a');
  const open = cache.acquire(version('b', MIB));
  fill(open, version('b', MIB));
  t.ok(cache.free(MIB));
  t.notOk(cache.free(MIB), 'the other one is open');
  cache.close();
});
