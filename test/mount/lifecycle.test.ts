/** Mounting, unmounting, signals, kills and stale mounts: nothing hangs and nothing is left behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isProcessAlive } from '../../src/runtime/process-identity.js';
import type { Test } from 'tap';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { ownersIn } from '../support/cache-folder.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, isMounted, read, startWorld } from '../support/mount-harness.js';
import type { Daemon } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';

const MIB = 1024 * 1024;

/** The exit code or signal; 'still running' after `timeoutMs`. */
function exitOf({ exited }: Daemon, timeoutMs: number): Promise<number | string> {
  return Promise.race([exited, eventually(() => false, timeoutMs).then(() => 'still running')]);
}

/** A process that read a byte and keeps the file open until the test ends. */
async function holdOpen(t: Test, path: string): Promise<void> {
  const holder = spawn('bash', [
    '-c',
    `exec 3<"$1"; head -c 1 <&3 >/dev/null; echo open; exec sleep 60`,
    '-',
    path,
  ]);
  t.teardown(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
}

onEachDriver(
  'mount in the background returns when the mount answers; status and unmount find it',
  async (t, driver) => {
    const { server, sluice, folder, status, scratch } = await startWorld(t, { driver });
    await server.putObject(BUCKET, 'a', 'hello');
    const mountpoint = folder('mount');
    const cache = join(scratch, 'cache');
    const flags = ['--endpoint-url', server.endpoint, '--force-path-style', '--cache-dir', cache];
    const mounted = await sluice(['mount', ...flags, `s3://${BUCKET}`, mountpoint]);
    t.equal(mounted.code, 0, mounted.stderr);
    t.match(mounted.stdout.toString(), mountpoint);
    t.equal((await run('cat', [join(mountpoint, 'a')])).stdout.toString(), 'hello');
    const report = await status(mountpoint);
    t.match(report, { schema: 1, mountpoint, source: `s3://${BUCKET}/`, driver: { name: driver } });
    t.ok(report.logFile !== null && existsSync(report.logFile), 'the log is where status says');
    t.match(mounted.stdout.toString(), report.logFile ?? 'no log', 'and mount printed it');
    const again = await sluice(['mount', ...flags, `s3://${BUCKET}`, mountpoint]);
    t.not(again.code, 0, 'a second mount at the same place is refused');
    t.match(again.stderr, /sluice unmount/);
    const unmounted = await sluice(['unmount', mountpoint]);
    t.equal(unmounted.code, 0, unmounted.stderr);
    t.notOk(isMounted(mountpoint));
    t.ok(await eventually(() => !isProcessAlive(report.pid)), 'the daemon is gone');
    t.same(ownersIn(cache), [], 'and its place in the cache');
    t.not((await sluice(['unmount', mountpoint])).code, 0, 'unmounting what is not mounted is an error');
    t.not((await sluice(['status', mountpoint])).code, 0);
  },
);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  onEachDriver(
    `${signal} unmounts and ends with 0, with files open and a read waiting`,
    async (t, driver) => {
      const { server, mount, scratch } = await startWorld(t, { driver });
      await server.putSynthetic(BUCKET, 'big', { size: 64 * MIB, seed: 1 });
      const cache = join(scratch, 'cache');
      const daemon = await mount(['--cache-dir', cache]);
      const file = join(daemon.mountpoint, 'big');
      await holdOpen(t, file);
      server.faults.add({ operation: 'GetObject', fault: { kind: 'stall', at: { atByte: 0 } } });
      const waiting = read(file, 32 * MIB, 4096);
      await eventually(() => server.counters.gets(BUCKET, 'big').length > 1);
      daemon.process.kill(signal);
      t.equal(await exitOf(daemon, 5000), 0, daemon.output());
      t.notOk(isMounted(daemon.mountpoint));
      const { code, hung } = await waiting;
      t.notOk(hung, 'the waiting read ended');
      t.not(code, 0);
      t.same(ownersIn(cache), []);
    },
  );
}

