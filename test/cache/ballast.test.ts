/** The space that the cache holds for its index: on a small disk that is filled to its end. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Ballast } from '../../src/cache/ballast.js';
import { realFiles } from '../../src/cache/file-operations.js';
import { run } from '../support/processes.js';
import { bring, fill, openCache, version } from './cache-rig.js';

const MIB = 1024 * 1024;
const NEEDS_ROOT = process.getuid?.() === 0 ? {} : { skip: 'needs root to mount a small tmpfs' };

t.test(
  'it is taken once, given up once, and taken again when there is room, whoever gave it up',
  async (t) => {
    const folder = t.testdir({});
    const ballast = new Ballast(folder, realFiles);
    t.notOk(ballast.drop(), 'there is none');
    ballast.take();
    t.ok(existsSync(join(folder, 'ballast')));
    const { ino } = statSync(join(folder, 'ballast'));
    ballast.take();
    t.equal(statSync(join(folder, 'ballast')).ino, ino);
    t.ok(new Ballast(folder, realFiles).drop(), 'another gives it up');
    ballast.take();
    t.ok(ballast.drop());
    t.notOk(ballast.drop());
    const full = new Ballast(folder, { ...realFiles, space: () => ({ freeBytes: MIB, bytes: 100 * MIB }) });
    full.take();
    t.notOk(existsSync(join(folder, 'ballast')), 'not from a disk that is nearly full');
  },
);

t.test('a copy leaves the cache though the disk has no byte left', NEEDS_ROOT, async (t) => {
  const disk = await smallDisk(t);
  const cache = await openCache(join(disk, 'cache'));
  const object = version('k', 50 * MIB);
  const copy = cache.acquire(object);
  t.ok(bring(copy, object, 0, MIB));
  fillUp(disk);
  copy.detach();
  t.ok(copy.isAlone(), 'the index knows of it');
  copy.release();
  cache.close();
});

t.test('a copy is complete though the disk has no byte left', NEEDS_ROOT, async (t) => {
  const disk = await smallDisk(t);
  const cache = await openCache(join(disk, 'cache'));
  const object = version('k', MIB);
  const copy = cache.acquire(object);
  t.ok(bring(copy, object, 0, MIB));
  fillUp(disk);
  copy.filled('matches');
  t.match(cache.list(), [{ state: 'complete' }]);
  copy.release();
  t.equal(cache.acquire(object).trust, 'complete');
  cache.close();
});

for (const when of ['before they came', 'while they looked'] as const) {
  t.test(
    `who comes to make room can, though the disk was filled to the last byte ${when}`,
    NEEDS_ROOT,
    async (t) => {
      const disk = await smallDisk(t);
      const directory = join(disk, 'cache');
      const before = await openCache(directory);
      for (const key of ['a', 'b', 'c']) {
        const copy = before.acquire(version(key, MIB));
        fill(copy, version(key, MIB));
        copy.release();
      }
      before.pin(version('c', MIB));
      before.close();
      if (when === 'before they came') fillUp(disk);
      const cache = await openCache(directory, { fillsNothing: true });
      if (when === 'while they looked') fillUp(disk);
      t.match(cache.evict({ key: 'a' }), [{ version: { key: 'a' } }]);
      t.equal(cache.unpin({}).length, 1);
      t.equal(cache.evict({}).length, 2);
      t.same(cache.list(), []);
      cache.close();
    },
  );
}

t.test('what is pinned or unpinned is noted though the disk has no byte left', NEEDS_ROOT, async (t) => {
  const disk = await smallDisk(t);
  for (const first of ['pin', 'unpin'] as const) {
    const cache = await openCache(join(disk, first));
    if (first === 'unpin') cache.pin(version('a'));
    fillUp(disk);
    if (first === 'pin') cache.pin(version('a'));
    t.equal(cache.unpin({}).length, 1);
    t.equal(cache.stats().pinned, 0);
    cache.close();
    empty(disk);
  }
});

/** Of 128 MiB, in memory. */
async function smallDisk(t: Test): Promise<string> {
  const disk = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'tmpfs', disk]);
  t.equal(mounted.code, 0, mounted.stderr);
  t.teardown(async () => {
    await run('umount', ['-l', disk]);
    rmdirSync(disk);
  });
  return disk;
}

/** To the last byte. */
function fillUp(disk: string): void {
  for (let bytes = 64 * MIB; bytes >= 1;) {
    try {
      writeFileSync(join(disk, `filler${randomUUID()}`), Buffer.alloc(bytes, 1));
    } catch {
      bytes = Math.floor(bytes / 2);
    }
  }
}

function empty(disk: string): void {
  for (const name of readdirSync(disk)) if (name.startsWith('filler')) rmSync(join(disk, name));
}
