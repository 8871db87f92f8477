/**
 * Every fault of the embedded server × where in the object × the way of reading. Transient faults, up to three in a
 * row, cost no reader anything but a little time: right bytes, no error. Permanent ones end in the documented errno
 * within the read deadline. Never wrong bytes, never a hang.
 */
import { join } from 'node:path';
import type { Test } from 'tap';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import type { Fault } from '../../src/s3-server/faults.js';
import { onEachDriver } from '../support/drivers.js';
import type { DriverName } from '../support/drivers.js';
import { BUCKET, read, startWorld } from '../support/mount-harness.js';
import type { ReadWay, World } from '../support/mount-harness.js';
import { run } from '../support/processes.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE = 3 * MIB + 1234;
const SEED = 21;
/** Objects under test at once: the machine has few cores, the mount serves them all. */
const PARALLEL = 6;

/** Where a fault hits, counted from the start of the object. */
const PLACES = { 'first byte': 0, 'inside a page': MIB + 13, 'last byte': SIZE - 1 } as const;

type FaultAt = (atByte: number) => Fault;

/** Transient by nature: the next attempt may go well. */
const TRANSIENT: Readonly<Record<string, FaultAt>> = {
  '500': () => ({ kind: 'internal-error' }),
  '503 SlowDown': () => ({ kind: 'slow-down' }),
  '404 then 200': () => ({ kind: 'not-found' }),
  'reset before the headers': () => ({ kind: 'reset', at: 'before-headers' }),
  'reset after the headers': () => ({ kind: 'reset', at: 'after-headers' }),
  'reset in the body': (atByte) => ({ kind: 'reset', at: { atByte, of: 'object' } }),
  'stall before the headers': () => ({ kind: 'stall', at: 'before-headers' }),
  'stall in the body': (atByte) => ({ kind: 'stall', at: { atByte, of: 'object' } }),
  'short body': (atByte) => ({ kind: 'early-end', atByte, of: 'object' }),
  'wrong Content-Range': () => ({ kind: 'wrong-content-range' }),
};

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

/** Ways to read that each must end in the right bytes. */
const WAYS: Readonly<Record<string, (t: Test, path: string) => Promise<void>>> = {
  'whole file by read': (t, path) => assertRead(t, path, 0, SIZE, 'read'),
  'whole file by mmap': (t, path) => assertRead(t, path, 0, SIZE, 'mmap'),
  'tail, then head': async (t, path) => {
    await assertRead(t, path, SIZE - 64 * KIB, 64 * KIB, 'read');
    await assertRead(t, path, MIB - 5, 128 * KIB, 'mmap');
    await assertRead(t, path, 0, 64 * KIB, 'read');
  },
  'three readers at once': async (t, path) => {
    await Promise.all([
      assertRead(t, path, 0, SIZE, 'read'),
      assertRead(t, path, 0, SIZE, 'mmap'),
      assertRead(t, path, MIB, 2 * MIB, 'read'),
    ]);
  },
};

async function assertRead(
  t: Test,
  path: string,
  offset: number,
  length: number,
  way: ReadWay,
): Promise<void> {
  const { code, stdout, stderr, hung } = await read(path, offset, length, way);
  t.notOk(hung, `${way} at ${offset} does not hang`);
  t.equal(code, 0, `${way} at ${offset}: ${stderr}`);
  t.equal(stdout.length, length);
  t.equal(findPatternMismatch(stdout, SEED, offset), -1, 'every byte is right');
}

/** Runs `work` on all items, some at a time. */
async function inParallel<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      await work(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

/** A mount whose stalls are noticed after half a second, so that the matrix takes no minutes. */
async function startFaultWorld(
  t: Test,
  driver: DriverName,
  flags: readonly string[],
): Promise<World & { readonly mountpoint: string }> {
  const world = await startWorld(t, { driver });
  const daemon = await world.mount(['--stall-timeout', '500ms', ...flags]);
  return { ...world, mountpoint: daemon.mountpoint };
}

for (const [way, readIn] of Object.entries(WAYS)) {
  onEachDriver(`transient faults, three in a row: ${way}`, async (t, driver) => {
    const { server, mountpoint, status } = await startFaultWorld(t, driver, []);
    const cases = Object.entries(TRANSIENT).flatMap(([name, fault]) =>
      Object.entries(PLACES).map(([place, atByte]) => ({ name, place, fault: fault(atByte) })),
    );
    await inParallel(cases, async ({ name, place, fault }, index) => {
      const key = `${index}`;
      await server.putSynthetic(BUCKET, key, { size: SIZE, seed: SEED });
      const remove = server.faults.add({ operation: 'GetObject', key, attempts: 3, fault });
      await t.test(`${name}, ${place}`, (t) => readIn(t, join(mountpoint, key)));
      remove();
    });
    const { readsInFlight, totals } = await status(mountpoint);
    t.same(readsInFlight, [], 'no read is left');
    t.equal(totals.readErrors, 0);
  });
}

onEachDriver('with the default stall timeout a stall costs no reader 5 s', async (t, driver) => {
  const world = await startWorld(t, { driver });
  // A read that is not answered within its deadline of 5 s fails: passing means that no read took longer.
  const { mountpoint } = await world.mount(['--read-deadline', '5s']);
  for (const [key, fault] of [
    ['headers', { kind: 'stall', at: 'before-headers' }],
    ['body', { kind: 'stall', at: { atByte: MIB + 13, of: 'object' } }],
  ] as const) {
    await world.server.putSynthetic(BUCKET, key, { size: SIZE, seed: SEED });
    world.server.faults.add({ operation: 'GetObject', key, attempts: 1, fault });
    await assertRead(t, join(mountpoint, key), 0, SIZE, 'read');
  }
});

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
