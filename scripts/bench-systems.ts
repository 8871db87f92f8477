/**
 * The systems that the benchmarks compare, each mounted by a daemon of its own: Sluice, also as another user's, s3fs and
 * rclone. Whatever is started here ends with the benchmark, also when that is interrupted.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isMounted, SLUICE } from '../test/support/mount-harness.js';
import { eventually, run } from '../test/support/processes.js';
import type { Cleanup } from './bench-support.js';

export const BUCKET = 'bench';
const MOUNT_TIMEOUT_MS = 60_000;
/** A daemon that takes longer to end is killed. */
const END_TIMEOUT_MS = 8_000;
/** The usual number of `nobody`, who owns nothing. */
const USER = 65_534;

export interface Place {
  readonly folder: string;
  readonly cleanup: Cleanup;
  readonly env: NodeJS.ProcessEnv;
}

/** Where a reader finds the objects. */
export interface Variant {
  readonly name: string;
  readonly root: string;
  /** Of the daemon; undefined: the local disk. */
  readonly pid: number | undefined;
  /** The command that makes a reader one who may read here. */
  readonly prefix: readonly string[];
}

export interface Mounted extends Variant {
  readonly pid: number;
  /** Unmounts and removes its local files. */
  readonly end: () => Promise<void>;
}

interface ProcessOptions {
  readonly cleanup: Cleanup;
  readonly env: NodeJS.ProcessEnv;
  readonly isReady: (output: string) => boolean;
}

export interface StartedProcess {
  readonly pid: number;
  readonly output: () => string;
  /** Idempotent. */
  readonly end: () => Promise<void>;
}

/** @throws when it ends before it is ready */
export async function startProcess(
  command: readonly string[],
  { cleanup, env, isReady }: ProcessOptions,
): Promise<StartedProcess> {
  const [program = '', ...args] = command;
  let text = '';
  const child: ChildProcess = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise<void>((done) => void child.once('close', () => done()));
  let isRunning = true;
  void exited.then(() => (isRunning = false));
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (piece: Buffer) => (text += piece.toString()));
  }
  child.once('error', (error) => (text += error.message));
  const end = async () => {
    child.kill('SIGTERM');
    if (await eventually(() => !isRunning, END_TIMEOUT_MS)) return;
    child.kill('SIGKILL');
    await exited;
  };
  cleanup.push(end);
  await eventually(() => !isRunning || isReady(text), MOUNT_TIMEOUT_MS);
  if (!isRunning || !isReady(text)) throw new Error(`${command.join(' ')}: not ready: ${text}`);
  return { pid: child.pid ?? 0, output: () => text, end };
}

/** The home of one mount: its mountpoint, its cache, and the end of both. */
function makeHome({ folder, cleanup }: Place, name: string, owner?: number) {
  const home = join(folder, name.replaceAll(/\W+/g, '-'));
  const mountpoint = join(home, 'mount');
  mkdirSync(mountpoint, { recursive: true });
  if (owner !== undefined) for (const path of [home, mountpoint]) chownSync(path, owner, owner);
  const unmount = async () => {
    if (isMounted(mountpoint)) await run('umount', ['--lazy', mountpoint]);
  };
  cleanup.push(unmount);
  const end = async (daemon: StartedProcess) => {
    await daemon.end();
    await unmount();
    rmSync(home, { recursive: true, force: true });
  };
  return { home, mountpoint, end };
}

export interface SluiceOptions {
  readonly name: string;
  readonly options: readonly string[];
  /** It and its readers belong to a user without privilege. */
  readonly asUser?: boolean;
  /** Added to its environment. */
  readonly env?: NodeJS.ProcessEnv;
}

/** A Sluice daemon that has mounted. */
export async function mountSluice(place: Place, endpoint: string, given: SluiceOptions): Promise<Mounted> {
  const { name, options, asUser = false, env = {} } = given;
  const { home, mountpoint, end } = makeHome(place, name, asUser ? USER : undefined);
  const flags = [
    '--endpoint-url',
    endpoint,
    '--force-path-style',
    '--cache-dir',
    join(home, 'cache'),
    ...options,
  ];
  const command = [process.execPath, SLUICE, 'mount', '--foreground', ...flags, `s3://${BUCKET}`, mountpoint];
  const user = asUser ? userCommands(place) : undefined;
  const own = { HOME: home, ...(asUser && { XDG_RUNTIME_DIR: home }), ...env };
  const daemon = await startProcess([...(user?.daemon ?? []), ...command], {
    ...place,
    env: { ...place.env, ...own },
    isReady: (text) => /^Mounted /m.test(text),
  });
  const { pid } = daemon;
  return { name, root: mountpoint, pid, prefix: user?.reader(pid) ?? [], end: () => end(daemon) };
}

interface UserCommands {
  readonly daemon: readonly string[];
  readonly reader: (daemon: number) => readonly string[];
}

/**
 * Where users may not open /dev/fuse, the daemon gets a mount namespace of its own with a device that they may open;
 * its readers join it.
 */
function userCommands({ folder }: Place): UserCommands {
  const become = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', '--'];
  if ((statSync('/dev/fuse').mode & 0o006) === 0o006) return { daemon: become, reader: () => become };
  const script = 'mknod -m 666 "$0" c 10 229 && mount --bind "$0" /dev/fuse && exec "$@"';
  return {
    daemon: ['unshare', '--mount', 'sh', '-c', script, join(folder, 'fuse'), ...become],
    reader: (daemon) => ['nsenter', `--mount=/proc/${daemon}/ns/mnt`, ...become],
  };
}

/** s3fs with its disk cache. @throws also when it is not installed */
export async function mountS3fs(place: Place, endpoint: string, name: string): Promise<Mounted> {
  const { home, mountpoint, end } = makeHome(place, name);
  const settings = [
    `url=${endpoint}`,
    'use_path_request_style',
    'endpoint=us-east-1',
    `use_cache=${join(home, 'cache')}`,
    'parallel_count=10',
    'multipart_size=16',
    'max_stat_cache_size=200000',
  ];
  const daemon = await startProcess(['s3fs', BUCKET, mountpoint, '-f', '-o', settings.join(',')], {
    ...place,
    isReady: () => isMounted(mountpoint),
  });
  return { name, root: mountpoint, pid: daemon.pid, prefix: [], end: () => end(daemon) };
}

/** `rclone mount` with its disk cache and read-ahead. @throws also when it is not installed */
export async function mountRclone(place: Place, endpoint: string, name: string): Promise<Mounted> {
  const { home, mountpoint, end } = makeHome(place, name);
  const remote = `:s3,provider=Other,env_auth=true,endpoint="${endpoint}",force_path_style=true:${BUCKET}`;
  const cache = ['--vfs-cache-mode', 'full', '--cache-dir', join(home, 'cache')];
  const ahead = ['--vfs-read-ahead', '128M', '--buffer-size', '16M'];
  const settings = ['--config', '/dev/null', '--use-server-modtime', ...cache, ...ahead];
  const daemon = await startProcess(['rclone', 'mount', remote, mountpoint, ...settings], {
    ...place,
    isReady: () => isMounted(mountpoint),
  });
  return { name, root: mountpoint, pid: daemon.pid, prefix: [], end: () => end(daemon) };
}
