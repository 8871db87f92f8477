import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createMountFolder, MountFolderError } from '../../src/file/mount-folder.js';
import { silentLogger } from '../../src/observability/logger.js';

t.test('the folder is private, and gone after remove', async (t) => {
  const cacheDir = join(t.testdir({}), 'deep', 'cache');
  const folder = createMountFolder(cacheDir, silentLogger);
  t.equal(statSync(folder.path).mode & 0o777, 0o700);
  t.equal(statSync(cacheDir).mode & 0o777, 0o700);
  t.same(readdirSync(folder.path), [], 'the probe is gone');
  t.ok(folder.cacheBytesMaxDefault > 0 && folder.cacheBytesMaxDefault <= 20 * 1024 ** 3);
  writeFileSync(join(folder.path, 's1'), 'x');
  folder.remove();
  folder.remove();
  t.same(readdirSync(cacheDir), []);
});

t.test('two mounts of one process do not share a folder', async (t) => {
  const cacheDir = t.testdir({});
  const first = createMountFolder(cacheDir, silentLogger);
  const second = createMountFolder(cacheDir, silentLogger);
  t.not(first.path, second.path);
  t.ok(existsSync(first.path));
  first.remove();
  second.remove();
});

t.test('folders of dead owners go, those of living ones and foreign names stay', async (t) => {
  const cacheDir = t.testdir({});
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  await once(child, 'spawn');
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'latin1');
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  const alive = `mount-${child.pid}-${started}-1`;
  for (const name of [alive, `mount-${child.pid}-1-1`, 'mount-4194304-77-1', 'notes'])
    mkdirSync(join(cacheDir, name));
  const folder = createMountFolder(cacheDir, silentLogger);
  folder.remove();
  t.same(readdirSync(cacheDir).sort(), [alive, 'notes'].sort());
  child.kill('SIGKILL');
  await once(child, 'exit');
  createMountFolder(cacheDir, silentLogger).remove();
  t.same(readdirSync(cacheDir), ['notes']);
});

t.test('a place that cannot be a directory is refused with advice', async (t) => {
  const root = t.testdir({ file: 'x' });
  t.throws(() => createMountFolder(join(root, 'file'), silentLogger), MountFolderError);
  t.throws(
    () => createMountFolder(join(root, 'file', 'below'), silentLogger),
    /choose another with --cache-dir/,
  );
  t.throws(() => createMountFolder('/proc/nowhere', silentLogger), MountFolderError, 'and does not hang');
});
