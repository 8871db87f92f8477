/** Both drivers through the kernel: how mounts end, and mount points that cannot be used. */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { mountTableReader } from '../../src/fuse/mount-table.js';
import { removeMount, unmountSystem } from '../../src/fuse/unmount.js';
import { emptyDirectory, startChild, mounted, closeAfterUnmount, mountEntry } from './fuse-rig.js';
import { onEachDriver } from '../support/drivers.js';

const run = promisify(execFile);

const needsRoot =
  process.geteuid?.() === 0 ? {} : { skip: 'only root may abort a connection where fusectl is not mounted' };

onEachDriver('the end of a mount', async (t, driver) => {
  const objects = [{ key: 'file', seed: 1, size: 1_000_000 }];

  await t.test('the session unmounts and the process ends', async (t) => {
    const { child, mountpoint } = await mounted(t, driver, { objects });
    t.same(await child.ask({ do: 'unmount', force: false }), {});
    t.equal(await mountEntry(mountpoint), undefined);
    t.same(await child.exit, { code: 0, signal: null });
  });

  await t.test('it detaches the mount when files are open', async (t) => {
    const { child, mountpoint, path } = await mounted(t, driver, { objects });
    const handle = await fs.open(path('file'));
    t.same(await child.ask({ do: 'unmount', force: false }), {});
    t.equal(await mountEntry(mountpoint), undefined);
    t.same(await child.exit, { code: 0, signal: null });
    await closeAfterUnmount(handle);
  });

  await t.test('by force, reads under way fail', async (t) => {
    const { child, mountpoint, path } = await mounted(t, driver, { objects });
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
    const { child, mountpoint } = await mounted(t, driver, { objects });
    await run('umount', [mountpoint]);
    t.same(await child.exit, { code: 0, signal: null });
  });

  await t.test('a mount in use is refused, then removed lazily', async (t) => {
    const { child, mountpoint, path } = await mounted(t, driver, { objects });
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

  await t.test('a process that hangs is taken off by force', needsRoot, async (t) => {
    const { child, mountpoint } = await mounted(t, driver, { objects });
    child.kill('SIGSTOP');
    const refused = t.rejects(fs.readdir(mountpoint), { code: 'ECONNABORTED' });
    await removeMount(mountpoint, 'force');
    await refused;
    t.equal(await mountEntry(mountpoint), undefined);
    child.kill('SIGCONT');
    t.same(await child.exit, { code: 0, signal: null });
  });

  await t.test('a killed process leaves a dead mount, which the next mount repairs', async (t) => {
    const { child, mountpoint } = await mounted(t, driver, { objects });
    child.kill('SIGKILL');
    await child.exit;
    await t.rejects(fs.stat(mountpoint), { code: 'ENOTCONN' });
    const next = await startChild(t, driver, mountpoint, { objects });
    t.same(next.answer, {});
    t.same(await fs.readdir(mountpoint), ['file']);
    const table = await mountTableReader('linux')();
    t.equal(table.filter((entry) => entry.mountpoint === mountpoint).length, 1, 'the dead one is gone');
  });
});

t.test('an aborted connection ends the process, and no dead mount is left (native)', needsRoot, async (t) => {
  const { child, mountpoint } = await mounted(t, 'native');
  const [, minor = ''] = (await mountEntry(mountpoint))?.device?.split(':') ?? [];
  await unmountSystem('linux').abortConnection(minor);
  t.same(await child.exit, { code: 0, signal: null });
  t.equal(await mountEntry(mountpoint), undefined);
});

onEachDriver('mount points that cannot be used are refused, and nothing stays mounted', async (t, driver) => {
  const directory = await emptyDirectory(t);
  await fs.writeFile(join(directory, 'file'), '');
  const missing = join(directory, 'missing');
  const cases = [
    [missing, 'mountpoint_missing', `${missing} does not exist: create it with mkdir -p`],
    [join(directory, 'file'), 'mountpoint_not_directory', /choose an empty directory/],
    [directory, 'mountpoint_not_empty', /holds "file"/],
  ] as const;
  for (const [mountpoint, code, error] of cases) {
    const { child, answer } = await startChild(t, driver, mountpoint);
    t.match(answer, { code, error });
    t.equal(await mountEntry(mountpoint), undefined);
    child.kill('SIGKILL');
  }
  const { mountpoint } = await mounted(t, driver);
  const second = await startChild(t, driver, mountpoint);
  t.match(second.answer, { code: 'mountpoint_in_use', error: /sluice unmount/ });
  t.same(await fs.readdir(mountpoint), [], 'the mount that was there still answers');
});
