import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeFolder } from '../../src/runtime/make-folder.js';

t.test('makes the folder and those above it, with the given permissions', async (t) => {
  const folder = t.testdir();
  makeFolder(join(folder, 'a/b/c'), 0o700);
  for (const name of ['a', 'a/b', 'a/b/c']) t.equal(statSync(join(folder, name)).mode & 0o777, 0o700);
});

t.test('leaves what exists as it is', async (t) => {
  const folder = t.testdir();
  chmodSync(folder, 0o755);
  makeFolder(folder, 0o700);
  t.equal(statSync(folder).mode & 0o777, 0o755);
});

t.test('a file in the way is an error, not a hang', async (t) => {
  const folder = t.testdir();
  writeFileSync(join(folder, 'file'), '');
  t.throws(() => makeFolder(join(folder, 'file/below'), 0o700), { code: 'ENOTDIR' });
});

t.test('a file system that takes no new names is an error, not a hang', async (t) => {
  for (const path of ['/proc/none', '/proc/none/below/that']) {
    t.throws(() => makeFolder(path, 0o700), { code: 'ENOENT' });
  }
});
