import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { CacheDirectoryError } from '../../src/cache/directory-check.js';
import { Database } from '../../src/cache/index/database.js';
import { AnsweringChild } from '../support/child-process.js';
import type { ChildAnswer, ChildCommand } from './cache-child.js';
import { fill, openCache, version } from './cache-rig.js';
import { interposed } from './life-of-copies.js';

const script = fileURLToPath(new URL('cache-child.js', import.meta.url));

t.test('a directory is made, of one user alone', async (t) => {
  const directory = join(t.testdir({}), 'deep', 'cache');
  const cache = await openCache(directory);
  for (const path of [directory, join(directory, 'owners'), join(directory, 'data'), cache.ownersFolder]) {
    t.equal(statSync(path).mode & 0o777, 0o700, path);
  }
  t.equal(readFileSync(join(directory, 'format'), 'utf8'), 'sluice-cache 1\n');
  t.match(cache.stats(), { copies: 0, bytes: 0, directory });
  cache.close();
  cache.close();
  t.same(readdirSync(join(directory, 'owners')), []);
});

t.test('an existing directory is closed to others, but none that holds things of others', async (t) => {
  const directory = t.testdir({ empty: {}, used: { notes: 'x' } });
  chmodSync(join(directory, 'empty'), 0o755);
  const cache = await openCache(join(directory, 'empty'));
  t.equal(statSync(cache.path).mode & 0o777, 0o700);
  cache.close();
  chmodSync(join(directory, 'used'), 0o755);
  await t.rejects(
    openCache(join(directory, 'used')),
    /it holds other things, such as "notes"\): choose a new or empty one/,
  );
  t.equal(statSync(join(directory, 'used')).mode & 0o777, 0o755);
  chmodSync(join(directory, 'used'), 0o700);
  (await openCache(join(directory, 'used'))).close();
});

t.test('a directory of ours that was opened to others is closed again, whatever we have in it', async (t) => {
  const directory = join(t.testdir({}), 'cache');
  const first = await openCache(directory);
  fill(first.acquire(version('a')), version('a'));
  t.ok(existsSync(join(directory, 'ballast')));
  first.close();
  chmodSync(directory, 0o755);
  const second = await openCache(directory);
  t.equal(statSync(directory).mode & 0o777, 0o700);
  t.equal(second.acquire(version('a')).trust, 'complete');
  second.close();
});

t.test('what cannot be used is refused with advice', async (t) => {
  const directory = t.testdir({ file: 'x', newer: { format: 'sluice-cache 2\n' }, other: {} });
  await t.rejects(openCache(join(directory, 'file')), CacheDirectoryError);
  await t.rejects(openCache(join(directory, 'file', 'below')), /choose another with --cache-dir/);
  await t.rejects(openCache('/proc/nowhere'), CacheDirectoryError);
  await t.rejects(
    openCache(join(directory, 'newer')),
    /its format is "sluice-cache 2\\n", expected "sluice-cache 1\\n"\): use the newer Sluice/,
  );
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(join(directory, 'other'), 12345, 12345);
  await t.rejects(
    openCache(isRoot ? join(directory, 'other') : '/'),
    /it belongs to user \d+, and this is user \d+\): each user needs/,
  );
});

t.test('an index of a newer version is refused, and left alone', async (t) => {
  const directory = t.testdir({});
  const cache = await openCache(directory);
  fill(cache.acquire(version('a')), version('a'));
  cache.close();
  const database = new Database(join(directory, 'index.sqlite'));
  database.exec('PRAGMA user_version = 99');
  await t.rejects(openCache(directory), /its index is of version 99.*choose another with --cache-dir/);
  database.exec('PRAGMA user_version = 1');
  database.close();
  const again = await openCache(directory);
  t.equal(again.acquire(version('a')).trust, 'complete');
  again.close();
});

t.test('a damaged index is set aside, what it knew of is deleted, and all begins anew', async (t) => {
  const directory = t.testdir({});
  const child = new AnsweringChild<ChildCommand, ChildAnswer>(script, []);
  await child.ask({ do: 'open', directory });
  await child.ask({ do: 'fill', key: 'a' });
  child.kill('SIGKILL');
  await child.exit;
  const path = join(directory, 'index.sqlite');
  for (const file of [path, `${path}-wal`]) writeFileSync(file, Buffer.alloc(8192, 'no index '));
  const cache = await openCache(directory);
  t.ok(existsSync(`${path}.damaged`));
  t.same(cache.list(), []);
  t.same(dataFiles(directory), []);
  fill(cache.acquire(version('a')), version('a'));
  cache.close();
});

