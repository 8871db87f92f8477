/** What prepareMountpoint decides about mounts that are there; real directories are in lifecycle.test.ts. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { MountTableEntry } from '../../src/fuse/mount-table.js';
import { prepareMountpoint } from '../../src/fuse/mountpoint.js';
import type { CommandResult } from '../../src/fuse/run-command.js';
import type { UnmountSystem } from '../../src/fuse/unmount.js';
import { silentLogger } from '../../src/observability/logger.js';

/** `mounts` are mounted at `mountpoint`; probes answer `probe`, umount takes the topmost away. */
function systemWith(mountpoint: string, fsTypes: readonly string[], probe: CommandResult) {
  let mounts: MountTableEntry[] = fsTypes.map((fsType, at) => {
    return { id: String(at), device: `0:${at}`, mountpoint, fsType, source: 's3://b' };
  });
  const commands: string[] = [];
  const system: UnmountSystem = {
    platform: 'linux',
    isRoot: true,
    readMountTable: async () => mounts,
    abortConnection: async () => {},
    run: async (file) => {
      commands.push(file === process.execPath ? 'probe' : file);
      if (file === process.execPath) return probe;
      mounts = mounts.slice(0, -1);
      return { kind: 'exited', exitCode: 0, stdout: '', complaint: '' };
    },
  };
  return { system, commands };
}

const exited = (exitCode: number): CommandResult => ({ kind: 'exited', exitCode, stdout: '', complaint: '' });

t.test('dead mounts are removed, also several on each other', async (t) => {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'sluice-mountpoint-')));
  t.teardown(() => rm(directory, { recursive: true }));
  for (const errno of [107, 103]) {
    const { system, commands } = systemWith(directory, ['fuse.sluice', 'fuse.s3fs'], exited(errno));
    await prepareMountpoint(directory, system, silentLogger);
    t.same(commands, ['probe', 'umount', 'probe', 'umount']);
  }
});

t.test('what is in use stays as it is', async (t) => {
  const cases = [
    ['fuse.sluice', exited(0), /already mounted on \/m: run sluice unmount \/m first/],
    [
      'fuse.s3fs',
      exited(0),
      /s3:\/\/b \(type fuse\.s3fs\) is already mounted on \/m: choose another directory/,
    ],
    ['fuse.sluice', exited(13), /already mounted/],
    ['fuse.sluice', { kind: 'timed_out' }, /does not answer: run sluice unmount --force \/m/],
  ] as const;
  for (const [fsType, probe, message] of cases) {
    const { system, commands } = systemWith('/m', [fsType], probe);
    await t.rejects(prepareMountpoint('/m', system, silentLogger), { code: 'mountpoint_in_use', message });
    t.same(commands, ['probe']);
  }
  const { system, commands } = systemWith('/m', ['ext4'], exited(107));
  await t.rejects(prepareMountpoint('/m', system, silentLogger), { code: 'mountpoint_in_use' });
  t.same(commands, [], 'what is no FUSE mount is not even asked');
});
