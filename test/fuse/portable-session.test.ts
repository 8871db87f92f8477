/** The portable driver through the kernel: a child process serves, this one uses the mount as any program does. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { mountTableReader } from '../../src/fuse/mount-table.js';
import { removeMount } from '../../src/fuse/unmount.js';
import { fillPattern, findPatternMismatch } from '../../src/runtime/pattern.js';
import { AnsweringChild } from '../support/child-process.js';
import type { ChildAnswer, ChildCommand, ChildConfig, ChildObject } from './portable-child.js';

const run = promisify(execFile);
const CHILD = fileURLToPath(new URL('portable-child.js', import.meta.url));
const HOUR_MS = 3_600_000;
/** Node has no name for it. */
const ESTALE = { message: /^Unknown system error -116/ };

type Child = AnsweringChild<ChildCommand, ChildAnswer>;

interface Mounted {
  readonly child: Child;
  readonly mountpoint: string;
  readonly path: (name: string) => string;
}

/** A directory to mount on; whatever is mounted there at the end goes. */
async function emptyDirectory(t: Test): Promise<string> {
  const directory = await fs.realpath(await fs.mkdtemp(join(tmpdir(), 'sluice-fuse-')));
  t.teardown(async () => {
    await removeMount(directory, 'force');
    await fs.rm(directory, { recursive: true });
  });
  return directory;
}

/** Starts a child that mounts on `mountpoint`; `answer` is what became of it. */
async function startChild(t: Test, mountpoint: string, config: Partial<ChildConfig> = {}) {
  const all: ChildConfig = {
    mountpoint,
    source: 's3://bucket',
    metadataTtlMs: HOUR_MS,
    objects: [],
    ...config,
  };
  const child: Child = new AnsweringChild(CHILD, [JSON.stringify(all)]);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await child.exit;
  });
  return { child, answer: await child.next() };
}

async function mounted(t: Test, config: Partial<ChildConfig> = {}): Promise<Mounted> {
  const mountpoint = await emptyDirectory(t);
  const { child, answer } = await startChild(t, mountpoint, config);
  t.same(answer, {}, 'mounts');
  return { child, mountpoint, path: (name) => join(mountpoint, name) };
}

