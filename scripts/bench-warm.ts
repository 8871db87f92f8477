/**
 * Warm reads: one object and one folder of names, complete on the local disk, read from there and through mounts, by
 * passthrough, by the native driver's threads, by the portable driver, by s3fs, and by a user without privilege.
 * Interleaved runs; medians, spread, the ratio to the local file of the same round, CPU time of the daemon, READ
 * requests that reached it. Every byte is verified through each mount, as it is filled and again when it is complete.
 *
 *   RUNS=5 SIZE_MIB=1024 NAMES=10000 SECONDS_EACH=1 node dist/scripts/bench-warm.js
 *   ROWS='^dd' …            only the rows whose title this regular expression finds
 *
 * Before each run memory is warmed, and what the kernel cached of the mount's own pages is dropped: else the kernel
 * would answer, not the daemon. The pages of the files behind it stay. With passthrough there is nothing to drop.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { sleep, systemClock } from '../src/runtime/clock.js';
import { cleanEnvironment } from '../test/support/mount-harness.js';
import * as mounts from './bench-mounts.js';
import type { Place } from './bench-mounts.js';
import * as systems from './bench-systems.js';
import type { Variant } from './bench-systems.js';
import * as bench from './bench-support.js';
import type { Cleanup } from './bench-support.js';
import { judge, Results } from './bench-results.js';
import type { Bar, Row } from './bench-results.js';

const RUNS = bench.parameter('RUNS', 5);
const SIZE = bench.parameter('SIZE_MIB', 1024) * bench.MIB;
const NAME_COUNT = bench.parameter('NAMES', 10_000);
/** Of each row that counts operations. */
const SECONDS_EACH = bench.parameter('SECONDS_EACH', 1);
const ROWS = new RegExp(process.env['ROWS'] ?? '');
/** Names that are opened in turn: each becomes a local file. */
const OPENED_NAMES = Math.min(200, NAME_COUNT);
/** What a run of a cached mount fills: the pages of its own, and what the reader needs. */
const WARM_BYTES = SIZE + 256 * bench.MIB;
/** Of a dropped file, this share may stay in the page cache: what the drop itself read. */
const KEPT_SHARE_MAX = 0.01;
/** Of the main thread: idle it takes none; what burns 80 % gets less of a core that others want too. */
const BUSY_SHARE_MIN = 0.2;

interface Work extends Row {
  /** `big`: the large file's pages are dropped first; `names`: the kernel may keep what it knows of names. */
  readonly of: 'big' | 'names';
  readonly args: (path: string) => (string | number)[];
  /** Bytes or operations of a run; undefined: bench-reader counts them. */
  readonly amount?: number;
}

const dd = (block: string) => (path: string) => {
  return ['run', 'dd', `if=${path}`, 'of=/dev/null', `bs=${block}`, 'status=none'];
};
const timed = ['--seconds', SECONDS_EACH];

const RANDOM: Work = {
  title: 'random 4 KiB',
  unit: '/s',
  of: 'big',
  args: (path) => ['random', path, ...timed],
};
const SEQUENTIAL: readonly Work[] = [
  { title: 'dd 1 MiB', unit: 'MB/s', of: 'big', args: dd('1M'), amount: SIZE },
  { title: 'dd 128 KiB', unit: 'MB/s', of: 'big', args: dd('128K'), amount: SIZE },
];
const OF_BIG: readonly Work[] = [
  ...SEQUENTIAL,
  { title: 'mmap', unit: 'MB/s', of: 'big', args: (path) => ['mmap', path] },
  {
    title: '8 readers, an eighth each',
    unit: 'MB/s',
    of: 'big',
    args: (path) => ['read', path, '--readers', 8, '--split'],
  },
  {
    title: '8 readers, all of it each',
    unit: 'MB/s',
    of: 'big',
    args: (path) => ['read', path, '--readers', 8],
  },
  RANDOM,
];
const OF_NAMES: readonly Work[] = [
  { title: 'stat', unit: '/s', of: 'names', args: (path) => ['stat', path, '--names', NAME_COUNT, ...timed] },
  {
    title: 'open-read-close',
    unit: '/s',
    of: 'names',
    args: (path) => ['open', path, '--names', OPENED_NAMES, ...timed],
  },
  {
    title: `ls -l of ${NAME_COUNT}`,
    unit: '/s',
    of: 'names',
    args: (path) => ['run', 'ls', '-l', path],
    amount: NAME_COUNT,
  },
];
const RANDOM_BUSY: Work = { ...RANDOM, title: 'random 4 KiB, event loop 80 % busy' };

