import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BLOCK_BYTES } from '../../src/runtime/block-checksums.js';
import { addon, bring, contentOf, fill, firstLie, flip, openCache, version } from './cache-rig.js';

const a = version('a');

function dataFiles(directory: string): string[] {
  return readdirSync(join(directory, 'data'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.includes('/'))
    .sort();
}

for (const [how, withAddon] of [
  ['mapped', addon],
  ['without the addon', undefined],
] as const) {
  t.test(`${how}: a copy is fresh, then partial, then complete, over restarts`, async (t) => {
    const directory = t.testdir({});
    const first = await openCache(directory, { addon: withAddon });
    const fresh = first.acquire(a);
    t.match(fresh, { role: 'owner', trust: 'fresh', exists: true, verdict: 'unknown' });
    t.equal(fresh.memory.shared().kind, withAddon === undefined ? 'shared' : 'mapped');
    t.ok(bring(fresh, a, 0, BLOCK_BYTES));
    t.ok(bring(fresh, a, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 8192));
    fresh.release();
    fresh.release();
    first.close();

    const second = await openCache(directory, { addon: withAddon });
    const partial = second.acquire(a);
    t.match(partial, { role: 'owner', trust: 'partial', exists: true });
    t.equal(partial.memory.availability.arrivedBytes, BLOCK_BYTES + 8192);
    t.type(partial.memory.checksums.crc32c(0), 'number');
    t.equal(firstLie(partial, a), undefined);
    fill(partial, a);
    t.equal(partial.verdict, 'matches');
    t.notMatch(partial.path, /part$/);
    partial.release();
    t.match(second.list(), [
      { version: { key: 'a' }, state: 'complete', openCount: 0, useCount: 2, pinned: false },
    ]);
    second.close();

    const third = await openCache(directory, { addon: withAddon });
    const complete = third.acquire(a);
    t.match(complete, { role: 'owner', trust: 'complete', verdict: 'matches', exists: true });
    t.ok(complete.memory.availability.complete);
    t.same(readFileSync(complete.path), Buffer.from(contentOf(a, 0, a.size)));
    third.close();
    t.same(readdirSync(join(directory, 'owners')), [], 'nothing is left of the daemons');
    t.equal(dataFiles(directory).length, 2);
  });

  t.test(`${how}: what changed outside is not believed`, async (t) => {
    const directory = t.testdir({});
    const first = await openCache(directory, { addon: withAddon });
    const b = version('b');
    for (const object of [a, b]) {
      const copy = first.acquire(object);
      if (object === a) fill(copy, object);
      else bring(copy, object, 0, 2 * BLOCK_BYTES);
      copy.release();
    }
    first.close();
    const paths = dataFiles(directory).filter((name) => !name.endsWith('.map'));
    for (const path of paths) flip(join(directory, 'data', path), BLOCK_BYTES + 3);

    const second = await openCache(directory, { addon: withAddon });
    for (const object of [a, b]) {
      const copy = second.acquire(object);
      t.match(copy, { role: 'owner', trust: 'unverified', exists: true, verdict: 'unknown' });
      t.equal(copy.memory.availability.arrivedBytes, 0);
      t.type(copy.memory.checksums.crc32c(0), 'number', 'what is known of the blocks stays');
      t.match(copy.path, /\.part$/);
      copy.release();
    }
    const again = second.acquire(b);
    t.equal(again.trust, 'unverified', 'as long as not all of it was looked at');
    again.memory.availability.publish({ start: 0, end: BLOCK_BYTES });
    again.verified();
    again.release();
    const verified = second.acquire(b);
    t.equal(verified.trust, 'partial');
    t.equal(verified.memory.availability.arrivedBytes, BLOCK_BYTES);
    second.close();
  });
}

t.test('after another start of the machine nothing is believed without a look', async (t) => {
  const directory = t.testdir({});
  const first = await openCache(directory, { boot: 'monday' });
  fill(first.acquire(a), a);
  first.close();
  const second = await openCache(directory, { boot: 'tuesday' });
  t.equal(second.acquire(a).trust, 'unverified');
  second.close();
  const unknown = t.testdir({ unknown: {} });
  for (const trust of ['fresh', 'unverified']) {
    const cache = await openCache(join(unknown, 'unknown'), { boot: undefined });
    const copy = cache.acquire(a);
    t.equal(copy.trust, trust, 'nor where the start cannot be known');
    if (trust === 'fresh') fill(copy, a);
    cache.close();
  }
});

t.test('a map that does not fit, or a file of another length, is begun anew', async (t) => {
  for (const spoil of [
    (path: string) => writeFileSync(path, 'short'),
    (path: string) => writeFileSync(path.replace(/\.part$/, '.map'), 'short'),
    (path: string) =>
      writeFileSync(
        path.replace(/\.part$/, '.map'),
        Buffer.alloc(statSync(path.replace(/\.part$/, '.map')).size),
      ),
  ]) {
    const directory = t.testdir({});
    const first = await openCache(directory);
    const copy = first.acquire(a);
    bring(copy, a, 0, BLOCK_BYTES);
    const { path } = copy;
    copy.release();
    spoil(path);
    const again = first.acquire(a);
    t.match(again, { trust: 'fresh', exists: true, role: 'owner' });
    t.equal(again.memory.availability.arrivedBytes, 0);
    t.equal(again.memory.checksums.crc32c(0), undefined);
    fill(again, a);
    first.close();
  }
});

t.test('a complete file that vanished is fetched anew', async (t) => {
  const cache = await openCache(t.testdir({}));
  const copy = cache.acquire(a);
  fill(copy, a);
  const { path } = copy;
  copy.release();
  const { unlinkSync } = await import('node:fs');
  unlinkSync(path);
  t.match(cache.acquire(a), { trust: 'fresh', exists: true });
  cache.close();
});

t.test('a copy without bytes leaves nothing', async (t) => {
  const directory = t.testdir({});
  const cache = await openCache(directory);
  cache.acquire(a).release();
  t.same(cache.list(), []);
  t.same(dataFiles(directory), []);
  t.equal(cache.stats().bytes, 0);
  cache.close();
});

t.test('a copy that is only looked at was not used; one that is begun is', async (t) => {
  const cache = await openCache(t.testdir({}));
  const copy = cache.acquire(a);
  fill(copy, a);
  copy.release();
  const before = cache.list();
  const looked = cache.hold(a);
  t.match(looked, { role: 'owner', trust: 'complete' });
  t.match(cache.list(), [{ openCount: 1, useCount: 1 }]);
  t.same(cache.evict({}), [], 'but it is open');
  looked.release();
  t.same(cache.list(), before);
  const b = version('b');
  const begun = cache.hold(b);
  t.match(begun, { role: 'owner', trust: 'fresh' });
  bring(begun, b, 0, BLOCK_BYTES);
  begun.release();
  t.match(cache.acquire(b), { trust: 'partial' }, 'its files are known of');
  cache.close();
});

t.test('a copy that is not the object is given to nobody again', async (t) => {
  const directory = t.testdir({});
  const cache = await openCache(directory);
  const bad = cache.acquire(a);
  bring(bad, a, 0, a.size);
  bad.condemn();
  t.equal(bad.role, 'private');
  const next = cache.acquire(a);
  t.match(next, { role: 'owner', trust: 'fresh' });
  t.not(next.path, bad.path);
  t.ok(existsSync(bad.path), 'readers may have it open still');
  bad.release();
  t.notOk(existsSync(bad.path));
  fill(next, a);
  t.equal(next.verdict, 'matches');
  cache.close();
});

t.test('a detached copy counts until it is released', async (t) => {
  const directory = t.testdir({});
  const cache = await openCache(directory);
  const copy = cache.acquire(a);
  bring(copy, a, 0, BLOCK_BYTES);
  copy.detach();
  t.equal(copy.role, 'private');
  t.same(cache.list(), []);
  t.ok(cache.stats().bytes > BLOCK_BYTES);
  copy.filled('matches');
  copy.release();
  t.equal(cache.stats().bytes, 0);
  t.same(dataFiles(directory), []);
  cache.close();
});

t.test('who wants one twice at a time gets a private one', async (t) => {
  const directory = t.testdir({});
  const cache = await openCache(directory);
  const first = cache.acquire(a);
  const second = cache.acquire(a);
  t.equal(second.role, 'private');
  t.not(first.path, second.path);
  bring(second, a, 0, a.size);
  t.ok(cache.stats().bytes > a.size, 'it counts');
  second.filled('matches');
  second.release();
  t.notOk(existsSync(second.path));
  const empty = cache.acquire(version('empty', 0));
  t.equal(empty.role, 'private', 'of nothing there is nothing to keep');
  cache.close();
});

t.test('a newer version drops the older one once that is unused', async (t) => {
  const cache = await openCache(t.testdir({}));
  const newer = version('a', a.size, '"2"');
  const copy = cache.acquire(a);
  fill(copy, a);
  copy.release();
  fill(cache.acquire(newer), newer);
  t.same(
    cache.list().map((object) => object.version.etag),
    ['"2"'],
  );
  const newest = version('a', a.size, '"3"');
  const open = cache.acquire(newest);
  bring(open, newest, 0, BLOCK_BYTES);
  const older = cache.list({ key: 'a' }).length;
  open.release();
  t.equal(older, 2);
  t.same(
    cache.list().map((object) => object.version.etag),
    ['"2"', '"3"'],
    'the second is in use',
  );
  cache.close();
  t.end();
});

t.test('what is pinned is known, and expected when it is condemned', async (t) => {
  const cache = await openCache(t.testdir({}));
  cache.pin(a);
  t.match(cache.list(), [{ pinned: true, bytes: 0, usedAtMs: undefined }]);
  const copy = cache.acquire(a);
  t.equal(copy.trust, 'fresh');
  bring(copy, a, 0, a.size);
  copy.condemn();
  copy.release();
  t.match(cache.list(), [{ pinned: true, bytes: 0, state: 'filling' }]);
  const again = cache.acquire(a);
  fill(again, a);
  again.release();
  t.same(cache.evict({}), []);
  t.equal(cache.stats().pinned, 1);
  t.equal(cache.unpin({ prefix: 'a' }).length, 1);
  t.equal(cache.evict({ prefix: 'a' }, { only: ({ state }) => state === 'complete' }).length, 1);
  t.same(cache.list(), []);
  cache.close();
});
