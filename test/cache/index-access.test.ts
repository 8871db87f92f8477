/** An index that fails, or a disk that is full, while copies are used: nobody who reads notices, and nothing is left of it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { Database } from '../../src/cache/index/database.js';
import { createLogger } from '../../src/observability/logger.js';
import type { Logger } from '../../src/observability/logger.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { bring, fill, firstLie, openCache, version } from './cache-rig.js';
import { dataFiles, interposed } from './life-of-copies.js';

t.test('an index that does not answer makes copies private, and is told later what it missed', async (t) => {
  const directory = t.testdir({});
  const lines: string[] = [];
  const logger = recording(lines);
  const cache = await openCache(directory, { logger });
  const [a, b] = [version('a'), version('b')];
  const open = cache.acquire(a);
  fill(open, a);
  const database = new Database(join(directory, 'index.sqlite'));
  database.exec('ALTER TABLE copies RENAME TO elsewhere');
  const copy = cache.acquire(b);
  t.equal(copy.role, 'private');
  t.ok(copy.reserve(1000), 'readers are served');
  copy.release();
  open.release();
  t.notOk(cache.free(1));
  t.throws(() => cache.list());
  t.same(lines, ['warn the cache failed: going on without it']);
  database.exec('ALTER TABLE elsewhere RENAME TO copies');
  database.close();
  t.equal(cache.acquire(a).trust, 'complete', 'it was released meanwhile');
  t.equal(cache.acquire(b).role, 'owner');
  t.same(lines.at(-1), 'info the cache works again');
  cache.close();
});

t.test('what a failed try at a copy has made is gone before the next', async (t) => {
  const directory = t.testdir({});
  let resized = Infinity;
  const files = interposed((operation) => {
    if (operation !== 'resize') return;
    resized += 1;
    // Of the data file, when the map is there already.
    if (resized === 2) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  });
  const cache = await openCache(directory, { files });
  cache.pin(version('pinned'));
  for (const object of [version('a'), version('pinned')]) {
    resized = 0;
    const copy = cache.acquire(object);
    t.equal(copy.role, 'owner', 'the ballast gave it the space');
    copy.release();
    t.same(
      dataFiles(directory).filter((name) => name.includes('/')),
      [],
    );
  }
  cache.close();
});

t.test('the files of a copy that is expected may be there already, of a try that was killed', async (t) => {
  const directory = t.testdir({});
  const cache = await openCache(directory);
  cache.pin(version('a'));
  const database = new Database(join(directory, 'index.sqlite'));
  const name = String(database.get('SELECT name FROM copies')?.['name']);
  database.close();
  const path = join(directory, 'data', name.slice(0, 2), name);
  mkdirSync(join(path, '..'), { recursive: true });
  for (const suffix of ['.part', '.map']) writeFileSync(path + suffix, 'left');
  const copy = cache.acquire(version('a'));
  t.match(copy, { role: 'owner', trust: 'fresh', path: `${path}.part` });
  fill(copy, version('a'));
  t.equal(firstLie(copy, version('a')), undefined);
  cache.close();
});

t.test('a private copy that could not be begun is released once the index answers', async (t) => {
  const directory = t.testdir({});
  const database = new Database(join(directory, 'index.sqlite'));
  let isFailing = false;
  const files = interposed((operation) => {
    if (!isFailing || operation !== 'resize') return;
    database.exec('ALTER TABLE copies RENAME TO elsewhere');
    isFailing = false;
    throw new Error('not now');
  });
  const cache = await openCache(directory, { files });
  const a = version('a');
  const first = cache.acquire(a);
  isFailing = true;
  t.equal(cache.acquire(a).role, 'private');
  database.exec('ALTER TABLE elsewhere RENAME TO copies');
  first.release();
  t.equal(database.get('SELECT count(*) AS rows FROM copies')?.['rows'], 0);
  t.equal(database.get('SELECT count(*) AS rows FROM uses')?.['rows'], 0);
  database.close();
  cache.close();
});

t.test('a copy that the cache could not take is forgotten when it is released', async (t) => {
  const directory = t.testdir({});
  const cache = await openCache(directory);
  const database = new Database(join(directory, 'index.sqlite'));
  database.exec('ALTER TABLE copies RENAME TO elsewhere');
  const open = () => {
    const copy = cache.acquire(version('a'));
    t.equal(copy.role, 'private');
    copy.release();
    return new WeakRef(copy);
  };
  const released = open();
  // What was made in this turn of the event loop is kept until its end.
  await setImmediate();
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  t.equal(released.deref(), undefined);
  database.close();
  cache.close();
});

t.test('a copy that was filled while the index did not answer is complete once it does', async (t) => {
  const directory = t.testdir({});
  const cache = await openCache(directory);
  const [a, b] = [version('a'), version('b')];
  const copy = cache.acquire(a);
  bring(copy, a, 0, a.size);
  const database = new Database(join(directory, 'index.sqlite'));
  database.exec('ALTER TABLE copies RENAME TO elsewhere');
  copy.filled('matches');
  t.equal(firstLie(copy, a), undefined, 'it can be read meanwhile');
  copy.release();
  database.exec('ALTER TABLE elsewhere RENAME TO copies');
  database.close();
  cache.acquire(b).release();
  t.equal(cache.acquire(a).trust, 'complete');
  cache.close();
});

t.test('an index that another process keeps locked is waited for once, then let rest', async (t) => {
  const directory = t.testdir({});
  const clock = new SimulatedClock();
  const cache = await openCache(directory, { clock });
  const database = new Database(join(directory, 'index.sqlite'));
  database.exec('BEGIN IMMEDIATE');
  t.equal(cache.acquire(version('a')).role, 'private');
  // Each of these would take 5 s, and all of them longer than a test may.
  for (let at = 0; at < 100; at++) t.equal(cache.acquire(version(`k${at}`)).role, 'private');
  database.exec('ROLLBACK');
  database.close();
  t.equal(cache.acquire(version('b')).role, 'private');
  clock.advance(60_000);
  t.equal(cache.acquire(version('c')).role, 'owner');
  cache.close();
});

/** A logger of which the level and the text of each line are kept, from `info` on. */
function recording(lines: string[]): Logger {
  const write = (line: string) => {
    const { level, msg } = JSON.parse(line) as { level: number; msg: string };
    lines.push(`${level >= 40 ? 'warn' : 'info'} ${msg}`);
  };
  return createLogger('info', { write });
}
