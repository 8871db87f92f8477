/** The space that the cache holds for its index: on a small disk that is filled to its end. */
import { existsSync, mkdtempSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Ballast } from '../../src/cache/ballast.js';
import { realFiles } from '../../src/cache/file-operations.js';
import { run } from '../support/processes.js';
import { bring, openCache, version } from './cache-rig.js';

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
  for (let file = 0, bytes = 64 * MIB; bytes >= 1; file += 1) {
    try {
      writeFileSync(join(disk, `filler${file}`), Buffer.alloc(bytes, 1));
    } catch {
      bytes = Math.floor(bytes / 2);
    }
  }
}