/** Has a daemon keep its event loop busy when it is told to. */
const BUSY = { NODE_OPTIONS: `--import=${resolve('dist/scripts/bench-busy.js')}` };

const LOCAL = 'local file';
const PASSTHROUGH = 'passthrough';
const CACHED = 'native, cached';
const PORTABLE = 'portable';
const USER = 'native, user';
const S3FS = 's3fs';

await bench.runBenchmark(main);

async function main(cleanup: Cleanup): Promise<number> {
  const folder = bench.temporaryFolder(cleanup);
  mkdirSync(join(folder, 'run'), { mode: 0o700 });
  const place: Place = { folder, cleanup, env: cleanEnvironment(folder), sizeBytes: SIZE, names: NAME_COUNT };
  const variants = await prepare(place);
  const results = new Results(variants.map(({ name }) => name));
  for (let round = 0; round < RUNS; round += 1) {
    bench.progress(`round ${round + 1} of ${RUNS}`);
    // Every other round backwards: what grows or wears during a round favours nobody.
    const order = round % 2 === 0 ? variants : variants.toReversed();
    for (const work of [...OF_BIG, ...OF_NAMES].filter(({ title }) => ROWS.test(title))) {
      for (const variant of order) await measure(work, variant, place, results);
    }
    if (!ROWS.test(RANDOM_BUSY.title)) continue;
    for (const variant of order.filter(({ name }) => name === CACHED || name === PORTABLE)) {
      await whileBusy(variant, results, () => measure(RANDOM_BUSY, variant, place, results));
    }
  }
  bench.print(`Warm reads of ${SIZE / bench.MIB} MiB and ${NAME_COUNT} names, ${RUNS} interleaved runs`);
  bench.print('');
  results.table(LOCAL).forEach(bench.print);
  bench.print('');
  return judge(bars(results), bench.print);
}

/** As root; a figure of another machine or user is for comparison. */
function bars(results: Results): Bar[] {
  const passthroughReads = OF_BIG.flatMap(({ title }) =>
    results.samples(title, PASSTHROUGH).map(({ reads }) => reads ?? NaN),
  );
  return [
    ...OF_BIG.map(({ title }) => ({
      of: `${title}: passthrough ÷ local file`,
      value: results.ratio(title, PASSTHROUGH, LOCAL),
      limit: { atLeast: 0.75 },
    })),
    {
      of: 'READ requests that reached the daemon in those',
      value: passthroughReads.length === 0 ? NaN : passthroughReads.reduce((sum, reads) => sum + reads),
      limit: { atMost: 0 },
    },
    ...SEQUENTIAL.flatMap(({ title }) => [
      { of: `${title}: cached ÷ s3fs`, value: results.ratio(title, CACHED, S3FS), limit: { atLeast: 1.3 } },
      {
        of: `${title}: cached ÷ portable`,
        value: results.ratio(title, CACHED, PORTABLE),
        limit: { atLeast: 1.5 },
      },
      { of: `${title}: cached, daemon CPU s/GiB`, value: results.cpu(title, CACHED), limit: { atMost: 0.3 } },
    ]),
    {
      of: 'random 4 KiB, event loop busy: cached, p99 µs',
      value: results.median(`${RANDOM_BUSY.title}, p99`, CACHED),
      limit: { atMost: 1000 },
    },
  ];
}

