/**
 * What the benchmarks of cold reads run in: a server in a process of its own that simulates a network, fresh mounts of
 * each system, `curl` as the limit, and what all that cost. Used by bench-reads.ts; everything ends with the benchmark.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { sleep, systemClock } from '../src/runtime/clock.js';
import { cleanEnvironment } from '../test/support/mount-harness.js';
import { createPrivateCa } from '../test/support/private-ca.js';
import { run } from '../test/support/processes.js';
import type { BenchObject, Counts, ServerAnswer, ServerCommand, ServerSettings } from './bench-server.js';
import type { Sample } from './bench-results.js';
import type { Scale } from './bench-scale.js';
import * as support from './bench-support.js';
import type { Cleanup, Reading } from './bench-support.js';
import { BUCKET, mountRclone, mountS3fs, mountSluice } from './bench-systems.js';
import type { Mounted, Place } from './bench-systems.js';

export const SLUICE = 'Sluice';
export const S3FS = 's3fs';
export const RCLONE = 'rclone';
export type SystemName = typeof SLUICE | typeof S3FS | typeof RCLONE;

const SERVER = resolve('dist/scripts/bench-server.js');
/** How often the memory of a daemon is looked at. */
const WATCH_MS = 50;
const CURL_TIMEOUT_MS = 600_000;

/** `none`: this machine's own; `late`: round trips; `far`: these and a cap for each connection. */
export type Network = 'none' | 'late' | 'far';

/** What one piece of work came to; `uniqueBytes` where some were read more than once. */
export type Work = (mount: Mounted) => Promise<Reading & { readonly uniqueBytes?: number }>;

export interface WorkOptions {
  /** Not timed, nor counted. */
  readonly before?: ((mount: Mounted) => Promise<void>) | undefined;
  /** Fresh memory that the work will need. */
  readonly warmBytes: number;
  readonly server?: BenchServer | undefined;
}

export class World {
  readonly scale: Scale;
  /** Those that are installed; Sluice first. */
  readonly systems: readonly SystemName[];
  readonly server: BenchServer;
  readonly #place: Place;
  readonly #sluiceOptions: readonly string[];
  #mounts = 0;

  private constructor(place: Place, server: BenchServer, systems: readonly SystemName[], scale: Scale) {
    this.#place = place;
    this.server = server;
    this.systems = systems;
    this.scale = scale;
    this.#sluiceOptions = (process.env['OPTIONS'] ?? '').split(' ').filter((text) => text !== '');
  }

  static async start(cleanup: Cleanup, scale: Scale, rivals: readonly SystemName[]): Promise<World> {
    const folder = support.temporaryFolder(cleanup);
    mkdirSync(join(folder, 'run'), { mode: 0o700 });
    // rclone 1.60 refuses to start on a CA bundle variable.
    const env = Object.fromEntries(
      Object.entries(cleanEnvironment(folder)).filter(([name]) => !/CA_BUNDLE$|^SSL_CERT_/.test(name)),
    );
    const server = await BenchServer.start({ dir: join(folder, 's3'), bucket: BUCKET }, cleanup, scale);
    return new World({ folder, cleanup, env }, server, [SLUICE, ...rivals], scale);
  }

  /** A second server, over TLS, with an authority of its own. */
  async startTls(): Promise<BenchServer> {
    const { folder, cleanup } = this.#place;
    const ca = await createPrivateCa(folder);
    const settings = { dir: join(folder, 's3-tls'), bucket: BUCKET, tls: { cert: ca.cert, key: ca.key } };
    return BenchServer.start(settings, cleanup, this.scale, ca.bundle);
  }

  /** Work that compares what it reads, through a fresh mount; nothing is measured. @throws when a byte is wrong */
  async verify(system: SystemName, work: Work, server = this.server): Promise<void> {
    const mount = await this.#mount(system, server);
    try {
      await work(mount);
    } finally {
      await mount.end();
    }
  }

  /** Does the work through a fresh mount with an empty cache, and ends it. */
  async throughMount(
    system: SystemName,
    work: Work,
    options: WorkOptions,
  ): Promise<Reading & Omit<Sample, 'value'>> {
    const server = options.server ?? this.server;
    const mount = await this.#mount(system, server);
    try {
      await sleep(systemClock, this.scale.restMs);
      await options.before?.(mount);
      await support.warmMemory(options.warmBytes);
      await server.ask({ do: 'reset' });
      const cpuBefore = support.cpuSeconds(mount.pid);
      const watch = watchMemory(mount.pid);
      const reading = await work(mount).finally(watch.stop);
      const cpu = support.cpuSeconds(mount.pid) - cpuBefore;
      const atEnd = await server.ask({ do: 'count' });
      await sleep(systemClock, this.scale.settleMs);
      const later = await server.ask({ do: 'count' });
      const bytesSent = Math.max(atEnd.bytesSent, later.bytesSent);
      return {
        ...reading,
        cpu: cpu / (reading.bytes / support.GIB),
        peakMib: watch.peakBytes() / support.MIB,
        connections: atEnd.connectionsBusyMax,
        amplification: bytesSent / (reading.uniqueBytes ?? reading.bytes),
      };
    } finally {
      await mount.end();
    }
  }

