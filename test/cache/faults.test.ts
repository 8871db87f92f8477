import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { CacheDirectoryError } from '../../src/cache/directory-check.js';
import { Database } from '../../src/cache/index/database.js';
import { createLogger } from '../../src/observability/logger.js';
import type { Logger } from '../../src/observability/logger.js';
import { AnsweringChild } from '../support/child-process.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { bring, fill, firstLie, openCache, version } from './cache-rig.js';
import { interposed, live, untruths } from './life-of-copies.js';

for (const [how, persists] of [
  ['fails once', false],
  ['and all after it fail', true],
] as const) {
  t.test(`whichever file operation ${how}: nobody notices, and nothing untrue is left`, async (t) => {
    const root = t.testdir({});
    let runs = 0;
    for (let at = 1; ; at++) {
      const directory = join(root, String(at));
      mkdirSync(directory, { mode: 0o700 });
      let operations = 0;
      const files = interposed((operation) => {
        operations += 1;
        if (operations === at || (persists && operations > at)) {
          throw Object.assign(new Error(`no space left on device (${operation})`), { code: 'ENOSPC' });
        }
      });
      await live(directory, files, () => {}).catch((error: unknown) => {
        if (!(error instanceof CacheDirectoryError)) throw error;
      });
      const untrue = await untruths(directory);
      if (untrue !== '') t.fail(`operation ${at}: ${untrue}`);
      rmSync(directory, { recursive: true });
      runs = at;
      if (operations < at) break;
    }
    t.ok(runs > 80, `${runs} operations`);
  });
}

t.test('wherever it is killed: nothing untrue is left', async (t) => {
  const root = t.testdir({});
  const script = fileURLToPath(new URL('killed-child.js', import.meta.url));
  let ended = 0;
  let next = 1;
  const work = async () => {
    while (ended === 0) {
      const at = next++;
      const directory = join(root, String(at));
      mkdirSync(directory, { mode: 0o700 });
      const child = new AnsweringChild<object, { readonly operations: number }>(script, [
        directory,
        String(at),
      ]);
      const said = child.next().catch(() => undefined);
      const { signal, code } = await child.exit;
      if (signal === null) {
        t.equal(code, 0);
        ended = (await said)?.operations ?? 1;
      } else t.equal(signal, 'SIGKILL');
      const untrue = await untruths(directory);
      if (untrue !== '') t.fail(`operation ${at}: ${untrue}`);
      rmSync(directory, { recursive: true });
    }
  };
  await Promise.all([work(), work()]);
  t.ok(ended > 100, `${ended} operations`);
});

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
