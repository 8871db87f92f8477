import t from 'tap';
import type { MountTableEntry } from '../../src/fuse/mount-table.js';
import type { CommandResult } from '../../src/fuse/run-command.js';
import { removeMount } from '../../src/fuse/unmount.js';
import type { UnmountSystem } from '../../src/fuse/unmount.js';

const MOUNT: MountTableEntry = {
  id: '42',
  device: '0:39',
  mountpoint: '/m',
  fsType: 'fuse.sluice',
  source: 's3://b',
};
const DONE: CommandResult = { kind: 'exited', exitCode: 0, stdout: '', complaint: '' };
const BUSY: CommandResult = { kind: 'exited', exitCode: 32, stdout: '', complaint: 'target is busy' };
const ABSENT: CommandResult = { kind: 'not_started', complaint: 'ENOENT' };

/** A system whose commands answer `results` in order; a command that succeeds removes the mount. */
function systemWith(results: readonly CommandResult[], options: Partial<UnmountSystem> = {}) {
  let mounts: readonly MountTableEntry[] = [MOUNT];
  const commands: string[] = [];
  const system: UnmountSystem = {
    platform: 'linux',
    isRoot: true,
    readMountTable: async () => mounts,
    abortConnection: async (minor) => void commands.push(`abort ${minor}`),
    run: async (file, args) => {
      const result = results[commands.filter((line) => !line.startsWith('abort')).length] ?? DONE;
      commands.push([file, ...args].join(' '));
      if (result === DONE) mounts = [];
      return result;
    },
    ...options,
  };
  return { system, commands };
}

t.test('each user, platform and mode has its command', async (t) => {
  const root = { isRoot: true };
  const user = { isRoot: false };
  const mac = { platform: 'darwin', isRoot: false } as const;
  const cases = [
    [root, 'normal', ['umount --no-canonicalize --internal-only /m']],
    [root, 'lazy', ['umount --no-canonicalize --internal-only --lazy /m']],
    [root, 'force', ['abort 39', 'umount --no-canonicalize --internal-only --lazy /m']],
    [user, 'normal', ['fusermount3 -u -- /m']],
    [user, 'lazy', ['fusermount3 -uz -- /m']],
    [user, 'force', ['abort 39', 'fusermount3 -uz -- /m']],
    [mac, 'normal', ['/sbin/umount /m']],
    [mac, 'lazy', ['/usr/sbin/diskutil unmount force /m']],
  ] as const;
  for (const [who, mode, expected] of cases) {
    const { system, commands } = systemWith([DONE], who);
    await removeMount('/m', mode, system);
    t.same(commands, expected);
  }
});

t.test('where a program is missing its older name is tried', async (t) => {
  const { system, commands } = systemWith([ABSENT, DONE], { isRoot: false });
  await removeMount('/m', 'normal', system);
  t.same(commands, ['fusermount3 -u -- /m', 'fusermount -u -- /m']);
});

t.test('nothing mounted: nothing to do', async (t) => {
  const { system, commands } = systemWith([]);
  await removeMount('/elsewhere', 'force', system);
  t.same(commands, []);
});

t.test('a failure says what the system said and what to do next', async (t) => {
  const cases = [
    ['normal', BUSY, 'cannot unmount /m: target is busy. Close what uses it, or unmount with --lazy'],
    ['lazy', { kind: 'timed_out' } as const, 'umount did not end within 10 s'],
    ['force', BUSY, 'as root'],
  ] as const;
  for (const [mode, result, message] of cases) {
    const { system } = systemWith([result]);
    await t.rejects(removeMount('/m', mode, system), {
      code: 'unmount_failed',
      message: new RegExp(message),
    });
  }
});

t.test('a mount that is gone afterwards was removed, whatever the program said', async (t) => {
  const { system } = systemWith([]);
  let reads = 0;
  const gone = {
    ...system,
    run: async () => BUSY,
    readMountTable: async () => (reads++ === 0 ? [MOUNT] : []),
  };
  await removeMount('/m', 'normal', gone);
  t.equal(reads, 2);
});

t.test('the control file system may be missing: the mount is detached all the same', async (t) => {
  const { system, commands } = systemWith([DONE], {
    abortConnection: async () => {
      throw new Error('no such file');
    },
  });
  await removeMount('/m', 'force', system);
  t.same(commands, ['umount --no-canonicalize --internal-only --lazy /m']);
});