  /** Fetches the first `bytesEach` of objects to files by as many curls at once, each a range of one; returns MB/s. */
  async curl(
    keys: readonly string[],
    bytesEach: number,
    parallel: number,
    server = this.server,
  ): Promise<number> {
    const folder = join(this.#place.folder, 'fetched');
    mkdirSync(folder);
    await support.warmMemory(keys.length * bytesEach + 64 * support.MIB);
    const each = Math.max(1, Math.floor(parallel / keys.length));
    const step = Math.ceil(bytesEach / each);
    const commands = keys.flatMap((key, file) =>
      Array.from({ length: each }, (_, part) => {
        const range = `${part * step}-${Math.min(bytesEach, (part + 1) * step) - 1}`;
        const target = `-o '${folder}/${file}.${part}' '${server.endpoint}/${BUCKET}/${key}'`;
        return `curl -sf ${server.curlOptions} -r ${range} ${target} &`;
      }),
    );
    const startMs = systemClock.nowMs();
    await run('sh', ['-c', `${commands.join('\n')}\nwait`], { timeoutMs: CURL_TIMEOUT_MS });
    const seconds = (systemClock.nowMs() - startMs) / 1000;
    const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    rmSync(folder, { recursive: true });
    if (bytes !== keys.length * bytesEach)
      throw new Error(`curl fetched ${bytes} bytes of ${keys.join(', ')}`);
    return bytes / 1e6 / seconds;
  }

  async #mount(system: SystemName, server: BenchServer): Promise<Mounted> {
    const name = `${system}-${(this.#mounts += 1)}`;
    const { endpoint } = server;
    if (system === S3FS) return mountS3fs(this.#place, endpoint, name);
    if (system === RCLONE) return mountRclone(this.#place, endpoint, name);
    const options = ['--driver', 'native', ...this.#sluiceOptions];
    if (server.caBundle !== undefined) options.push('--ca-bundle', server.caBundle);
    return mountSluice(this.#place, endpoint, { name, options });
  }
}

export class BenchServer {
  readonly endpoint: string;
  readonly caBundle: string | undefined;
  readonly #process: ChildProcess;
  readonly #scale: Scale;
  readonly #keys = new Set<string>();

  private constructor(process: ChildProcess, endpoint: string, scale: Scale, caBundle: string | undefined) {
    this.#process = process;
    this.endpoint = endpoint;
    this.#scale = scale;
    this.caBundle = caBundle;
  }

  static async start(
    settings: ServerSettings,
    cleanup: Cleanup,
    scale: Scale,
    caBundle?: string,
  ): Promise<BenchServer> {
    const child = fork(SERVER, [JSON.stringify(settings)]);
    const exited = once(child, 'exit');
    cleanup.push(async () => {
      child.kill();
      await exited;
    });
    const [answer] = (await once(child, 'message')) as [ServerAnswer];
    return new BenchServer(child, answer.endpoint, scale, caBundle);
  }

  get curlOptions(): string {
    return this.caBundle === undefined ? '' : `--cacert '${this.caBundle}'`;
  }

  /** Makes those that are not there yet. */
  async prepare(objects: readonly BenchObject[]): Promise<void> {
    const missing = objects.filter(({ key }) => !this.#keys.has(key));
    if (missing.length > 0) await this.ask({ do: 'put', objects: missing });
    for (const { key } of missing) this.#keys.add(key);
  }

  async network(network: Network): Promise<void> {
    const { roundTripMs, connectionBytesPerSecond } = this.#scale;
    await this.ask({
      do: 'network',
      network: {
        roundTripMs: network === 'none' ? 0 : roundTripMs,
        connectionBytesPerSecond: network === 'far' ? connectionBytesPerSecond : 0,
      },
    });
  }

  async ask(command: ServerCommand): Promise<Counts> {
    const answered = once(this.#process, 'message');
    this.#process.send(command);
    const [{ counts, error }] = (await answered) as [ServerAnswer];
    if (error !== undefined) throw new Error(`the server: ${error}`);
    return counts;
  }
}

/** The highest anonymous memory of a process: its own, without the pages of files. */
function watchMemory(pid: number) {
  let peakBytes = 0;
  const look = () => (peakBytes = Math.max(peakBytes, anonymousBytes(pid)));
  look();
  const timer = setInterval(look, WATCH_MS);
  const stop = () => {
    clearInterval(timer);
    look();
  };
  return { stop, peakBytes: () => peakBytes };
}

function anonymousBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return [...status.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm)].reduce(
      (sum, [, kib]) => sum + Number(kib) * 1024,
      0,
    );
  } catch {
    return 0;
  }
}
