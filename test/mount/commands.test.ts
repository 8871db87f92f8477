/** What a user meets at the command line beside lifecycle.test.ts: relative paths, stuck readers, an impatient Ctrl-C. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isProcessAlive } from '../../src/runtime/process-identity.js';
import type { StatusDocument } from '../../src/cli/status.js';
import { startProcess } from '../cli/live-process.js';
import { ownersIn } from '../support/cache-folder.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, isMounted, SLUICE, startWorld } from '../support/mount-harness.js';
import type { World } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';

const MIB = 1024 * 1024;

function connectionFlags({ server }: World): string[] {
  return ['--endpoint-url', server.endpoint, '--force-path-style'];
}

async function statusOfAll(world: World): Promise<StatusDocument> {
  return JSON.parse((await world.sluice(['status', '--json'])).stdout.toString()) as StatusDocument;
}

/** Sockets of mounts and their places in the cache; both must be gone when they are. */
function leftovers({ scratch }: World): string[] {
  const run = join(scratch, 'run');
  const sockets = existsSync(run) ? readdirSync(run) : [];
  return [...sockets, ...ownersIn(join(scratch, '.cache/sluice'))];
}

/** A reader whose bytes never come: it has the file open and a read under way, once this resolves. */
async function startStuckReader(world: World, mountpoint: string) {
  await world.server.putSynthetic(BUCKET, 'stuck', { size: 4 * MIB, seed: 1 });
  world.server.faults.add({ operation: 'GetObject', fault: { kind: 'stall', at: { atByte: 0 } } });
  const finished = run('cat', [join(mountpoint, 'stuck')]);
  const isReading = await eventually(async () => {
    const { mounts } = await statusOfAll(world);
    return mounts.some((mount) => mount.mountpoint === mountpoint && mount.readsInFlight.length > 0);
  });
  if (!isReading) throw new Error('the reader does not read');
  return { finished };
}

onEachDriver('relative paths count from where the command was typed', async (t, driver) => {
  const world = await startWorld(t, { driver });
  const flags = [...connectionFlags(world), '--cache-dir', 'cache', '--log-file', 'logs/log'];
  mkdirSync(join(world.scratch, 'm'));
  const mounted = await world.sluice(['mount', ...flags, `s3://${BUCKET}`, 'm'], { cwd: world.scratch });
  t.equal(mounted.code, 0, mounted.stderr);
  const report = await world.status(join(world.scratch, 'm'));
  t.equal(report.logFile, join(world.scratch, 'logs/log'));
  t.ok(report.cache.directory.startsWith(join(world.scratch, 'cache')));
  t.equal((await world.sluice(['unmount', './m/'], { cwd: world.scratch })).code, 0);
});

onEachDriver('a mount in use is not removed, unless --lazy or --force says so', async (t, driver) => {
  const world = await startWorld(t, { driver });
  for (const mode of ['--lazy', '--force']) {
    const mountpoint = world.folder('mount');
    t.equal((await world.sluice(['mount', ...connectionFlags(world), `s3://${BUCKET}`, mountpoint])).code, 0);
    const { pid } = await world.status(mountpoint);
    const { finished } = await startStuckReader(world, mountpoint);
    const refused = await world.sluice(['unmount', mountpoint]);
    t.equal(refused.code, 8);
    t.match(refused.stderr, /^sluice: cannot unmount .*--lazy.*--force.*\n$/);
    t.ok(isMounted(mountpoint));
    t.equal((await world.sluice(['unmount', mode, mountpoint])).code, 0, mode);
    t.notOk(isMounted(mountpoint));
    t.notOk(isProcessAlive(pid), 'the daemon has ended');
    t.match(await finished, { code: 1, hung: false }, 'the reader got an error');
    world.server.faults.clear();
  }
  t.strictSame(leftovers(world), []);
});

onEachDriver(
  'Ctrl-C while the server keeps the mount waiting gives up, and mounts nothing',
  async (t, driver) => {
    const world = await startWorld(t, { driver });
    world.server.faults.add({ operation: '*', fault: { kind: 'stall', at: 'before-headers' } });
    const mountpoint = world.folder('mount');
    const args = ['mount', ...connectionFlags(world), `s3://${BUCKET}`, mountpoint];
    const mounting = startProcess(SLUICE, args, world.env);
    t.ok(await eventually(() => world.server.counters.requests > 0));
    mounting.process.kill('SIGINT');
    const { code, stderr } = await mounting.ended;
    t.equal(code, 130);
    t.equal(stderr, 'sluice: stopped before the mount was there\n');
    t.notOk(isMounted(mountpoint));
    t.match(await statusOfAll(world), { mounts: [], notAnswering: [] });
    t.strictSame(leftovers(world), []);
  },
);
