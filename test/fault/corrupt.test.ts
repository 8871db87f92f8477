/** Bytes that change on their way: noticed by the checksum of the whole object, and never served to a later open. */
import { join } from 'node:path';
import { fillPattern, findPatternMismatch } from '../../src/runtime/pattern.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';
import { MIB, SEED, SIZE, startFaultWorld } from './fault-rig.js';

onEachDriver(
  'a flipped byte is reported, and read no more once the file is opened again',
  async (t, driver) => {
    const { server, mountpoint, output, status } = await startFaultWorld(t, driver, []);
    const bytes = fillPattern(new Uint8Array(SIZE), SEED, 0);
    await server.putObject(BUCKET, 'a', bytes, { checksumAlgorithm: 'CRC32C' });
    const fault = { kind: 'flipped-byte', atByte: MIB + 5, of: 'object' } as const;
    server.faults.add({ operation: 'GetObject', attempts: 1, rangeContains: fault.atByte, fault });
    const path = join(mountpoint, 'a');
    t.equal(findPatternMismatch((await run('cat', [path])).stdout, SEED, 0), fault.atByte);
    t.ok(await eventually(async () => (await status(mountpoint)).stores.length === 0), 'the copy is dropped');
    t.match(output(), /checksum differs/);
    const heads = server.counters.operation('HeadObject').requests;
    for (const time of ['first', 'second']) {
      const { stdout } = await run('cat', [path]);
      t.equal(stdout.length, SIZE);
      t.equal(findPatternMismatch(stdout, SEED, 0), -1, `every byte is right the ${time} time`);
    }
    t.ok(server.counters.operation('HeadObject').requests > heads, 'its checksum was asked for again');
    t.match((await status(mountpoint)).cache, { verificationFailures: 1, retries: 1, storesIdle: 1 });
  },
);
