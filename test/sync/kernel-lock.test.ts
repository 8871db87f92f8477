import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { nativeAddonIfAny } from '../../src/native.js';
import { lockPath } from '../../src/sync/kernel-lock.js';

const addon = nativeAddonIfAny();

t.test('a lock is held by one, and its file is there as long', { skip: !addon && 'no addon' }, async (t) => {
  const path = join(t.testdir(), 'lock');
  const tryLock = (descriptor: number) => addon?.lockFile(descriptor) ?? false;
  const first = lockPath(path, tryLock);
  t.ok(first && existsSync(path));
  t.equal(lockPath(path, tryLock), undefined);
  first?.release();
  first?.release();
  t.notOk(existsSync(path));
  const second = lockPath(path, tryLock);
  t.ok(second);
  first?.release();
  t.ok(existsSync(path), 'who has given it up does not give up that of another');
  second?.release();
});

t.test(
  'whoever opened the file of a former holder tries again',
  { skip: !addon && 'no addon' },
  async (t) => {
    const path = join(t.testdir(), 'lock');
    const plain = (descriptor: number) => addon?.lockFile(descriptor) ?? false;
    const holder = lockPath(path, plain);
    let attempts = 0;
    const late = lockPath(path, (descriptor) => {
      attempts += 1;
      // It was opened while the holder had it; by now there is a new file, or none.
      if (attempts === 1) holder?.release();
      return plain(descriptor);
    });
    t.equal(attempts, 2);
    t.ok(late && existsSync(path));
    t.equal(lockPath(path, plain), undefined, 'and holds the one at the path');
    late?.release();
  },
);

t.test('what cannot be opened is told', async (t) => {
  t.throws(() => lockPath(join(t.testdir(), 'missing', 'lock'), () => true), { code: 'ENOENT' });
});
