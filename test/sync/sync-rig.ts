/**
 * A bucket on the embedded server and a directory to bring it into: by a `Sync` in this process, or by `sluice sync` in one
 * of its own. Everything ends with the test.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { nativeAddonIfAny } from '../../src/native.js';
import { silentLogger } from '../../src/observability/logger.js';
import { createAborter } from '../../src/runtime/aborter.js';
import { systemClock } from '../../src/runtime/clock.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import type { S3Server } from '../../src/s3-server/server.js';
import { startS3Server } from '../../src/s3-server/server.js';
import type { SyncEvent, SyncSummary } from '../../src/sync/report.js';
import { Sync } from '../../src/sync/sync.js';
import type { SyncConfig, SyncDeps } from '../../src/sync/sync.js';
import { startProcess } from '../cli/live-process.js';
import type { LiveProcess } from '../cli/live-process.js';
import { cleanEnvironment, SLUICE } from '../support/mount-harness.js';
import { run } from '../support/processes.js';
import type { Finished } from '../support/processes.js';
import { BUCKET, storeOptions, useFolder, useServerCredentials, useStore } from '../support/s3-fixture.js';

export { BUCKET };
export const MIB = 1024 * 1024;
export const OWN = '.sluice-sync';

export interface SyncRun {
  readonly summary: SyncSummary;
  readonly events: readonly SyncEvent[];
}

export interface SyncWorld {
  readonly server: S3Server;
  /** The directory that is synchronised; does not exist yet. */
  readonly dir: string;
  readonly scratch: string;
  readonly env: NodeJS.ProcessEnv;
  readonly path: (name: string) => string;
  readonly put: (
    key: string,
    body: Uint8Array | string,
    checksum?: 'CRC64NVME' | 'CRC32C' | null,
  ) => Promise<void>;
  /** In this process. */
  readonly sync: (changes?: Partial<SyncConfig>, deps?: Partial<SyncDeps>) => Promise<SyncRun>;
  readonly args: (flags?: readonly string[], prefix?: string) => string[];
  /** `sluice sync` to its end. */
  readonly command: (flags?: readonly string[], prefix?: string) => Promise<Finished>;
  readonly start: (flags?: readonly string[]) => LiveProcess;
  /** Bytes of the object that the server sent since it started or `server.counters.reset`. */
  readonly sent: (key: string) => number;
}

export async function useSyncWorld(t: Test): Promise<SyncWorld> {
  useServerCredentials(t);
  const scratch = await useFolder(t);
  const server = await startS3Server({ dir: join(scratch, 's3') });
  t.teardown(() => server.close());
  await server.createBucket(BUCKET);
  const dir = join(scratch, 'dir');
  const env = cleanEnvironment(join(scratch, 'home'));
  mkdirSync(join(scratch, 'home', 'run'), { recursive: true, mode: 0o700 });
  const args = (flags: readonly string[] = [], prefix = '') => {
    // No byte may be asked for twice: they are counted.
    const connection = ['--endpoint-url', server.endpoint, '--force-path-style', '--hedge', 'off'];
    return ['sync', ...connection, ...flags, `s3://${BUCKET}/${prefix}`, dir];
  };
  return {
    server,
    dir,
    scratch,
    env,
    args,
    path: (name) => join(dir, name),
    put: async (key, body, checksum = 'CRC64NVME') => {
      await server.putObject(BUCKET, key, body, { checksumAlgorithm: checksum ?? undefined });
    },
    sent: (key) => server.counters.gets(BUCKET, key).reduce((sum, { bytesSent }) => sum + bytesSent, 0),
    command: (flags, prefix) => run(process.execPath, [SLUICE, ...args(flags, prefix)], { env }),
    start: (flags) => {
      const started = startProcess(SLUICE, args(flags), env);
      t.teardown(() => void started.process.kill('SIGKILL'));
      return started;
    },
    sync: async (changes = {}, deps = {}) => {
      const events: SyncEvent[] = [];
      const config = { ...syncConfig(server.endpoint, dir), ...changes };
      const sync = new Sync(config, {
        clock: systemClock,
        logger: silentLogger,
        objectStore: await useStore(t, server, {
          ...storeOptions(server.endpoint),
          connectionsMax: config.connectionsMax,
          transferThreads: config.transferThreads,
        }),
        addon: nativeAddonIfAny(),
        platform: 'linux',
        signal: createAborter().signal,
        onEvent: (event) => events.push(event),
        ...deps,
      });
      return { summary: await sync.run(), events };
    },
  };
}

function syncConfig(endpointUrl: string, directory: string): SyncConfig {
  return {
    ...storeOptions(endpointUrl),
    directory,
    prefix: '',
    isWanted: () => true,
    check: 'stamp',
    concurrency: 8,
    deletes: 'nothing',
    dryRun: false,
    readDeadlineMs: 20_000,
    stallTimeoutMs: 3000,
    partBytesMax: 2 * MIB,
    prefetchBytesMax: 16 * MIB,
    hedge: false,
    cacheDir: '/nonexistent',
    cacheBytesMax: undefined,
    cacheFreeBytesMin: undefined,
    verify: 'crc',
    logFile: undefined,
    logLevel: 'info',
  };
}

/** `bytes` of the pattern `seed`. */
export function pattern(bytes: number, seed: number): Buffer {
  return Buffer.from(fillPattern(new Uint8Array(bytes), seed, 0));
}

/** All files below `dir` but Sluice's own, with their content. */
export function contentOf(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith(OWN) && statSync(join(dir, name)).isFile())
    .toSorted();
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(dir, name), 'latin1')]));
}

/** What lies in Sluice's own folder between two runs but the state. */
export function leftIn(dir: string): string[] {
  return readdirSync(join(dir, OWN), { recursive: true, encoding: 'utf8' }).filter(
    (name) => !['locks', 'parts', 'workers', 'state'].includes(name),
  );
}

export function ofKind<K extends SyncEvent['event']>(
  events: readonly SyncEvent[],
  kind: K,
): Extract<SyncEvent, { event: K }>[] {
  return events.filter((event): event is Extract<SyncEvent, { event: K }> => event.event === kind);
}
