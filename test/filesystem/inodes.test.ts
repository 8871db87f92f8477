import t from 'tap';
import { Inodes } from '../../src/filesystem/inodes.js';

t.test('a path has the same number in every mount, within the width', async (t) => {
  for (const bits of [32, 53]) {
    const first = new Inodes(bits);
    const second = new Inodes(bits);
    second.claim('something else');
    for (let at = 0; at < 1000; at++) {
      const inode = first.claim(`path/${at}`);
      t.equal(second.claim(`path/${at}`), inode);
      t.ok(inode > 1 && inode < 2 ** bits);
    }
  }
});

t.test('of two live paths that collide, the later gets another number and keeps it', async (t) => {
  const colliding = (path: string, attempt: number) => (attempt === 0 ? 7 : 100 * attempt + path.length);
  const inodes = new Inodes(32, colliding);
  t.equal(inodes.claim('a'), 7);
  t.equal(inodes.claim('bb'), 102);
  t.equal(inodes.claim('ccc'), 103);
  t.equal(inodes.size, 4, 'with the root');
  inodes.release(7);
  t.equal(inodes.claim('dddd'), 7, 'a number that nobody uses is free');
});

t.test('the root, 0 and the unknown inode are never given', async (t) => {
  const numbers = [0, 1, 0xffffffff, 42];
  const inodes = new Inodes(32, (_path, attempt) => numbers[attempt] ?? 43);
  t.equal(inodes.claim('a'), 42);
});
