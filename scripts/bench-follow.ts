/**
 * A reader that follows: an object arrives at a steady rate, and a program reads it through the native driver while it
 * does, by read and by mmap. Prints what the reader reached ÷ that rate, medians of interleaved runs; then once more
 * with every byte compared, as it arrives. The mount is served by a process of its own (bench-follow-mount.ts).
 *
 *   RUNS=5 SIZE_MIB=1024 RATE_MB=1000 node dist/scripts/bench-follow.js
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import * as bench from './bench-support.js';
import type { Cleanup } from './bench-support.js';
import type { FollowAnswer, FollowCommand, FollowSettings } from './bench-follow-mount.js';
import { judge, Results } from './bench-results.js';

const RUNS = bench.parameter('RUNS', 5);
const SIZE = bench.parameter('SIZE_MIB', 1024) * bench.MIB;
const RATE_MB = bench.parameter('RATE_MB', 1000);
const SEED = 1;
/** The pages of the local file and those of the mount. */
const WARM_BYTES = 2 * SIZE + 256 * bench.MIB;
const WAYS = ['read', 'mmap'] as const;
type Way = (typeof WAYS)[number];

const SERVER = resolve('dist/scripts/bench-follow-mount.js');
const FILL = 'filled at';
const READER = 'reader';

await bench.runBenchmark(main);

async function main(cleanup: Cleanup): Promise<number> {
  const folder = bench.temporaryFolder(cleanup);
  const mountpoint = join(folder, 'mount');
  mkdirSync(mountpoint);
  const settings = { mountpoint, folder, size: SIZE, seed: SEED, bytesPerSecond: RATE_MB * 1e6 };
  const server = await startServer(settings, cleanup);
  const results = new Results([FILL, READER]);
  const follow = async (way: Way, key: string, compare: readonly (string | number)[] = []) => {
    const { title, ...sample } = await one(server, join(mountpoint, key), [way, ...compare]);
    results.add({ title, unit: 'MB/s' }, FILL, { value: sample.filled });
    results.add({ title, unit: 'MB/s' }, READER, { value: sample.read, cpu: sample.cpu });
  };
  for (let round = 0; round < RUNS; round += 1) {
    bench.progress(`round ${round + 1} of ${RUNS}`);
    for (const way of WAYS) await follow(way, `${way}-${round}`);
  }
  for (const way of WAYS) await follow(way, `${way}-compared`, ['--verify', SEED]);
  bench.print(`A reader of ${SIZE / bench.MIB} MiB that arrive at ${RATE_MB} MB/s, ${RUNS} interleaved runs`);
  bench.print('');
  results.table(FILL).forEach(bench.print);
  bench.print('');
  return judge(
    WAYS.flatMap((way) => [
      {
        of: `${way}: filled ÷ ${RATE_MB} MB/s`,
        value: results.median(way, FILL) / RATE_MB,
        limit: { atLeast: 0.98 },
      },
      {
        of: `${way}: reader ÷ ${RATE_MB} MB/s`,
        value: results.median(way, READER) / RATE_MB,
        limit: { atLeast: 0.95 },
      },
    ]),
    bench.print,
  );
}

/** Resolves once the mount answers. The process ends with the benchmark, and unmounts. */
async function startServer(settings: FollowSettings, cleanup: Cleanup): Promise<ChildProcess> {
  const server = fork(SERVER, [JSON.stringify(settings)]);
  const exited = once(server, 'exit');
  cleanup.push(async () => {
    if (server.exitCode === null) server.send({ do: 'unmount' } satisfies FollowCommand);
    await exited;
  });
  await Promise.race([
    once(server, 'message'),
    exited.then(([code]) => Promise.reject(new Error(`the server ended with ${code} before it mounted`))),
  ]);
  return server;
}

async function ask(server: ChildProcess, command: FollowCommand): Promise<FollowAnswer> {
  const answered = once(server, 'message');
  server.send(command);
  const [answer] = (await answered) as [FollowAnswer];
  return answer;
}

/** One object, from its first byte to its last. Rates in MB/s. */
async function one(
  server: ChildProcess,
  path: string,
  [way, ...compare]: readonly [Way, ...(string | number)[]],
) {
  await bench.warmMemory(WARM_BYTES);
  await ask(server, { do: 'put', key: basename(path) });
  const pid = server.pid ?? 0;
  const cpuBefore = bench.cpuSeconds(pid);
  const { seconds, bytes } = await bench.benchReader([way, path, ...compare]);
  const cpu = (bench.cpuSeconds(pid) - cpuBefore) / (SIZE / bench.GIB);
  if (bytes !== SIZE) throw new Error(`${path}: ${bytes} of ${SIZE} bytes`);
  const { filledMs } = await ask(server, { do: 'figures' });
  return {
    title: compare.length === 0 ? way : `${way}, every byte compared`,
    filled: SIZE / 1e3 / filledMs,
    read: SIZE / 1e6 / seconds,
    cpu,
  };
}
