/**
 * A bucket on the embedded server, served by this process, and Sluice daemons as child processes that mount it: what
 * the mount and fault tests start from. Everything lies in one temporary folder and is taken down with the test.
 *
 * The test process must never touch a mount itself, not even asynchronously: it serves the bytes, and Node's four
 * file-system threads would wait for it. Readers are programs (`read`, `run`).
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Test } from 'tap';
import { parseMountinfo } from '../../src/fuse/mount-table.js';
import type { StatusReport } from '../../src/observability/status-report.js';
import { startS3Server } from '../../src/s3-server/server.js';
import type { S3Server, S3ServerOptions } from '../../src/s3-server/server.js';
import type { DriverName } from './drivers.js';
import { eventually, run } from './processes.js';
import type { Finished, RunOptions } from './processes.js';

export const SLUICE = resolve('dist/src/cli/main.js');
const MMAP_READER = resolve('dist/test/support/mmap-reader');
export const BUCKET = 'bucket';

export interface Daemon {
  readonly process: ChildProcess;
  readonly mountpoint: string;
  /** Settles with the exit code, or the name of the signal. */
  readonly exited: Promise<number | string>;
  /** What it printed so far. */
  output(): string;
}

export interface World {
  readonly server: S3Server;
  readonly scratch: string;
  /** The environment that daemons and commands get: credentials, own folders, nothing of the caller's AWS settings. */
  readonly env: NodeJS.ProcessEnv;
  /** A fresh empty folder. */
  readonly folder: (name: string) => string;
  /** Starts a daemon in the foreground and waits until it says that it has mounted. */
  readonly mount: (options?: readonly string[], source?: string, mountpoint?: string) => Promise<Daemon>;
  /** `sluice ARGS`, to its end. */
  readonly sluice: (args: readonly string[], options?: RunOptions) => Promise<Finished>;
  readonly status: (mountpoint: string) => Promise<StatusReport>;
}

export function isMounted(mountpoint: string): boolean {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1')).some(
    (entry) => entry.mountpoint === mountpoint,
  );
}

export function cleanEnvironment(scratch: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(AWS_|SLUICE_|XDG_)|_proxy$/i.test(name) && name !== 'NODE_OPTIONS',
  );
  return {
    ...Object.fromEntries(inherited),
    HOME: scratch,
    XDG_RUNTIME_DIR: join(scratch, 'run'),
    AWS_ACCESS_KEY_ID: 'sluice',
    AWS_SECRET_ACCESS_KEY: 'sluice-secret',
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

export interface WorldOptions extends Partial<S3ServerOptions> {
  /** Carries all mounts; `auto` when left out. */
  readonly driver?: DriverName;
}

export async function startWorld(t: Pick<Test, 'teardown'>, options: WorldOptions = {}): Promise<World> {
  const { driver, ...serverOptions } = options;
  const scratch = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  mkdirSync(join(scratch, 'run'), { mode: 0o700 });
  const server = await startS3Server({ dir: join(scratch, 's3'), ...serverOptions });
  await server.createBucket(BUCKET);
  const env = { ...cleanEnvironment(scratch), ...(driver === undefined ? {} : { SLUICE_DRIVER: driver }) };
  const daemons: Daemon[] = [];
  let folders = 0;

  t.teardown(async () => {
    for (const daemon of daemons) await takeDown(daemon);
    await server.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  const folder = (name: string) => {
    folders += 1;
    const path = join(scratch, `${name}-${folders}`);
    mkdirSync(path);
    return path;
  };
  const sluice = (args: readonly string[], options: RunOptions = {}) =>
    run(process.execPath, [SLUICE, ...args], { env, ...options });
  return {
    server,
    scratch,
    env,
    folder,
    sluice,
    async mount(options = [], source = `s3://${BUCKET}`, mountpoint = folder('mount')) {
      const flags = ['--endpoint-url', server.endpoint, '--force-path-style', ...options];
      const args = [SLUICE, 'mount', '--foreground', ...flags, source, mountpoint];
      const daemon = startDaemon(args, env, mountpoint);
      daemons.push(daemon);
      const gone = daemon.exited.then((code) => {
        throw new Error(`the daemon ended with ${code} before it mounted:\n${daemon.output()}`);
      });
      gone.catch(() => {});
      // The mount table alone does not tell: a dead mount may still be there, about to be repaired.
      const isServed = () => /^Mounted /m.test(daemon.output()) && isMounted(mountpoint);
      const mounted = await Promise.race([eventually(isServed, 30_000), gone]);
      if (!mounted) throw new Error(`no mount at ${mountpoint} after 30 s:\n${daemon.output()}`);
      return daemon;
    },
    async status(mountpoint) {
      const { code, stdout, stderr } = await sluice(['status', '--json', mountpoint]);
      if (code !== 0) throw new Error(`sluice status failed with ${code}: ${stderr}`);
      const { mounts } = JSON.parse(stdout.toString()) as { mounts: StatusReport[] };
      const [report] = mounts;
      if (report === undefined) throw new Error(`no mount in ${stdout.toString()}`);
      return report;
    },
  };
}

function startDaemon(args: readonly string[], env: NodeJS.ProcessEnv, mountpoint: string): Daemon {
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk.toString()));
  const exited = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  return { process: child, mountpoint, exited, output: () => output.join('') };
}

async function takeDown({ process: child, mountpoint, exited }: Daemon): Promise<void> {
  child.kill('SIGTERM');
  const ended = await Promise.race([exited.then(() => true), eventually(() => false, 8000)]);
  if (!ended) child.kill('SIGKILL');
  if (isMounted(mountpoint)) await run('umount', ['-l', mountpoint]);
}

export type ReadWay = 'read' | 'mmap';

/** Reads a range through the mount in a process of its own; the bytes are its standard output. */
export function read(
  path: string,
  offset: number,
  length: number,
  way: ReadWay = 'read',
  timeoutMs = 60_000,
) {
  if (way === 'mmap') return run(MMAP_READER, [path, String(offset), String(length)], { timeoutMs });
  const range = [`skip=${offset}`, `count=${length}`, 'iflag=skip_bytes,count_bytes,fullblock'];
  return run('dd', [`if=${path}`, 'bs=128K', 'status=none', ...range], { timeoutMs });
}