t.test('a damaged index that others use is not touched', async (t) => {
  const directory = t.testdir({});
  const child = new AnsweringChild<ChildCommand, ChildAnswer>(script, []);
  await child.ask({ do: 'open', directory });
  const path = join(directory, 'index.sqlite');
  const bytes = readFileSync(path);
  for (const suffix of ['', '-wal', '-shm'])
    if (existsSync(path + suffix)) writeFileSync(path + suffix, Buffer.alloc(8192, 'no index '));
  await t.rejects(
    openCache(directory),
    new RegExp(`other daemons use it \\(pid ${child.pid}\\)\\): unmount them first`),
  );
  t.notOk(existsSync(`${path}.damaged`));
  child.kill('SIGKILL');
  await child.exit;
  writeFileSync(path, bytes.fill(1, 0, 100));
  (await openCache(directory)).close();
  t.ok(existsSync(`${path}.damaged`));
});

t.test('files without a row and rows without files go at the start, whatever clocks say', async (t) => {
  const directory = t.testdir({});
  const first = await openCache(directory);
  for (const key of ['a', 'b', 'c']) fill(first.acquire(version(key)), version(key));
  first.pin(version('d'));
  const paths = new Map(first.list().map(({ version: { key } }) => [key, first.acquire(version(key))]));
  t.equal(paths.size, 4);
  first.close();
  const [gone, ...rest] = dataFiles(directory).filter((name) => !name.endsWith('.map'));
  const { unlinkSync } = await import('node:fs');
  unlinkSync(join(directory, 'data', gone ?? ''));
  const orphan = join(directory, 'data', 'ab', 'ab0123456789abcdef012345');
  mkdirSync(join(directory, 'data', 'ab'), { recursive: true });
  for (const suffix of ['', '.part', '.map']) writeFileSync(orphan + suffix, 'x');
  writeFileSync(join(directory, 'data', 'ab', 'stray'), 'x');
  utimesSync(orphan, new Date(Date.UTC(2099, 0)), new Date(Date.UTC(2099, 0)));

  const cache = await openCache(directory);
  t.same(
    dataFiles(directory).filter((name) => !name.endsWith('.map')),
    rest,
  );
  t.equal(dataFiles(directory).length, 4);
  t.equal(cache.list().length, 3, 'two copies, and the one that is expected');
  cache.close();
});

t.test('a folder of copies is made once, and again when somebody removed it', async (t) => {
  const directory = t.testdir({});
  let made = 0;
  const files = interposed((operation) => {
    if (operation === 'makeFolder') made += 1;
  });
  const cache = await openCache(directory, { files });
  made = 0;
  // More than there are names of folders.
  for (let copy = 0; copy < 300; copy++) cache.acquire(version(`k${copy}`)).release();
  t.ok(made <= 256, `${made} times`);
  for (const folder of readdirSync(join(directory, 'data'))) rmdirSync(join(directory, 'data', folder));
  const copy = cache.acquire(version('a'));
  fill(copy, version('a'));
  copy.release();
  t.equal(cache.acquire(version('a')).trust, 'complete');
  cache.close();
});

t.test('what a file manager leaves among the copies is no trouble, and stays', async (t) => {
  const directory = t.testdir({});
  const first = await openCache(directory);
  fill(first.acquire(version('a')), version('a'));
  first.close();
  writeFileSync(join(directory, 'data', '.DS_Store'), 'x');
  mkdirSync(join(directory, 'data', 'notes'));
  writeFileSync(join(directory, 'data', 'notes', 'x'), 'x');
  const second = await openCache(directory);
  t.equal(second.acquire(version('a')).trust, 'complete');
  second.close();
  t.ok(existsSync(join(directory, 'data', '.DS_Store')));
  t.ok(existsSync(join(directory, 'data', 'notes', 'x')));
});

