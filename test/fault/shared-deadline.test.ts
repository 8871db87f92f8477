/**
 * Processes that read one object whose server went away: the kernel lets them ask for a page one after the other, and
 * all of them get their error at the deadline of the first, not after the sum of their deadlines.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReadEvent } from '../../src/observability/read-trace.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, read, startWorld } from '../support/mount-harness.js';
import { eventually } from '../support/processes.js';
import { assertRead, SEED, SIZE } from './fault-rig.js';

const PROCESSES = 8;

onEachDriver('eight processes that wait for one page share one deadline', async (t, driver) => {
  const { server, scratch, mount, status } = await startWorld(t, { driver });
  await server.putSynthetic(BUCKET, 'a', { size: SIZE, seed: SEED });
  const log = join(scratch, 'traced.log');
  const { mountpoint } = await mount(['--read-deadline', '2s', '--trace-reads', '--log-file', log]);
  const path = join(mountpoint, 'a');
  const remove = server.faults.add({
    operation: 'GetObject',
    fault: { kind: 'stall', at: 'before-headers' },
  });

  const readers = await Promise.all(Array.from({ length: PROCESSES }, () => read(path, 0, 4096)));
  for (const { hung, code, stderr, stdout } of readers) {
    t.notOk(hung);
    t.equal(code, 1);
    t.match(stderr, /Input\/output error/);
    t.equal(stdout.length, 0);
  }
  // The native driver answers the reader, then tells.
  t.ok(await eventually(async () => (await status(mountpoint)).readsInFlight.length === 0));

  const ends = readFileSync(log, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as ReadEvent)
    .filter(({ event, offset }) => event === 'EXIT' && offset === 0);
  t.ok(ends.length >= PROCESSES, `${ends.length} reads of the first page reached the daemon`);
  t.ok(ends.every(({ result }) => result === 'deadline'));
  // One, and another for each process that a busy machine let come too late.
  const waits = ends.filter(({ waitedFor }) => waitedFor !== undefined);
  t.ok(waits.length > 0 && waits.length <= PROCESSES / 2, `${waits.length} of them waited`);

  remove();
  await assertRead(t, path, 0, SIZE, 'read');
});