function bytesOf({ seed, size }: ChildObject): Uint8Array {
  return fillPattern(new Uint8Array(size), seed, 0);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** close(2) reports that there is nobody left to flush to. */
async function closeAfterUnmount(handle: fs.FileHandle): Promise<void> {
  await handle.close().catch(() => {});
}

async function mountEntry(mountpoint: string) {
  return (await mountTableReader('linux')()).find((entry) => entry.mountpoint === mountpoint);
}

t.test('shows a bucket as files and directories, and reads their bytes', async (t) => {
  const objects = [
    { key: 'small.txt', seed: 1, size: 1000 },
    { key: 'empty', seed: 2, size: 0 },
    { key: 'deep/er/large.bin', seed: 3, size: 3_000_001 },
  ];
  const { mountpoint, path } = await mounted(t, { objects });
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

t.test('inode numbers are the same in readdir, in stat and in the next mount', async (t) => {
  const objects = [
    { key: 'a', seed: 1, size: 10 },
    { key: 'b/c', seed: 1, size: 10 },
  ];
  const first = await mounted(t, { objects });
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
  const second = await mounted(t, { objects });
  t.equal((await fs.stat(second.path('b/c'))).ino, (await fs.stat(first.path('b/c'))).ino);
});

t.test('names may hold anything but a slash and NUL', async (t) => {
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
  const { mountpoint, path } = await mounted(t, {
    objects: names.map((key, seed) => ({ key, seed, size: 100 + seed })),
  });
  const listed = await fs.readdir(mountpoint);
  t.same(new Set(listed), new Set(names));
  for (const [seed, name] of names.entries()) {
    t.same(await fs.readFile(path(name)), Buffer.from(bytesOf({ key: name, seed, size: 100 + seed })));
  }
});

t.test('nothing can be changed: every write operation answers EROFS', async (t) => {
  const { mountpoint, path } = await mounted(t, {
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

t.test('ls -l and cp -a work, though there are no extended attributes', async (t) => {
  const object = { key: 'dir/file', seed: 1, size: 1000 };
  const { path } = await mounted(t, { objects: [object] });
  const { stdout, stderr } = await run('ls', ['-l', path('dir')]);
  t.match(stdout, /-r--r--r-- 1 1234 +2345 +1000 .* file/);
  t.equal(stderr, '');
  const target = await emptyDirectory(t);
  const copied = await run('cp', ['-a', path('dir'), target]);
  t.equal(copied.stderr, '');
  t.same(await fs.readFile(join(target, 'dir/file')), Buffer.from(bytesOf(object)));
});

t.test('a source with commas and backslashes adds no mount options', async (t) => {
  const { mountpoint } = await mounted(t, { source: 's3://bucket/a,rw,dev\\,suid/ü' });
  const entry = await mountEntry(mountpoint);
  t.match(entry, { fsType: 'fuse.sluice', source: 's3://bucket/a%2Crw%2Cdev%5C%2Csuid/ü' });
});

t.test('an open file whose object was replaced', async (t) => {
  const old = { key: 'file', seed: 1, size: 4_000_000 };

  for (const [kind, size] of [
    ['smaller', 100_000],
    ['larger', 5_000_000],
    ['equally large', 4_000_000],
  ] as const) {
    await t.test(`by a ${kind} one: new opens read the new bytes, the old handle ESTALE`, async (t) => {
      const { child, path } = await mounted(t, { objects: [old], metadataTtlMs: 0 });
      const { etag = '' } = await child.ask({ do: 'etag', key: 'file' });
      const handle = await fs.open(path('file'));
      await handle.read(Buffer.alloc(4096), 0, 4096, 0);
      await child.ask({ do: 'hold', etag });
      const waiting = handle.read(Buffer.alloc(4096), 0, 4096, 3_000_000);
      const refused = t.rejects(waiting, ESTALE, 'a read under way ends');
      await child.ask({ do: 'await-held-read' });
      const replacement = { key: 'file', seed: 2, size };
      await child.ask({ do: 'put', object: replacement });

      t.equal(sha256(await fs.readFile(path('file'))), sha256(bytesOf(replacement)), 'a new open');
      await refused;
      // What the kernel still has of the old version may be read, what it has of the new one never.
      for (let offset = 0; offset < 100_000; offset += 4096) {
        const target = Buffer.alloc(4096);
        const wasRead = await handle.read(target, 0, 4096, offset).catch(() => undefined);
        if (wasRead) t.equal(findPatternMismatch(target, old.seed, offset), -1, `old bytes at ${offset}`);
      }
      for (const offset of [150_000, 4096 * 100, 3_000_000, 3_999_990]) {
        await t.rejects(handle.read(Buffer.alloc(10), 0, 10, offset), ESTALE, `at ${offset}`);
      }
      await t.rejects(handle.stat(), ESTALE);
      await handle.close();
      t.equal(sha256(await fs.readFile(path('file'))), sha256(bytesOf(replacement)), 'and again');
    });
  }

  await t.test('by a smaller one that was only looked at: ESTALE, not an early end', async (t) => {
    const { child, path } = await mounted(t, { objects: [old], metadataTtlMs: 0 });
    const handle = await fs.open(path('file'));
    await handle.read(Buffer.alloc(4096), 0, 4096, 2_000_000);
    await child.ask({ do: 'put', object: { key: 'file', seed: 2, size: 1000 } });
    t.equal((await fs.stat(path('file'))).size, old.size, 'the first look sets the open version apart');
    await t.rejects(handle.read(Buffer.alloc(4096), 0, 4096, 3_000_000), ESTALE);
    let size = old.size;
    while (size === old.size) ({ size } = await fs.stat(path('file')));
    t.equal(size, 1000, 'the next ones show the newest');
    await t.rejects(handle.read(Buffer.alloc(4096), 0, 4096, 3_500_000), ESTALE);
    await handle.close();
  });

  await t.test('is seen by a new open as soon as a read failed, however long the TTL', async (t) => {
    const { child, path } = await mounted(t, { objects: [old], metadataTtlMs: HOUR_MS });
    const handle = await fs.open(path('file'));
    await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    const replacement = { key: 'file', seed: 2, size: 1000 };
    await child.ask({ do: 'put', object: replacement });
    t.equal((await fs.stat(path('file'))).size, old.size, 'within the TTL the old attributes are shown');
    await t.rejects(handle.read(Buffer.alloc(4096), 0, 4096, 3_000_000), ESTALE);
    t.same(await fs.readFile(path('file')), Buffer.from(bytesOf(replacement)));
    await handle.close();
  });

  await t.test('by nothing: the open handle answers ESTALE, the name is gone', async (t) => {
    const { child, path } = await mounted(t, { objects: [old], metadataTtlMs: 0 });
    const handle = await fs.open(path('file'));
    await child.ask({ do: 'delete', key: 'file' });
    await t.rejects(handle.read(Buffer.alloc(10), 0, 10, 0), ESTALE);
    await handle.close();
    await t.rejects(fs.stat(path('file')), { code: 'ENOENT' });
  });
});

t.test('a directory that grows is listed anew when the TTL has passed', async (t) => {
  const { child, mountpoint } = await mounted(t, {
    objects: [{ key: 'a', seed: 1, size: 1 }],
    metadataTtlMs: 0,
  });
  t.same(await fs.readdir(mountpoint), ['a']);
  await child.ask({ do: 'put', object: { key: 'b/c', seed: 1, size: 1 } });
  t.same(await fs.readdir(mountpoint), ['a', 'b']);
  t.same(await fs.readdir(join(mountpoint, 'b')), ['c']);
});

t.test('the end of a mount', async (t) => {
  const objects = [{ key: 'file', seed: 1, size: 1_000_000 }];

  await t.test('the session unmounts and the process ends', async (t) => {
    const { child, mountpoint } = await mounted(t, { objects });
    t.same(await child.ask({ do: 'unmount', force: false }), {});
    t.equal(await mountEntry(mountpoint), undefined);
    t.same(await child.exit, { code: 0, signal: null });
  });

  await t.test('it detaches the mount when files are open', async (t) => {
    const { child, mountpoint, path } = await mounted(t, { objects });
    const handle = await fs.open(path('file'));
    t.same(await child.ask({ do: 'unmount', force: false }), {});
    t.equal(await mountEntry(mountpoint), undefined);
    t.same(await child.exit, { code: 0, signal: null });
    await closeAfterUnmount(handle);
  });

  await t.test('by force, reads under way fail', async (t) => {
    const { child, mountpoint, path } = await mounted(t, { objects });
    const { etag = '' } = await child.ask({ do: 'etag', key: 'file' });
    await child.ask({ do: 'hold', etag });
    const handle = await fs.open(path('file'));
    const refused = t.rejects(handle.read(Buffer.alloc(10), 0, 10, 0), {
      code: /^(?:ECONNABORTED|ENOTCONN|EINTR)$/,
    });
    await child.ask({ do: 'await-held-read' });
    t.same(await child.ask({ do: 'unmount', force: true }), {});
    await refused;
    t.equal(await mountEntry(mountpoint), undefined);
    t.same(await child.exit, { code: 0, signal: null });
    await closeAfterUnmount(handle);
  });

  await t.test('anybody may unmount: the process notices and ends', async (t) => {
    const { child, mountpoint } = await mounted(t, { objects });
    await run('umount', [mountpoint]);
    t.same(await child.exit, { code: 0, signal: null });
  });

  await t.test('a mount in use is refused, then removed lazily', async (t) => {
    const { child, mountpoint, path } = await mounted(t, { objects });
    const handle = await fs.open(path('file'));
    await t.rejects(removeMount(mountpoint, 'normal'), {
      code: 'unmount_failed',
      message: new RegExp(`cannot unmount ${mountpoint}: .*--lazy.*--force`),
    });
    t.ok(await mountEntry(mountpoint));
    await removeMount(mountpoint, 'lazy');
    t.equal(await mountEntry(mountpoint), undefined);
    t.same(await child.exit, { code: 0, signal: null });
    await closeAfterUnmount(handle);
    await removeMount(mountpoint, 'normal');
  });

  await t.test('a process that hangs is taken off by force', async (t) => {
    const { child, mountpoint } = await mounted(t, { objects });
    child.kill('SIGSTOP');
    const refused = t.rejects(fs.readdir(mountpoint), { code: 'ECONNABORTED' });
    await removeMount(mountpoint, 'force');
    await refused;
    t.equal(await mountEntry(mountpoint), undefined);
    child.kill('SIGCONT');
    t.same(await child.exit, { code: 0, signal: null });
  });

  await t.test('a killed process leaves a dead mount, which the next mount repairs', async (t) => {
    const { child, mountpoint } = await mounted(t, { objects });
    child.kill('SIGKILL');
    await child.exit;
    await t.rejects(fs.stat(mountpoint), { code: 'ENOTCONN' });
    const next = await startChild(t, mountpoint, { objects });
    t.same(next.answer, {});
    t.same(await fs.readdir(mountpoint), ['file']);
    const table = await mountTableReader('linux')();
    t.equal(table.filter((entry) => entry.mountpoint === mountpoint).length, 1, 'the dead one is gone');
  });
});

t.test('mount points that cannot be used are refused, and nothing stays mounted', async (t) => {
  const directory = await emptyDirectory(t);
  await fs.writeFile(join(directory, 'file'), '');
  const missing = join(directory, 'missing');
  const cases = [
    [missing, 'mountpoint_missing', `${missing} does not exist: create it with mkdir -p`],
    [join(directory, 'file'), 'mountpoint_not_directory', /choose an empty directory/],
    [directory, 'mountpoint_not_empty', /holds "file"/],
  ] as const;
  for (const [mountpoint, code, error] of cases) {
    const { child, answer } = await startChild(t, mountpoint);
    t.match(answer, { code, error });
    t.equal(await mountEntry(mountpoint), undefined);
    child.kill('SIGKILL');
  }
  const { mountpoint } = await mounted(t);
  const second = await startChild(t, mountpoint);
  t.match(second.answer, { code: 'mountpoint_in_use', error: /sluice unmount/ });
  t.same(await fs.readdir(mountpoint), [], 'the mount that was there still answers');
});
