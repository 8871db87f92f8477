/** A byte that was flipped between the server and the disk: noticed when the copy is complete, and never served again. */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { fillPattern, findPatternMismatch } from '../../src/runtime/pattern.js';
import { firstWrongByte, MIB, startCacheWorld, unmount } from '../support/cache-world.js';
import { onEachDriver } from '../support/drivers.js';
import { FileActor } from '../support/file-actor.js';
import { BUCKET, read } from '../support/mount-harness.js';
import { eventually } from '../support/processes.js';

const SIZE = 5 * MIB + 4321;
const WRONG = 3 * MIB + 7;
const ALGORITHMS = ['CRC64NVME', 'CRC32C', 'CRC32'] as const;

for (const algorithm of ALGORITHMS) {
  onEachDriver(`a byte flipped in flight, of an object with ${algorithm}`, async (t, driver) => {
    const world = await startCacheWorld(t, { driver });
    const bytes = fillPattern(new Uint8Array(SIZE), 6, 0);
    await world.server.putObject(BUCKET, 'model', bytes, { checksumAlgorithm: algorithm });
    const fault = { kind: 'flipped-byte', atByte: WRONG, of: 'object' } as const;
    world.server.faults.add({ operation: 'GetObject', rangeContains: WRONG, attempts: 1, fault });
    const log = join(world.scratch, 'log');
    const daemon = await world.mountCached(['--log-file', log, '--hedge=off']);
    const file = join(daemon.mountpoint, 'model');

    const first = await read(file, 0, SIZE);
    const wrong = findPatternMismatch(first.stdout, 6, 0);
    t.ok(first.code !== 0 || wrong === WRONG, 'what was served before all was there could not be known');
    const isLogged = () => /its checksum differs/.test(readFileSync(log, 'utf8'));
    t.ok(await eventually(isLogged), 'the log says so');

    t.equal(await firstWrongByte(file, SIZE, 6), -1, 'the next open is right');
    t.equal(world.fetched(), 2 * SIZE, 'fetched again, once');
    await unmount(world, daemon);
    const again = await world.mountCached();
    t.equal(await firstWrongByte(join(again.mountpoint, 'model'), SIZE, 6), -1);
    t.equal(world.fetched(), 2 * SIZE, 'and the right copy was kept');
  });
}

t.test('a handle that was served from the bad copy answers EIO from then on', async (t) => {
  const world = await startCacheWorld(t, { driver: 'native' });
  const bytes = fillPattern(new Uint8Array(SIZE), 6, 0);
  await world.server.putObject(BUCKET, 'model', bytes, { checksumAlgorithm: 'CRC64NVME' });
  const fault = { kind: 'flipped-byte', atByte: WRONG, of: 'object' } as const;
  world.server.faults.add({ operation: 'GetObject', rangeContains: WRONG, attempts: 1, fault });
  const log = join(world.scratch, 'log');
  const { mountpoint } = await world.mountCached(['--log-file', log, '--no-passthrough', '--hedge=off']);
  const file = join(mountpoint, 'model');
  const actor = new FileActor();
  t.teardown(() => actor.kill());
  // What the kernel cached meanwhile it forgets, too.
  for (const [slot, how] of ['plain', 'direct'].entries()) {
    t.equal((await actor.tell(`open ${slot} ${how} ${file}`)).kind, 'ok');
  }
  await read(file, 0, SIZE);
  t.ok(await eventually(() => /its checksum differs/.test(readFileSync(log, 'utf8'))));
  for (const slot of [0, 1]) {
    for (const offset of [0, WRONG - (WRONG % 4096)]) {
      const page = () => actor.tell(`read ${slot} ${offset} 4096`);
      t.ok(await eventually(async () => (await page()).kind === 'errno'), 'the kernel forgets its pages');
      t.same(await page(), { kind: 'errno', errno: constants.errno.EIO });
    }
  }
  t.equal(await firstWrongByte(file, SIZE, 6), -1, 'while a new one reads what is right');
});

t.test('an object that is wrong each time is an error, not a loop', async (t) => {
  const world = await startCacheWorld(t);
  const bytes = fillPattern(new Uint8Array(SIZE), 6, 0);
  await world.server.putObject(BUCKET, 'model', bytes, { checksumAlgorithm: 'CRC32C' });
  const fault = { kind: 'flipped-byte', atByte: WRONG, of: 'object' } as const;
  world.server.faults.add({ operation: 'GetObject', rangeContains: WRONG, fault });
  const log = join(world.scratch, 'log');
  const { mountpoint } = await world.mountCached(['--log-file', log, '--hedge=off']);
  const file = join(mountpoint, 'model');
  const differences = () => readFileSync(log, 'utf8').split('its checksum differs').length - 1;
  await read(file, 0, SIZE);
  t.ok(await eventually(() => differences() === 1));
  await read(file, 0, SIZE);
  t.ok(await eventually(() => differences() === 2));
  const before = world.fetched();
  const third = await read(file, 0, SIZE);
  t.not(third.code, 0);
  t.match(third.stderr, /Input\/output error/);
  t.equal(world.fetched(), before, 'it is not fetched a third time');
});
