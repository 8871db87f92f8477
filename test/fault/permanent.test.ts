/**
 * Faults that stay, and what comes after: a reader gets the documented errno within the read deadline, never wrong
 * bytes and never a hang; when the fault is gone the same file is readable again.
 */
import { join } from 'node:path';
import type { Fault } from '../../src/s3-server/faults.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, read } from '../support/mount-harness.js';
import { run } from '../support/processes.js';
import { assertRead, inParallel, KIB, MIB, SEED, SIZE, startFaultWorld } from './fault-rig.js';

/** What stays wrong, and the error that the reader sees. */
const PERMANENT: readonly (readonly [name: string, fault: Fault, message: RegExp])[] = [
  ['500', { kind: 'internal-error' }, /Input\/output error/],
  ['503 SlowDown', { kind: 'slow-down', retryAfterSeconds: 1 }, /Input\/output error/],
  ['reset before the headers', { kind: 'reset', at: 'before-headers' }, /Input\/output error/],
  ['stall after the headers', { kind: 'stall', at: { atByte: 0 } }, /Input\/output error/],
  ['short body', { kind: 'early-end', atByte: 0 }, /Input\/output error/],
  ['wrong Content-Range', { kind: 'wrong-content-range' }, /Input\/output error/],
  ['404: deleted', { kind: 'not-found' }, /Stale file handle/],
  ['412: replaced', { kind: 'precondition-failed' }, /Stale file handle/],
  ['another ETag', { kind: 'changed-etag' }, /Stale file handle/],
  ['another ETag, If-Match ignored', { kind: 'changed-etag', ignoreIfMatch: true }, /Stale file handle/],
  ['416: shrunk', { kind: 'invalid-range' }, /Stale file handle/],
  ['access denied', { kind: 'access-denied' }, /Permission denied/],
  ['archived', { kind: 'invalid-object-state' }, /Permission denied/],
  ['expired token', { kind: 'expired-token' }, /Permission denied/],
];

onEachDriver(
  'permanent faults end in the documented errno, for read and mmap, within the deadline',
  async (t, driver) => {
    const { server, mountpoint, status } = await startFaultWorld(t, driver, ['--read-deadline', '3s']);
    await inParallel(PERMANENT, async ([name, fault, message], index) => {
      const key = `${index}`;
      await server.putSynthetic(BUCKET, key, { size: SIZE, seed: SEED });
      server.faults.add({ operation: 'GetObject', key, fault });
      await t.test(name, async (t) => {
        const path = join(mountpoint, key);
        const [byRead, byMmap] = await Promise.all([
          read(path, 0, SIZE),
          read(path, MIB, 64 * KIB, 'mmap', 40_000),
        ]);
        t.notOk(byRead.hung || byMmap.hung, 'nothing hangs');
        t.equal(byRead.code, 1);
        t.match(byRead.stderr, message);
        t.equal(byRead.stdout.length, 0, 'no byte that is not there');
        t.equal(byMmap.code, 7, 'mmap gets SIGBUS');
      });
    });
    t.same((await status(mountpoint)).readsInFlight, []);
  },
);

onEachDriver('after an outage the same file is readable again', async (t, driver) => {
  const { server, mountpoint } = await startFaultWorld(t, driver, ['--read-deadline', '2s']);
  await server.putSynthetic(BUCKET, 'a', { size: SIZE, seed: SEED });
  const remove = server.faults.add({
    operation: 'GetObject',
    fault: { kind: 'reset', at: 'before-headers' },
  });
  t.match((await read(join(mountpoint, 'a'), 0, SIZE)).stderr, /Input\/output error/);
  remove();
  await assertRead(t, join(mountpoint, 'a'), 0, SIZE, 'read');
});

onEachDriver('listings and lookups survive three faults in a row as well', async (t, driver) => {
  const { server, mountpoint } = await startFaultWorld(t, driver, ['--metadata-ttl', '0']);
  await server.putSynthetic(BUCKET, 'dir/a', { size: SIZE, seed: SEED });
  for (const fault of [
    { kind: 'internal-error' },
    { kind: 'slow-down' },
    { kind: 'reset', at: 'before-headers' },
    { kind: 'reset', at: 'after-headers' },
    { kind: 'stall', at: 'before-headers' },
    { kind: 'early-end', atByte: 100 },
  ] as const) {
    for (const operation of ['ListObjectsV2', 'HeadObject'] as const) {
      const remove = server.faults.add({ operation, attempts: 3, fault });
      const ls = await run('ls', ['-l', join(mountpoint, 'dir')]);
      t.equal(ls.code, 0, `ls with ${fault.kind} in ${operation}: ${ls.stderr}`);
      t.match(ls.stdout.toString(), / a\n/);
      remove();
    }
  }
});
