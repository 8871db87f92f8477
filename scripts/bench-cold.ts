/**
 * Cold sequential reads through a mount, by read and by mmap, beside `curl -o` of the same object from the same
 * server: interleaved runs, a fresh mount and cache for each, medians and spread, CPU seconds of the daemon per GiB,
 * bytes fetched ÷ size. The bytes of each way are verified once, before the clock runs. Started by bench.sh.
 *
 *   RUNS=5 SIZE_MIB=1024 node dist/scripts/bench-cold.js
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../src/runtime/clock.js';
import { findPatternMismatch } from '../src/runtime/pattern.js';
import { BUCKET, read, startWorld } from '../test/support/mount-harness.js';
import type { ReadWay } from '../test/support/mount-harness.js';
import { run } from '../test/support/processes.js';
import { cpuSeconds, GIB, median, MIB, parameter, warmMemory } from './bench-support.js';

const RUNS = parameter('RUNS', 5);
const SIZE = parameter('SIZE_MIB', 1024) * MIB;
/** What a run touches: the file, its copy in the page cache, and the pipe's worth between. */
const WARM_BYTES = 2 * SIZE + 256 * MIB;

interface Sample {
  readonly seconds: number;
  readonly cpuSeconds?: number;
  readonly amplification?: number;
}

async function timed(
  work: () => Promise<{ readonly code: number | null; readonly stderr: string }>,
): Promise<number> {
  const startMs = systemClock.nowMs();
  const { code, stderr } = await work();
  if (code !== 0) throw new Error(`a run failed with ${code}: ${stderr}`);
  return (systemClock.nowMs() - startMs) / 1000;
}

function row(name: string, samples: readonly Sample[], curlSeconds: number): string {
  const rate = (seconds: number) => (SIZE / 1e6 / seconds).toFixed(0).padStart(6);
  const seconds = samples.map((sample) => sample.seconds);
  const cpu = median(samples.flatMap((sample) => sample.cpuSeconds ?? [])) / (SIZE / GIB);
  const amplification = median(samples.flatMap((sample) => sample.amplification ?? []));
  const figures = Number.isNaN(cpu)
    ? ''
    : `${cpu.toFixed(2).padStart(8)} ${amplification.toFixed(2).padStart(14)}`;
  const spread = `${rate(Math.max(...seconds))} …${rate(Math.min(...seconds))}`;
  const ratio = (median(seconds) / curlSeconds).toFixed(2).padStart(6);
  return `${name.padEnd(16)} ${rate(median(seconds))} ${spread} ${ratio} ${figures}`;
}

void t.test(`cold reads of ${SIZE / MIB} MiB`, { timeout: 3_600_000 }, async (t) => {
  const world = await startWorld(t, { anonymousRead: true });
  const { server, scratch } = world;
  await server.putSynthetic(BUCKET, 'big', { size: SIZE, seed: 1 });
  const samples: Record<'curl -o' | ReadWay, Sample[]> = { 'curl -o': [], read: [], mmap: [] };

  const throughMount = async (way: ReadWay, verify: boolean): Promise<Sample> => {
    const daemon = await world.mount();
    const { pid = 0 } = daemon.process;
    const file = join(daemon.mountpoint, 'big');
    if (verify) {
      const { stdout } = await read(file, 0, Math.min(SIZE, 512 * MIB), way);
      t.equal(findPatternMismatch(stdout, 1, 0), -1, `${way}: every byte is right`);
    }
    await warmMemory(WARM_BYTES);
    server.counters.reset();
    const cpuBefore = cpuSeconds(pid);
    const command =
      way === 'read'
        ? ['dd', `if=${file}`, 'of=/dev/null', 'bs=1M', 'status=none']
        : ['sh', '-c', `dist/test/support/mmap-reader '${file}' 0 ${SIZE} > /dev/null`];
    const seconds = await timed(() => run(command[0]!, command.slice(1), { timeoutMs: 600_000 }));
    const sample = {
      seconds,
      cpuSeconds: cpuSeconds(pid) - cpuBefore,
      amplification: server.counters.bytesSent / SIZE,
    };
    daemon.process.kill('SIGTERM');
    await daemon.exited;
    return sample;
  };
  const byCurl = async (): Promise<Sample> => {
    const target = join(scratch, 'fetched');
    await warmMemory(WARM_BYTES);
    const url = `${server.endpoint}/${BUCKET}/big`;
    const seconds = await timed(() => run('curl', ['-sf', '-o', target, url], { timeoutMs: 600_000 }));
    rmSync(target);
    return { seconds };
  };

  for (const way of ['read', 'mmap'] as const) await throughMount(way, true);
  for (let count = 0; count < RUNS; count += 1) {
    samples['curl -o'].push(await byCurl());
    for (const way of ['read', 'mmap'] as const) samples[way].push(await throughMount(way, false));
  }
  const curlSeconds = median(samples['curl -o'].map(({ seconds }) => seconds));
  const lines = Object.entries(samples).map(([name, of]) => row(name, of, curlSeconds));
  const head = 'cold, 1 object     MB/s   lowest … best   ÷curl  CPU s/GiB  fetched÷size';
  for (const line of [head, ...lines]) t.comment(line);
});
