/**
 * Is the embedded S3 server a bottleneck? Fetches the same file with `curl -o` from it and from nginx, in turns, and
 * prints medians, spread and the ratio; ends with 1 when the ratio is below 0.8. Needs curl and nginx.
 *
 *   npm run build && node dist/scripts/bench-s3-server.js        (RUNS=7 SIZE_MIB=1024)
 *
 * With ROUND_TRIP_MS and CONNECTION_MIB (per second) the server simulates that network, and nginx holds the same rate:
 * then the figures say how well the simulation keeps to it.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/runtime/clock.js';
import { fillPattern } from '../src/runtime/pattern.js';
import { startS3Server } from '../src/s3-server/server.js';
import { median, MIB, parameter, print, warmMemory } from './bench-support.js';

const RUNS = parameter('RUNS', 7);
const SIZE_MIB = parameter('SIZE_MIB', 1024);
const RATIO_MIN = 0.8;
/** 0: none. */
const ROUND_TRIP_MS = Number(process.env['ROUND_TRIP_MS'] ?? 0);
const CONNECTION_MIB = Number(process.env['CONNECTION_MIB'] ?? 0);

interface Contender {
  readonly name: string;
  readonly url: string;
  readonly mibPerSecond: number[];
}

const scratch = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
const target = join(scratch, 'fetched');
try {
  process.exitCode = await main();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function main(): Promise<number> {
  const content = Buffer.allocUnsafe(SIZE_MIB * MIB);
  fillPattern(content, 1, 0);
  const sha256 = createHash('sha256').update(content).digest('hex');
  mkdirSync(join(scratch, 'www'));
  writeFileSync(join(scratch, 'www', 'object'), content);
  const network = { roundTripMs: ROUND_TRIP_MS, connectionBytesPerSecond: CONNECTION_MIB * MIB };
  const server = await startS3Server({ dir: join(scratch, 's3'), anonymousRead: true, network });
  await server.createBucket('bench');
  await server.putObject('bench', 'object', content);
  const port = await freePort();
  const nginx = await startNginx(port);
  try {
    const ours: Contender = {
      name: 'embedded S3 server',
      url: `${server.endpoint}/bench/object`,
      mibPerSecond: [],
    };
    const theirs: Contender = { name: 'nginx', url: `http://127.0.0.1:${port}/object`, mibPerSecond: [] };
    for (const { name, url } of [ours, theirs]) {
      await fetchOnce(url);
      if ((await fileSha256(target)) !== sha256) throw new Error(`${name} served wrong bytes`);
    }
    for (let run = 0; run < RUNS; run++) {
      for (const contender of [ours, theirs]) {
        rmSync(target, { force: true });
        await warmMemory((SIZE_MIB + 64) * MIB);
        contender.mibPerSecond.push(SIZE_MIB / (await fetchOnce(contender.url)));
      }
    }
    return report(ours, theirs);
  } finally {
    nginx.kill();
    await server.close();
  }
}

/** Returns the seconds it took. */
async function fetchOnce(url: string): Promise<number> {
  rmSync(target, { force: true });
  const startMs = systemClock.nowMs();
  const curl = spawn('curl', ['--silent', '--fail', '--output', target, url], { stdio: 'inherit' });
  const [code] = (await once(curl, 'close')) as [number];
  if (code !== 0) throw new Error(`curl ${url} ended with ${code}`);
  return (systemClock.nowMs() - startMs) / 1000;
}

async function startNginx(port: number): Promise<ChildProcess> {
  const configuration = join(scratch, 'nginx.conf');
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = places.map((name) => `${name}_temp_path ${join(scratch, name)};`).join(' ');
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  writeFileSync(
    configuration,
    `${user} daemon off; worker_processes 1; pid ${join(scratch, 'nginx.pid')}; error_log ${join(scratch, 'nginx.log')};
events {} http { access_log off; sendfile on; ${temporary} ${CONNECTION_MIB > 0 ? `limit_rate ${CONNECTION_MIB}m;` : ''} server { listen 127.0.0.1:${port}; root ${join(scratch, 'www')}; } }\n`,
  );
  const nginx = spawn('nginx', ['-c', configuration, '-e', join(scratch, 'nginx.log')], { stdio: 'inherit' });
  const url = `http://127.0.0.1:${port}/object`;
  execFileSync(
    'curl',
    ['--silent', '--fail', '--head', '--retry', '20', '--retry-connrefused', '--retry-delay', '1', url],
    { stdio: 'ignore' },
  );
  return nginx;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function fileSha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

function report(ours: Contender, theirs: Contender): number {
  for (const { name, mibPerSecond } of [ours, theirs]) {
    const [low, high] = [Math.min(...mibPerSecond), Math.max(...mibPerSecond)];
    print(
      `${name.padEnd(20)} median ${median(mibPerSecond).toFixed(0)} MiB/s, ${low.toFixed(0)} to ${high.toFixed(0)}, ${RUNS} runs`,
    );
  }
  const ratio = median(ours.mibPerSecond) / median(theirs.mibPerSecond);
  print(`ratio ${ratio.toFixed(2)}, required at least ${RATIO_MIN}`);
  return ratio >= RATIO_MIN ? 0 : 1;
}
