/** What only the native driver does: modes of open files, its figures in status, names that change in the kernel at once. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { BUCKET, read, startWorld } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';

const MIB = 1024 * 1024;
const SIZE = 8 * MIB;

/** A process that keeps the file open until the test ends. */
async function holdOpen(t: Test, path: string): Promise<void> {
  const holder = spawn('bash', ['-c', 'exec 3<"$1"; echo open; exec sleep 60', '-', path]);
  t.teardown(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
}

async function assertReads(t: Test, path: string, seed: number): Promise<void> {
  const { stdout } = await read(path, 0, SIZE);
  t.equal(stdout.length, SIZE);
  t.equal(findPatternMismatch(stdout, seed, 0), -1, 'every byte is right');
}

t.test('complete files', async (t) => {
  const world = await startWorld(t, { driver: 'native' });
  await world.server.putSynthetic(BUCKET, 'file', { size: SIZE, seed: 1 });
  const { mountpoint } = await world.mount();
  const { passthrough } = (await world.status(mountpoint)).driver;
  const options = passthrough ? {} : { skip: 'passthrough needs root and Linux 6.9' };
  await t.test('they are passed through: no read reaches the daemon', options, async (t) => {
    const file = join(mountpoint, 'file');
    await assertReads(t, file, 1);
    const before = await world.status(mountpoint);
    t.ok((before.driver.readRequests ?? 0) > 0, 'read while it was fetched');
    t.equal(before.totals.bytesRead, SIZE, 'native reads are in the totals');
    t.ok(await eventually(async () => (await world.status(mountpoint)).filesystem.handles === 0));
    await holdOpen(t, file);
    await assertReads(t, file, 1);
    const { driver } = await world.status(mountpoint);
    t.match(driver, { handlesPassthrough: 1, handlesCached: 0, readRequests: before.driver.readRequests });
  });
});

for (const flag of ['--no-passthrough', '--trace-reads']) {
  t.test(`with ${flag} the kernel asks for the bytes that it has not cached`, async (t) => {
    const world = await startWorld(t, { driver: 'native' });
    await world.server.putSynthetic(BUCKET, 'file', { size: SIZE, seed: 2 });
    const { mountpoint } = await world.mount([flag, '--log-file', join(world.scratch, 'log')]);
    const file = join(mountpoint, 'file');
    await assertReads(t, file, 2);
    await run('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
    const { driver } = await world.status(mountpoint);
    await assertReads(t, file, 2);
    await holdOpen(t, file);
    const after = (await world.status(mountpoint)).driver;
    t.match(after, { passthrough: false, handlesCached: 1, handlesPassthrough: 0 });
    t.ok((after.readRequests ?? 0) > (driver.readRequests ?? 0), 'read again through the daemon');
  });
}

t.test('the page cache of a version outlives its handles', async (t) => {
  const world = await startWorld(t, { driver: 'native' });
  await world.server.putSynthetic(BUCKET, 'file', { size: SIZE, seed: 3 });
  const { mountpoint } = await world.mount(['--no-passthrough']);
  const file = join(mountpoint, 'file');
  await assertReads(t, file, 3);
  const { driver } = await world.status(mountpoint);
  await assertReads(t, file, 3);
  t.equal((await world.status(mountpoint)).driver.readRequests, driver.readRequests);
});

t.test('a name whose object was found changed is looked up anew at once, whatever its TTL', async (t) => {
  const world = await startWorld(t, { driver: 'native' });
  await world.server.putSynthetic(BUCKET, 'file', { size: SIZE, seed: 4 });
  const { mountpoint } = await world.mount(['--metadata-ttl', '1h']);
  const file = join(mountpoint, 'file');
  t.equal((await read(file, 0, 4096)).code, 0);
  await world.server.putSynthetic(BUCKET, 'file', { size: 2 * SIZE, seed: 5 });
  const size = async () => Number((await run('stat', ['-c', '%s', file])).stdout.toString());
  t.equal(await size(), SIZE, 'nobody knows yet');
  t.match((await read(file, SIZE - 4096, 4096)).stderr, /Stale file handle/);
  t.ok(await eventually(async () => (await size()) === 2 * SIZE), 'the kernel was told');
});

t.test('status says how the kernel was agreed with', async (t) => {
  const world = await startWorld(t, { driver: 'native' });
  const { mountpoint } = await world.mount(['--fuse-threads', '3']);
  const { driver } = await world.status(mountpoint);
  t.match(driver, { name: 'native', versionsApart: true, threads: 3, protocol: /^7\.\d+$/ });
  t.ok(driver.features.includes('async-read'));
  const text = await world.sluice(['status', mountpoint]);
  t.match(text.stdout.toString(), /driver {3}native, reads of up to .*0 handles cached and 0 passed through/);
});

t.test(
  'a reader that waits goes on after a signal that it handles, and is let go when it is killed',
  async (t) => {
    const world = await startWorld(t, { driver: 'native' });
    await world.server.putSynthetic(BUCKET, 'file', { size: SIZE, seed: 3 });
    const { mountpoint } = await world.mount(['--stall-timeout=50s']);
    world.server.faults.add({ operation: 'GetObject', fault: { kind: 'stall', at: 'before-headers' } });
    // It prints its progress on SIGUSR1. Direct: what the kernel reads ahead waits on without its reader.
    const args = [`if=${join(mountpoint, 'file')}`, 'of=/dev/null', 'iflag=direct', 'bs=4096', 'count=1'];
    const reader = spawn('dd', args, { stdio: 'ignore' });
    const exited = once(reader, 'exit');
    t.teardown(() => reader.kill('SIGKILL'));
    const waiting = async () => (await world.status(mountpoint)).readsInFlight.map(({ id }) => id);
    t.ok(await eventually(async () => (await waiting()).length > 0));
    const before = await waiting();
    reader.kill('SIGUSR1');
    // Each look takes longer than a wrong answer would.
    for (let look = 0; look < 3; look += 1) t.same(await waiting(), before, 'the same read waits on');
    reader.kill('SIGKILL');
    t.same(await exited, [null, 'SIGKILL'], 'nothing holds it');
    t.ok(await eventually(async () => (await waiting()).length === 0), 'nobody waits any more');
    t.equal((await world.status(mountpoint)).totals.readErrors, before.length);
  },
);

t.test('a lookup that waits is seen in status, and ends with the mount', async (t) => {
  const world = await startWorld(t, { driver: 'native' });
  const log = join(world.scratch, 'log');
  const daemon = await world.mount(['--log-file', log]);
  world.server.faults.add({ operation: '*', fault: { kind: 'stall', at: 'before-headers' } });
  const stat = run('stat', [join(daemon.mountpoint, 'file')]);
  const waiting = async () => (await world.status(daemon.mountpoint)).driver;
  t.ok(await eventually(async () => ((await waiting()).requestsWaiting ?? 0) > 0));
  t.ok(((await waiting()).oldestRequestMs ?? 0) > 0);
  t.equal((await world.sluice(['unmount', '--force', daemon.mountpoint])).code, 0);
  t.match(await stat, { code: 1, hung: false });
  t.equal(await daemon.exited, 0);
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  const levels = lines.map((line) => (JSON.parse(line) as { readonly level: number }).level);
  t.notOk(
    levels.some((level) => level >= 50),
    'nothing is taken for a bug',
  );
});

t.test('what is wrong with the mount point is said without waiting for the server', async (t) => {
  const world = await startWorld(t, { driver: 'native' });
  world.server.faults.add({ operation: '*', fault: { kind: 'stall', at: 'before-headers' } });
  const missing = join(world.folder('mount'), 'missing');
  const flags = ['--endpoint-url', world.server.endpoint, '--force-path-style'];
  const { code, stderr } = await world.sluice(['mount', ...flags, `s3://${BUCKET}`, missing]);
  t.equal(code, 3);
  t.match(stderr, /does not exist: create it with mkdir -p/);
  t.equal(world.server.counters.requests, 0);
});