t.test('an index that cannot be opened is no damaged one, unless it is no file', async (t) => {
  const directory = t.testdir({});
  const first = await openCache(directory);
  fill(first.acquire(version('a')), version('a'));
  first.close();
  const path = join(directory, 'index.sqlite');
  const database = new Database(path);
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  database.close();
  // SQLite can open none beside it, as when there are no descriptors or inodes left.
  rmSync(`${path}-wal`, { force: true });
  mkdirSync(`${path}-wal`);
  await t.rejects(openCache(directory), /unable to open database file\): see to it/);
  rmdirSync(`${path}-wal`);
  const second = await openCache(directory);
  t.equal(second.acquire(version('a')).trust, 'complete');
  second.close();
  rmSync(path);
  mkdirSync(path);
  const third = await openCache(directory);
  t.same(third.list(), []);
  t.ok(statSync(`${path}.damaged`).isDirectory());
  third.close();
});

t.test('a copy that was begun by a killed daemon, and got no bytes, goes at the start', async (t) => {
  const directory = t.testdir({});
  const child = new AnsweringChild<ChildCommand, ChildAnswer>(script, []);
  await child.ask({ do: 'open', directory });
  await child.ask({ do: 'acquire', key: 'a' });
  t.equal(dataFiles(directory).length, 2);
  child.kill('SIGKILL');
  await child.exit;
  const cache = await openCache(directory);
  t.same(cache.list(), []);
  t.same(dataFiles(directory), []);
  cache.close();
});

t.test('files of a copy that another process has just begun are no orphans', async (t) => {
  const directory = t.testdir({});
  const first = await openCache(directory);
  const copy = first.acquire(version('a'));
  const second = await openCache(directory);
  fill(copy, version('a'));
  t.equal(second.acquire(version('a')).trust, 'complete');
  first.close();
  second.close();
});

t.test('folders of earlier versions go when their owner is dead; foreign names stay', async (t) => {
  const directory = t.testdir({ 'mount-4194304-77-1': { s1: 'x' }, notes: 'x' });
  chmodSync(directory, 0o700);
  (await openCache(directory)).close();
  t.notOk(existsSync(join(directory, 'mount-4194304-77-1')));
  t.ok(existsSync(join(directory, 'notes')));
});

t.test('without the addon there is one daemon at a time', async (t) => {
  const directory = t.testdir({});
  const alone = await openCache(directory, { addon: undefined });
  const refusal =
    /another daemon \(pid \d+\) uses it, and without the native addon it cannot be shared\): unmount that one first/;
  await t.rejects(openCache(directory, { addon: undefined }), refusal);
  await t.rejects(openCache(directory), refusal);
  fill(alone.acquire(version('a')), version('a'));
  alone.close();
  const sharing = await openCache(directory);
  await t.rejects(openCache(directory, { addon: undefined }), refusal);
  t.equal(sharing.acquire(version('a')).trust, 'complete');
  sharing.close();
  (await openCache(directory, { addon: undefined })).close();
});

t.test('several may start at the same moment', async (t) => {
  const directory = join(t.testdir({}), 'cache');
  const caches = await Promise.all(Array.from({ length: 6 }, () => openCache(directory)));
  t.equal(new Set(caches.map(({ ownerId }) => ownerId)).size, 6);
  const roles = caches.map((cache) => cache.acquire(version('a')).role);
  t.same(roles.sort(), ['follower', 'follower', 'follower', 'follower', 'follower', 'owner']);
  for (const cache of caches) cache.close();
});

t.test('several processes may start at the same moment', async (t) => {
  const directory = join(t.testdir({}), 'cache');
  const children = Array.from({ length: 4 }, () => new AnsweringChild<ChildCommand, ChildAnswer>(script, []));
  t.same(await Promise.all(children.map((child) => child.ask({ do: 'open', directory }))), [{}, {}, {}, {}]);
  const roles = await Promise.all(children.map((child) => child.ask({ do: 'acquire', key: 'a' })));
  t.equal(roles.filter(({ role }) => role === 'owner').length, 1);
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(children.map(({ exit }) => exit));
  const cache = await openCache(directory);
  t.same(readdirSync(cache.ownersFolder).sort(), [cache.ownerId, `${cache.ownerId}.lock`].sort());
  cache.close();
});

t.test('a disk that is full from the start is refused', async (t) => {
  const { realFiles } = await import('../../src/cache/file-operations.js');
  const files = { ...realFiles, space: () => ({ freeBytes: 1024 ** 2, bytes: 1024 ** 3 }) };
  await t.rejects(
    openCache(t.testdir({}), { files }),
    /its disk is full: 1 MiB free, 64 MiB needed\): free some space/,
  );
});

function dataFiles(directory: string): string[] {
  return readdirSync(join(directory, 'data'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.includes('/') && !name.includes('stray'))
    .sort();
}
