/** Reading through the kernel with ordinary programs: right bytes, and exactly the requests that are needed. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fillPattern, findPatternMismatch } from '../../src/runtime/pattern.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, read, startWorld } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';

const KIB = 1024;
const MIB = 1024 * KIB;

function sha256OfPattern(size: number, seed: number): string {
  const hash = createHash('sha256');
  for (let at = 0; at < size; at += MIB) {
    hash.update(fillPattern(new Uint8Array(Math.min(MIB, size - at)), seed, at));
  }
  return hash.digest('hex');
}

onEachDriver('cat, dd, cp, cmp, tar, sha256sum and mmap see the bytes of the object', async (t, driver) => {
  const { server, mount, scratch } = await startWorld(t, { driver });
  const size = 20 * MIB + 12_345;
  await server.putSynthetic(BUCKET, 'models/a.bin', { size, seed: 1 });
  await server.putObject(BUCKET, 'hello.txt', 'hello world\n');
  await server.putObject(BUCKET, 'empty', '');
  const { mountpoint } = await mount();
  const file = join(mountpoint, 'models/a.bin');
  const digest = sha256OfPattern(size, 1);

  const cat = await run('cat', [join(mountpoint, 'hello.txt')]);
  t.equal(cat.stdout.toString(), 'hello world\n');
  t.equal((await run('cat', [join(mountpoint, 'empty')])).stdout.length, 0);
  t.match((await run('sha256sum', [file])).stdout.toString(), digest);
  const copy = join(scratch, 'copy');
  t.equal((await run('cp', ['-a', file, copy])).code, 0);
  t.equal((await run('cmp', [file, copy])).code, 0);
  const tar = await run('sh', [
    '-c',
    `tar cf - -C '${mountpoint}' models | tar xOf - models/a.bin | sha256sum`,
  ]);
  t.match(tar.stdout.toString(), digest);
  for (const way of ['read', 'mmap'] as const) {
    const { stdout, code } = await read(file, 5 * MIB + 77, 3 * MIB, way);
    t.equal(code, 0);
    t.equal(stdout.length, 3 * MIB);
    t.equal(findPatternMismatch(stdout, 1, 5 * MIB + 77), -1, `${way}: every byte is right`);
  }
  t.equal((await read(file, size - 10, 100)).stdout.length, 10, 'a read over the end is cut there');
});

onEachDriver('find, ls, stat and du agree with the bucket; everything is read-only', async (t, driver) => {
  const { server, mount } = await startWorld(t, { driver });
  await server.putObject(BUCKET, 'a/b/c.txt', 'abc', { lastModifiedMs: Date.UTC(2024, 4, 6, 7, 8, 9) });
  await server.putObject(BUCKET, 'a/marker/', '');
  await server.putObject(BUCKET, 'top', 'x');
  const { mountpoint } = await mount([
    '--uid',
    '1234',
    '--gid',
    '4321',
    '--file-mode',
    '0440',
    '--dir-mode',
    '0550',
  ]);
  const find = await run('sh', ['-c', `cd '${mountpoint}' && find . | sort`]);
  t.equal(find.stdout.toString(), '.\n./a\n./a/b\n./a/b/c.txt\n./a/marker\n./top\n');
  const stat = await run('stat', ['-c', '%a %u %g %s %h %Y %F', join(mountpoint, 'a/b/c.txt')]);
  t.equal(stat.stdout.toString(), `440 1234 4321 3 1 ${Date.UTC(2024, 4, 6, 7, 8, 9) / 1000} regular file\n`);
  const inodes = [];
  for (let round = 0; round < 2; round += 1) {
    inodes.push((await run('stat', ['-c', '%i', join(mountpoint, 'a/b/c.txt')])).stdout.toString());
  }
  t.equal(inodes[0], inodes[1], 'inode numbers are stable');
  for (const command of [
    'touch new',
    'mkdir new',
    'rm top',
    'rmdir a/marker',
    'mv top other',
    'ln top hard',
    'ln -s top soft',
    'chmod 777 top',
    'truncate -s 0 top',
    'echo x >> top',
  ]) {
    const { code, stderr } = await run('sh', ['-c', `cd '${mountpoint}' && ${command}`]);
    t.not(code, 0, `${command} fails`);
    t.match(stderr, /Read-only file system/, `${command} says why`);
  }
  const missing = await run('cat', [join(mountpoint, 'nope')]);
  t.match(missing.stderr, /No such file or directory/);
});

onEachDriver('second requests for slow parts cost at most 2 % of the bytes', async (t, driver) => {
  const network = { roundTripMs: 20, connectionBytesPerSecond: 60 * MIB };
  const { server, mount } = await startWorld(t, { driver, network });
  const size = 256 * MIB;
  await server.putSynthetic(BUCKET, 'big', { size, seed: 8 });
  const { mountpoint } = await mount();
  server.counters.reset();
  const { stdout } = await run('sha256sum', [join(mountpoint, 'big')], { timeoutMs: 200_000 });
  t.match(stdout.toString(), sha256OfPattern(size, 8));
  const bytes = server.counters.gets(BUCKET, 'big').reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  t.ok(bytes / size <= 1.02, `bytes fetched ÷ object size is ${bytes / size}`);
});

onEachDriver(
  'eight processes read one object at once: every byte is fetched exactly once',
  async (t, driver) => {
    const { server, mount, status } = await startWorld(t, { driver });
    const size = 512 * MIB;
    await server.putSynthetic(BUCKET, 'big', { size, seed: 8 });
    // A machine that is busy enough stalls connections, whose parts are asked for again.
    const { mountpoint } = await mount(['--hedge=off', '--stall-timeout=50s']);
    const digest = sha256OfPattern(size, 8);
    server.counters.reset();
    const readers = Array.from({ length: 8 }, () =>
      run('sha256sum', [join(mountpoint, 'big')], { timeoutMs: 200_000 }),
    );
    for (const { stdout, hung } of await Promise.all(readers)) {
      t.notOk(hung);
      t.match(stdout.toString(), digest);
    }
    const bytes = server.counters.gets(BUCKET, 'big').reduce((sum, { bytesSent }) => sum + bytesSent, 0);
    t.equal((await status(mountpoint)).totals.bytesFetched, size, 'no byte arrived twice');
    // A request that is cut short for a reader who is ahead of it leaves on the wire what was sent meanwhile, which is
    // nothing unless the machine is very busy.
    t.ok(bytes / size <= 1.05, `bytes sent ÷ object size is ${bytes / size}`);
  },
);

onEachDriver(
  'the tail of a cold 1 GiB object behind 50 MiB/s comes with about one request',
  async (t, driver) => {
    const { server, mount } = await startWorld(t, { driver });
    const size = 1024 * MIB;
    await server.putSynthetic(BUCKET, 'big', { size, seed: 9 });
    const { mountpoint } = await mount();
    server.faults.connectionBytesPerSecond = 50 * MIB;
    server.counters.reset();
    const tail = await read(join(mountpoint, 'big'), size - 64 * KIB, 64 * KIB);
    const bytesBeforeReply = server.counters.bytesSent;
    t.equal(findPatternMismatch(tail.stdout, 9, size - 64 * KIB), -1);
    t.ok(bytesBeforeReply < 16 * MIB, `${bytesBeforeReply} bytes were fetched before the reply`);
  },
);

onEachDriver(
  'a 4 KiB read of a large object does not start a download of it, not even while it stays open',
  async (t, driver) => {
    const { server, mount, status } = await startWorld(t, { driver });
    const size = 1024 * MIB;
    await server.putSynthetic(BUCKET, 'big', { size, seed: 10 });
    const { mountpoint } = await mount();
    server.counters.reset();
    // The shell holds the file open until the pipe of its standard input ends.
    const script = `exec 3<'${join(mountpoint, 'big')}'; dd bs=4K count=1 status=none <&3 | wc -c; sleep 1`;
    t.match((await run('sh', ['-c', script])).stdout.toString(), '4096');
    const report = await status(mountpoint);
    t.ok(report.stores.every(({ partsInFlight }) => partsInFlight === 0));
    t.ok(server.counters.bytesSent <= 2 * MIB, `${server.counters.bytesSent} bytes fetched`);
  },
);

onEachDriver(
  'readers of a filling object get bytes long before the last one is fetched',
  async (t, driver) => {
    const { server, mount, status } = await startWorld(t, { driver });
    const size = 256 * MIB;
    await server.putSynthetic(BUCKET, 'big', { size, seed: 11 });
    const { mountpoint } = await mount();
    // So slow that two programs may start, on a busy machine, long before half of it is here.
    server.faults.connectionBytesPerSecond = MIB;
    const whole = run('sha256sum', [join(mountpoint, 'big')], { timeoutMs: 120_000 });
    const head = await read(join(mountpoint, 'big'), 0, MIB);
    t.equal(findPatternMismatch(head.stdout, 11, 0), -1);
    const report = await status(mountpoint);
    t.ok(
      (report.stores[0]?.arrivedBytes ?? size) < size / 2,
      `${report.stores[0]?.arrivedBytes} bytes had arrived`,
    );
    server.faults.connectionBytesPerSecond = 0;
    t.match((await whole).stdout.toString(), sha256OfPattern(size, 11));
  },
);

onEachDriver('closing the file ends its download', async (t, driver) => {
  const { server, mount, status } = await startWorld(t, { driver });
  await server.putSynthetic(BUCKET, 'big', { size: 1024 * MIB, seed: 12 });
  const { mountpoint } = await mount();
  server.faults.connectionBytesPerSecond = 8 * MIB;
  const { stdout } = await read(join(mountpoint, 'big'), 0, 32 * MIB);
  t.equal(findPatternMismatch(stdout, 12, 0), -1);
  const quiet = await eventually(async () =>
    (await status(mountpoint)).stores.every(({ partsInFlight }) => partsInFlight === 0),
  );
  t.ok(quiet, 'no part is in flight after the last close');
  const fetched = (await status(mountpoint)).totals.bytesFetched;
  await eventually(() => false, 1000);
  t.equal((await status(mountpoint)).totals.bytesFetched, fetched);
});

onEachDriver(
  'a second open is served from the local copy, and a small budget evicts it',
  async (t, driver) => {
    const { server, mount, status } = await startWorld(t, { driver });
    for (const key of ['a', 'b', 'c']) await server.putSynthetic(BUCKET, key, { size: 20 * MIB, seed: 1 });
    const { mountpoint } = await mount(['--cache-bytes-max', '50MiB']);
    for (const key of ['a', 'b', 'a']) await read(join(mountpoint, key), 0, 20 * MIB);
    const bytesOf = (key: string) =>
      server.counters.gets(BUCKET, key).reduce((sum, get) => sum + get.bytesSent, 0);
    t.equal(bytesOf('a'), 20 * MIB, 'read twice, fetched once');
    await read(join(mountpoint, 'c'), 0, 20 * MIB);
    // The native driver lets the kernel keep its pages of a version, whatever became of the local copy.
    await run('dd', [`if=${join(mountpoint, 'b')}`, 'iflag=nocache', 'count=0', 'status=none']);
    await read(join(mountpoint, 'b'), 0, 20 * MIB);
    t.equal(bytesOf('b'), 40 * MIB, 'the one used least recently had to go');
    const { cache } = await status(mountpoint);
    t.ok(cache.bytes <= 50 * MIB, `${cache.bytes} bytes kept`);
  },
);

onEachDriver(
  'reads in flight are visible with their ids while they wait, and in the log when they are old',
  async (t, driver) => {
    const { server, mount, status, scratch } = await startWorld(t, { driver });
    await server.putSynthetic(BUCKET, 'big', { size: 64 * MIB, seed: 1 });
    const log = join(scratch, 'traced.log');
    const { mountpoint } = await mount(['--trace-reads', '--log-file', log, '--stall-timeout', '8s']);
    const remove = server.faults.add({
      operation: 'GetObject',
      key: 'big',
      fault: { kind: 'stall', at: { atByte: 0 } },
    });
    const pending = read(join(mountpoint, 'big'), 10 * MIB, 4 * KIB);
    const seen = await eventually(async () => (await status(mountpoint)).readsInFlight.length > 0);
    t.ok(seen);
    const [inFlight] = (await status(mountpoint)).readsInFlight;
    t.match(inFlight, { key: 'big', storeId: 's1', waitingFor: { start: 10 * MIB } });
    const lines = () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    const warned = await eventually(
      () => lines().some(({ level, id }) => level === 40 && id === inFlight?.id),
      10_000,
    );
    t.ok(warned, 'a read older than 5 s logs its ENTER at warn');
    const linesOf = (event: string) =>
      lines().filter((line) => line['event'] === event && line['id'] === inFlight?.id);
    t.ok(linesOf('ENTER').length >= 1, 'ENTER is logged');
    t.equal(linesOf('EXIT').length, 0, 'and no EXIT yet');
    remove();
    t.equal(
      findPatternMismatch((await pending).stdout, 1, 10 * MIB),
      -1,
      'the stalled request is tried again',
    );
    // The native driver answers the reader, then tells.
    t.ok(await eventually(() => linesOf('EXIT').length > 0));
    t.match(linesOf('EXIT'), [{ result: 'ok', offset: 10 * MIB, waitedFor: { start: 10 * MIB } }]);
  },
);

onEachDriver('the request for the beginning goes out with the open, once', async (t, driver) => {
  const { server, mount } = await startWorld(t, { driver });
  const size = 4 * MIB;
  for (const key of ['read', 'elsewhere', 'opened'])
    await server.putSynthetic(BUCKET, key, { size, seed: 1 });
  const daemon = await mount();
  server.faults.roundTripMs = 50;
  const requests = (key: string) => server.counters.key(BUCKET, key).requests;
  const path = (key: string) => join(daemon.mountpoint, key);
  const head = await read(path('read'), 0, 4096);
  t.equal(findPatternMismatch(head.stdout, 1, 0), -1);
  // Through libfuse the kernel reads far enough ahead for a second one.
  t.equal(requests('read'), driver === 'native' ? 1 : 2);
  const middle = await read(path('elsewhere'), 3 * MIB, 4096);
  t.equal(findPatternMismatch(middle.stdout, 1, 3 * MIB), -1);
  t.ok(requests('elsewhere') <= 2, `${requests('elsewhere')} requests, one of them in vain`);
  t.ok(server.counters.key(BUCKET, 'elsewhere').bytesSent < MIB, 'which brings nothing');
  t.equal((await run('sh', ['-c', `: < '${path('opened')}'`])).code, 0);
  t.ok(requests('opened') <= 1, `${requests('opened')} requests of what is not read`);
  const later = await read(path('opened'), 0, size);
  t.equal(later.stdout.length, size);
  t.equal(findPatternMismatch(later.stdout, 1, 0), -1);
});
