/**
 * `sluice warm` of many small objects over a network with a round trip: beside one at a time, interrupted and begun again,
 * and once more when all is there. Without a mount, into a fresh cache directory each time; what the server counted says
 * how much was fetched.
 *
 *   OBJECTS=1000 SIZE_MIB=1 ROUND_TRIP_MS=20 RUNS=3 CONCURRENCY=32 node dist/scripts/bench-warm-cache.js
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startS3Server } from '../src/s3-server/server.js';
import type { S3Server } from '../src/s3-server/server.js';
import { fillPattern } from '../src/runtime/pattern.js';
import { systemClock } from '../src/runtime/clock.js';
import { BUCKET, cleanEnvironment, SLUICE } from '../test/support/mount-harness.js';
import { median, MIB, parameter } from './bench-support.js';

const OBJECTS = parameter('OBJECTS', 1000);
const SIZE = parameter('SIZE_MIB', 1) * MIB;
const ROUND_TRIP_MS = parameter('ROUND_TRIP_MS', 20);
const RUNS = parameter('RUNS', 3);
const CONCURRENCY = parameter('CONCURRENCY', 32);

interface Run {
  readonly seconds: number;
  readonly exitCode: number | null;
  readonly bytesServed: number;
}

interface Warmed {
  readonly concurrency: number;
  readonly cacheDir: string;
  /** Ctrl-C when so many bytes have been served. */
  readonly interruptAtBytes?: number;
}

async function warm(server: S3Server, scratch: string, options: Warmed): Promise<Run> {
  const { concurrency, cacheDir, interruptAtBytes = Infinity } = options;
  const flags = ['--endpoint-url', server.endpoint, '--force-path-style', '--cache-dir', cacheDir];
  const args = [SLUICE, 'warm', '--json', '--concurrency', String(concurrency), ...flags, `s3://${BUCKET}/`];
  server.counters.reset();
  const startedMs = systemClock.nowMs();
  const child = spawn(process.execPath, args, {
    env: cleanEnvironment(scratch),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.on('data', () => {
    if (server.counters.bytesSent > interruptAtBytes) child.kill('SIGINT');
  });
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  return {
    seconds: (systemClock.nowMs() - startedMs) / 1000,
    exitCode,
    bytesServed: server.counters.bytesSent,
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function said(title: string, { seconds, exitCode, bytesServed }: Run): void {
  const share = ((100 * bytesServed) / (OBJECTS * SIZE)).toFixed(1);
  say(`${title}: ${seconds.toFixed(2)} s, ${share} % of the bytes served, exit code ${exitCode}`);
}

const scratch = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
const server = await startS3Server({ dir: join(scratch, 's3'), network: { roundTripMs: ROUND_TRIP_MS } });
try {
  await server.createBucket(BUCKET);
  const body = new Uint8Array(SIZE);
  for (let n = 0; n < OBJECTS; n += 1) {
    // As files: synthetic bytes are computed on the cores that are measured.
    await server.putObject(BUCKET, `object-${String(n).padStart(6, '0')}`, fillPattern(body, n, 0));
  }
  say(`${OBJECTS} objects of ${SIZE / MIB} MiB, round trip ${ROUND_TRIP_MS} ms`);
  // All are kept to the end: ext4 makes new files a millisecond slower each for minutes after thousands were deleted.
  const fresh = (name: string) => {
    const cacheDir = join(scratch, name);
    mkdirSync(cacheDir, { mode: 0o700 });
    return cacheDir;
  };
  const ratios: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const oneDir = fresh(`one-${run}`);
    const one = await warm(server, scratch, { concurrency: 1, cacheDir: oneDir });
    said('one at a time', one);
    const manyDir = fresh(`many-${run}`);
    const many = await warm(server, scratch, { concurrency: CONCURRENCY, cacheDir: manyDir });
    said(`${CONCURRENCY} at a time`, many);
    said(
      'again, when all is there',
      await warm(server, scratch, { concurrency: CONCURRENCY, cacheDir: manyDir }),
    );
    ratios.push(one.seconds / many.seconds);
    say(`  ${(one.seconds / many.seconds).toFixed(1)} times as fast`);
  }
  say(`median: ${median(ratios).toFixed(1)} times as fast as one at a time`);
  const cacheDir = fresh('interrupted');
  const first = await warm(server, scratch, {
    concurrency: CONCURRENCY,
    cacheDir,
    interruptAtBytes: (OBJECTS * SIZE) / 2,
  });
  said('interrupted', first);
  const rest = await warm(server, scratch, { concurrency: CONCURRENCY, cacheDir });
  said('the rest', rest);
  const twice = (first.bytesServed + rest.bytesServed) / (OBJECTS * SIZE) - 1;
  say(`  fetched twice: ${(100 * twice).toFixed(2)} % of the bytes`);
} finally {
  await server.close();
  rmSync(scratch, { recursive: true, force: true });
}
process.exit(0);