for (const [who, command] of [
  ['umount', (mountpoint: string) => run('umount', [mountpoint])],
  ['umount -l with a file open', (mountpoint: string) => run('umount', ['-l', mountpoint])],
] as const) {
  onEachDriver(
    `when anybody removes the mount (${who}) the daemon ends with 0 within 5 s`,
    async (t, driver) => {
      const { server, mount, scratch } = await startWorld(t, { driver });
      await server.putSynthetic(BUCKET, 'big', { size: 64 * MIB, seed: 1 });
      const cache = join(scratch, 'cache');
      const daemon = await mount(['--cache-dir', cache]);
      if (who !== 'umount') await holdOpen(t, join(daemon.mountpoint, 'big'));
      await read(join(daemon.mountpoint, 'big'), 0, 4096);
      t.equal((await command(daemon.mountpoint)).code, 0);
      t.equal(await exitOf(daemon, 5000), 0, daemon.output());
      t.same(ownersIn(cache), []);
    },
  );
}

onEachDriver(
  'killed with -9 in the middle of a read: the next mount on the same path just works',
  async (t, driver) => {
    const { server, mount, scratch } = await startWorld(t, { driver });
    await server.putSynthetic(BUCKET, 'big', { size: 64 * MIB, seed: 3 });
    const cache = join(scratch, 'cache');
    const daemon = await mount(['--cache-dir', cache]);
    const file = join(daemon.mountpoint, 'big');
    server.faults.connectionBytesPerSecond = MIB;
    const reading = read(file, 0, 64 * MIB);
    await eventually(() => server.counters.bytesSent > MIB);
    daemon.process.kill('SIGKILL');
    t.equal(await exitOf(daemon, 5000), 'SIGKILL');
    const { code, hung } = await reading;
    t.notOk(hung, 'the reader got an error');
    t.not(code, 0);
    t.ok(isMounted(daemon.mountpoint), 'the dead mount is still in the mount table');
    server.faults.connectionBytesPerSecond = 0;
    const next = await mount(['--cache-dir', cache], `s3://${BUCKET}`, daemon.mountpoint);
    const served = await eventually(async () => {
      const { stdout } = await read(join(next.mountpoint, 'big'), 0, 64 * MIB);
      return stdout.length === 64 * MIB && findPatternMismatch(stdout, 3, 0) === -1;
    });
    t.ok(served);
    const owners = new Set(ownersIn(cache).map((name) => name.slice(0, 16)));
    t.equal(owners.size, 1, 'nothing of the killed daemon is left but its copy');
    t.ok(server.counters.bytesSent < 2 * 64 * MIB, 'which goes on where it stopped');
  },
);

onEachDriver('sluice unmount clears a dead mount too', async (t, driver) => {
  const { mount, sluice } = await startWorld(t, { driver });
  const daemon = await mount();
  daemon.process.kill('SIGKILL');
  await daemon.exited;
  const { code, stderr } = await sluice(['unmount', daemon.mountpoint]);
  t.equal(code, 0, stderr);
  t.notOk(isMounted(daemon.mountpoint));
});

onEachDriver('unmount of a busy mount says so; --lazy takes it away', async (t, driver) => {
  const { server, mount, sluice } = await startWorld(t, { driver });
  await server.putObject(BUCKET, 'a', 'hello');
  const daemon = await mount();
  await holdOpen(t, join(daemon.mountpoint, 'a'));
  const refused = await sluice(['unmount', daemon.mountpoint]);
  t.not(refused.code, 0);
  t.match(refused.stderr, /--lazy/);
  t.ok(isMounted(daemon.mountpoint));
  t.equal((await sluice(['unmount', '--lazy', daemon.mountpoint])).code, 0);
  t.equal(await exitOf(daemon, 5000), 0);
});

onEachDriver(
  'the mount appears in the mount table at exactly the mount point, links resolved',
  async (t, driver) => {
    const { server, mount, sluice, folder, scratch } = await startWorld(t, { driver });
    const real = folder('name with space and \\ and ü');
    const daemon = await mount([], `s3://${BUCKET}`, real);
    t.ok(isMounted(real));
    daemon.process.kill('SIGTERM');
    await daemon.exited;
    const link = join(scratch, 'link');
    symlinkSync(real, link);
    const flags = ['--endpoint-url', server.endpoint, '--force-path-style'];
    const mounted = await sluice(['mount', ...flags, `s3://${BUCKET}`, link]);
    t.equal(mounted.code, 0, mounted.stderr);
    t.ok(isMounted(real));
    t.equal((await sluice(['unmount', link])).code, 0);
    t.notOk(isMounted(real));
  },
);
