/** Both drivers through the kernel: names, bytes, attributes and refusals. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fillPattern } from '../../src/runtime/pattern.js';
import { emptyDirectory, mounted, bytesOf, sha256, mountEntry } from './fuse-rig.js';
import { onEachDriver } from '../support/drivers.js';

const run = promisify(execFile);

onEachDriver('shows a bucket as files and directories, and reads their bytes', async (t, driver) => {
  const objects = [
    { key: 'small.txt', seed: 1, size: 1000 },
    { key: 'empty', seed: 2, size: 0 },
    { key: 'deep/er/large.bin', seed: 3, size: 3_000_001 },
  ];
  const { mountpoint, path } = await mounted(t, driver, { objects });
  t.same(await fs.readdir(mountpoint), ['deep', 'empty', 'small.txt']);
  for (const object of objects) {
    t.equal(sha256(await fs.readFile(path(object.key))), sha256(bytesOf(object)), object.key);
  }

  const file = await fs.stat(path('small.txt'));
  t.match(file, { size: 1000, blocks: 2, mode: 0o100444, uid: 1234, gid: 2345, nlink: 1 });
  t.equal(file.mtimeMs, Date.UTC(2024, 0, 1, 0, 0, 1));
  const directory = await fs.stat(path('deep'));
  t.match(directory, { mode: 0o040555, uid: 1234, gid: 2345 });

  const handle = await fs.open(path('deep/er/large.bin'));
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(100), 0, 100, 3_000_000 - 50);
  t.equal(bytesRead, 51, 'a read across the end is cut there');
  t.same(
    buffer.subarray(0, 51),
    fillPattern(Buffer.alloc(51), 3, 3_000_000 - 50),
    'random access reads the right bytes',
  );
  t.equal((await handle.read(Buffer.alloc(10), 0, 10, 5_000_000)).bytesRead, 0, 'nothing behind the end');
  await handle.close();

  await t.rejects(fs.stat(path('absent')), { code: 'ENOENT' });
  await t.rejects(fs.stat(path('small.txt/below')), { code: 'ENOTDIR' });
  await t.rejects(fs.stat(path('x'.repeat(256))), { code: 'ENAMETOOLONG' });
  await t.rejects(fs.readFile(path('deep')), { code: 'EISDIR' });
  t.match(await fs.statfs(mountpoint), { bsize: 2 ** 20, bfree: 0 });
});

onEachDriver('inode numbers are the same in readdir, in stat and in the next mount', async (t, driver) => {
  const objects = [
    { key: 'a', seed: 1, size: 10 },
    { key: 'b/c', seed: 1, size: 10 },
  ];
  const first = await mounted(t, driver, { objects });
  const listing = await run('ls', ['-ai', first.mountpoint]);
  const listed = new Map(
    listing.stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(' ') as [string, string])
      .map(([inode, name]) => [name, Number(inode)]),
  );
  t.equal(listed.get('a'), (await fs.stat(first.path('a'))).ino);
  t.equal(listed.get('b'), (await fs.stat(first.path('b'))).ino);
  t.equal(listed.get('.'), 1, 'the root is 1');
  const second = await mounted(t, driver, { objects });
  t.equal((await fs.stat(second.path('b/c'))).ino, (await fs.stat(first.path('b/c'))).ino);
});

onEachDriver('names may hold anything but a slash and NUL', async (t, driver) => {
  const names = [
    'line\nfeed',
    'tab\t and \u0001\u007f',
    'back\\slash, "quotes" and \'more\'',
    'n\u00fc',
    'nu\u0308',
    '\u{1f9ff} beyond the basic plane',
    'x'.repeat(255),
    '\u00e9'.repeat(127),
    ' leading and trailing ',
    '-rf',
  ];
  const { mountpoint, path } = await mounted(t, driver, {
    objects: names.map((key, seed) => ({ key, seed, size: 100 + seed })),
  });
  const listed = await fs.readdir(mountpoint);
  t.same(new Set(listed), new Set(names));
  for (const [seed, name] of names.entries()) {
    t.same(await fs.readFile(path(name)), Buffer.from(bytesOf({ key: name, seed, size: 100 + seed })));
  }
});

onEachDriver('a name that no file can have is too long, however long it is', async (t, driver) => {
  const { path } = await mounted(t, driver);
  for (const bytes of [256, 1024, 1025, 4000]) {
    await t.rejects(fs.stat(path('x'.repeat(bytes))), { code: 'ENAMETOOLONG' }, `${bytes} bytes`);
  }
});

onEachDriver('a file is all data, and ends in a hole', async (t, driver) => {
  const { path } = await mounted(t, driver, { objects: [{ key: 'file', seed: 1, size: 1000 }] });
  // SEEK_DATA is 3, SEEK_HOLE 4.
  const script = `open(F, '<', $ARGV[0]) or die;
    for (['10', 3], ['10', 4], ['1000', 3], ['2000', 4]) {
      my $at = sysseek(F, $_->[0], $_->[1]);
      print $at ? int($at) : $!{ENXIO} ? 'ENXIO' : "$!", ' ';
    }`;
  const { stdout } = await run('perl', ['-e', script, path('file')]);
  t.equal(stdout, '10 1000 ENXIO ENXIO ');
});

onEachDriver('nothing can be changed: every write operation answers EROFS', async (t, driver) => {
  const { mountpoint, path } = await mounted(t, driver, {
    objects: [
      { key: 'file', seed: 1, size: 10 },
      { key: 'dir/file', seed: 1, size: 10 },
    ],
  });
  const operations: Record<string, () => Promise<unknown>> = {
    create: () => fs.writeFile(path('new'), 'x'),
    write: () => fs.open(path('file'), constants.O_WRONLY),
    readWrite: () => fs.open(path('file'), constants.O_RDWR),
    truncating: () => fs.open(path('file'), constants.O_RDONLY | constants.O_TRUNC),
    append: () => fs.appendFile(path('file'), 'x'),
    mkdir: () => fs.mkdir(path('new')),
    rmdir: () => fs.rmdir(path('dir')),
    unlink: () => fs.unlink(path('file')),
    rename: () => fs.rename(path('file'), path('new')),
    link: () => fs.link(path('file'), path('new')),
    symlink: () => fs.symlink('file', path('new')),
    chmod: () => fs.chmod(path('file'), 0o600),
    chown: () => fs.chown(path('file'), 1, 1),
    truncate: () => fs.truncate(path('file'), 0),
    utimes: () => fs.utimes(path('file'), 1, 1),
  };
  for (const [name, operation] of Object.entries(operations)) {
    await t.rejects(operation(), { code: 'EROFS' }, name);
  }
  await t.rejects(run('mkfifo', [path('new')]), { message: /Read-only file system/ });
  t.same(await fs.readdir(mountpoint), ['dir', 'file']);
});

onEachDriver('ls -l and cp -a work, though there are no extended attributes', async (t, driver) => {
  const object = { key: 'dir/file', seed: 1, size: 1000 };
  const { path } = await mounted(t, driver, { objects: [object] });
  const { stdout, stderr } = await run('ls', ['-l', path('dir')]);
  t.match(stdout, /-r--r--r-- 1 1234 +2345 +1000 .* file/);
  t.equal(stderr, '');
  const target = await emptyDirectory(t);
  const copied = await run('cp', ['-a', path('dir'), target]);
  t.equal(copied.stderr, '');
  t.same(await fs.readFile(join(target, 'dir/file')), Buffer.from(bytesOf(object)));
  // The copy is as read-only as the original: a user could not clear it away.
  await run('chmod', ['-R', 'u+w', target]);
});

onEachDriver('a source with commas and backslashes adds no mount options', async (t, driver) => {
  const { mountpoint } = await mounted(t, driver, { source: 's3://bucket/a,rw,dev\\,suid/ü' });
  const entry = await mountEntry(mountpoint);
  t.match(entry, { fsType: 'fuse.sluice', source: 's3://bucket/a%2Crw%2Cdev%5C%2Csuid/ü' });
});

onEachDriver('a directory that grows is listed anew when the TTL has passed', async (t, driver) => {
  const { child, mountpoint } = await mounted(t, driver, {
    objects: [{ key: 'a', seed: 1, size: 1 }],
    metadataTtlMs: 0,
  });
  t.same(await fs.readdir(mountpoint), ['a']);
  await child.ask({ do: 'put', object: { key: 'b/c', seed: 1, size: 1 } });
  t.same(await fs.readdir(mountpoint), ['a', 'b']);
  t.same(await fs.readdir(join(mountpoint, 'b')), ['c']);
});