/** Mounts, fills and verifies all that this machine can have; says what it cannot. @throws when bytes are wrong */
async function prepare(place: Place): Promise<Variant[]> {
  const variants = [await mounts.makeLocalFiles(place)];
  const endpoint = await mounts.startServer(place);
  const sluice = (name: string, options: readonly string[], asUser = false) => ({
    name,
    mount: () => systems.mountSluice(place, endpoint, { name, options, asUser, env: BUSY }),
  });
  const wanted = [
    sluice(PASSTHROUGH, ['--driver', 'native', '--passthrough']),
    sluice(CACHED, ['--driver', 'native', '--no-passthrough']),
    sluice(PORTABLE, ['--driver', 'portable']),
    sluice(USER, ['--driver', 'native'], true),
    { name: S3FS, mount: () => systems.mountS3fs(place, endpoint, S3FS) },
  ];
  for (const { name, mount } of wanted) {
    bench.progress(`filling and verifying: ${name}`);
    const variant = await mount().catch((error: unknown) => {
      bench.print(`${name} is left out: ${error instanceof Error ? error.message : String(error)}`);
    });
    if (!variant) continue;
    await mounts.verifyBig(variant, place);
    // Again when it is complete, from the local disk.
    await bench.benchReader(['drop', join(variant.root, mounts.BIG)], variant.prefix);
    await mounts.verifyBig(variant, place);
    variants.push(variant);
  }
  return variants;
}

async function measure(work: Work, variant: Variant, place: Place, results: Results): Promise<void> {
  await bench.warmMemory(WARM_BYTES);
  const path = join(variant.root, work.of === 'big' ? mounts.BIG : mounts.NAMES);
  const isPassthrough = variant.name === PASSTHROUGH;
  if (work.of === 'big' && variant.pid !== undefined && !isPassthrough) await drop(path, variant);
  const readsBefore = isPassthrough ? await mounts.readRequests(variant, place) : 0;
  const cpuBefore = variant.pid === undefined ? 0 : bench.cpuSeconds(variant.pid);
  const reading = await bench.benchReader(work.args(path), variant.prefix);
  const amount = work.amount ?? (work.unit === 'MB/s' ? reading.bytes : reading.operations);
  const cpuSeconds = variant.pid === undefined ? undefined : bench.cpuSeconds(variant.pid) - cpuBefore;
  results.add(work, variant.name, {
    value: amount / reading.seconds / (work.unit === 'MB/s' ? 1e6 : 1),
    cpu: cpuSeconds && cpuSeconds / (work.unit === 'MB/s' ? amount / bench.GIB : amount / 1e6),
    reads: isPassthrough ? (await mounts.readRequests(variant, place)) - readsBefore : undefined,
  });
  if (work.args === RANDOM.args) {
    results.add({ title: `${work.title}, p99`, unit: 'µs' }, variant.name, { value: reading.p99Us });
    // One read in a hundred meets a pause of the event loop at most: who comes through it shows here.
    results.add({ title: `${work.title}, p99.9`, unit: 'µs' }, variant.name, { value: reading.p999Us });
  }
}

/** @throws when the kernel kept pages, which it would then answer from */
async function drop(path: string, { prefix }: Variant): Promise<void> {
  const { bytes } = await bench.benchReader(['drop', path], prefix);
  if (bytes > KEPT_SHARE_MAX * SIZE) throw new Error(`${bytes} bytes of ${path} stay in the page cache`);
}

/** @throws when the daemon's event loop does not come to be busy */
async function whileBusy({ name, pid }: Variant, results: Results, work: () => Promise<void>): Promise<void> {
  if (pid === undefined) return;
  process.kill(pid, 'SIGUSR2');
  try {
    const before = bench.cpuSeconds(pid, 'main thread');
    const startMs = systemClock.nowMs();
    await sleep(systemClock, 1000);
    const share = (bench.cpuSeconds(pid, 'main thread') - before) / ((systemClock.nowMs() - startMs) / 1000);
    if (share < BUSY_SHARE_MIN) throw new Error(`${name}: busy for ${share.toFixed(2)} of the time only`);
    results.add({ title: 'CPU of that event loop before the run', unit: '%' }, name, { value: share * 100 });
    await work();
  } finally {
    process.kill(pid, 'SIGUSR2');
  }
}
