/**
 * What the warm benchmark reads: a folder on the local disk, and the same objects through mounts of one bucket. The
 * server and each daemon are processes of their own; one daemon may belong to another user, one be s3fs.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isMounted, SLUICE } from '../test/support/mount-harness.js';
import { eventually, run } from '../test/support/processes.js';
import { startS3Server } from '../src/s3-server/server.js';
import type { StatusReport } from '../src/observability/status-report.js';
import { benchReader } from './bench-support.js';
import type { Cleanup } from './bench-support.js';

const BUCKET = 'bench';
export const BIG = 'big';
export const NAMES = 'names';
const SEED = 1;
/** What one open-read-close reads. */
const SMALL_BYTES = 4096;

const MOUNT_TIMEOUT_MS = 60_000;
/** The usual number of `nobody`, who owns nothing. */
const USER = 65_534;
const BUSY_MODULE = resolve('dist/scripts/bench-busy.js');

export interface Place {
  readonly folder: string;
  readonly cleanup: Cleanup;
  readonly env: NodeJS.ProcessEnv;
  readonly sizeBytes: number;
  readonly names: number;
}

/** Where a reader finds the objects. */
export interface Variant {
  readonly name: string;
  /** Holds `BIG` and the folder `NAMES`. */
  readonly root: string;
  /** Of the daemon; undefined: the local disk. */
  readonly pid: number | undefined;
  /** The command that makes a reader one who may read here. */
  readonly prefix: readonly string[];
}

/** Every byte of the large object, compared with the pattern as it is read. */
export async function verifyBig({ root, prefix }: Variant, { sizeBytes }: Place): Promise<void> {
  const { bytes } = await benchReader(['read', join(root, BIG), '--verify', SEED], prefix);
  if (bytes !== sizeBytes) throw new Error(`${root}: ${bytes} of ${sizeBytes} bytes`);
}

/** The same files as the bucket's objects. */
export async function makeLocalFiles({ folder, sizeBytes, names }: Place): Promise<Variant> {
  const root = join(folder, 'local');
  mkdirSync(join(root, NAMES), { recursive: true });
  const big = join(root, BIG);
  await benchReader(['make', big, '--size', sizeBytes, '--verify', SEED]);
  // A comparison that cannot fail would prove nothing.
  const isWrongSeen = await benchReader(['read', big, '--verify', SEED + 1]).then(
    () => false,
    () => true,
  );
  if (!isWrongSeen) throw new Error('bench-reader does not tell wrong bytes');
  for (const name of namesOf(names)) writeFileSync(join(root, name), 'x'.repeat(SMALL_BYTES));
  return { name: 'local file', root, pid: undefined, prefix: [] };
}

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, at) => join(NAMES, `file-${String(at).padStart(5, '0')}`));
}

/** Serves the bucket from a process of its own. Resolves with the endpoint. */
export async function startServer({ folder, cleanup, env, sizeBytes, names }: Place): Promise<string> {
  const dir = join(folder, 's3');
  const filling = await startS3Server({ dir });
  await filling.createBucket(BUCKET);
  await filling.putSynthetic(BUCKET, BIG, { size: sizeBytes, seed: SEED });
  await filling.putMany(BUCKET, namesOf(names), { body: 'x'.repeat(SMALL_BYTES) });
  await filling.close();
  const { output } = await startProcess([process.execPath, SLUICE, 'serve-s3', dir, '--port', '0'], {
    cleanup,
    env,
    isReady: (text) => /^mount with:/m.test(text),
  });
  const [, endpoint = ''] = /^endpoint:\s+(\S+)/m.exec(output()) ?? [];
  return endpoint;
}

interface ProcessOptions {
  readonly cleanup: Cleanup;
  readonly env: NodeJS.ProcessEnv;
  readonly isReady: (output: string) => boolean;
}

/** @throws when it ends before it is ready */
async function startProcess(command: readonly string[], { cleanup, env, isReady }: ProcessOptions) {
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
  cleanup.push(async () => {
    child.kill('SIGTERM');
    if (await eventually(() => !isRunning)) return;
    child.kill('SIGKILL');
    await exited;
  });
  await eventually(() => !isRunning || isReady(text), MOUNT_TIMEOUT_MS);
  if (!isRunning || !isReady(text)) throw new Error(`${command.join(' ')}: not ready: ${text}`);
  return { pid: child.pid ?? 0, output: () => text };
}

function makeMountpoint({ folder, cleanup }: Place, name: string, owner?: number): string {
  const home = join(folder, name.replaceAll(/\W+/g, '-'));
  const mountpoint = join(home, 'mount');
  mkdirSync(mountpoint, { recursive: true });
  if (owner !== undefined) for (const path of [home, mountpoint]) chownSync(path, owner, owner);
  cleanup.push(async () => {
    if (isMounted(mountpoint)) await run('umount', ['--lazy', mountpoint]);
  });
  return mountpoint;
}

export interface SluiceOptions {
  readonly name: string;
  readonly options: readonly string[];
  /** It and its readers belong to a user without privilege. */
  readonly asUser: boolean;
}

/** A Sluice daemon that has mounted. */
export async function mountSluice(place: Place, endpoint: string, given: SluiceOptions): Promise<Variant> {
  const { name, options, asUser } = given;
  const mountpoint = makeMountpoint(place, name, asUser ? USER : undefined);
  const home = join(mountpoint, '..');
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
  const own = {
    HOME: home,
    NODE_OPTIONS: `--import=${BUSY_MODULE}`,
    ...(asUser && { XDG_RUNTIME_DIR: home }),
  };
  const { pid } = await startProcess([...(user?.daemon ?? []), ...command], {
    ...place,
    env: { ...place.env, ...own },
    isReady: (text) => /^Mounted /m.test(text),
  });
  return { name, root: mountpoint, pid, prefix: user?.reader(pid) ?? [] };
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
export async function mountS3fs(place: Place, endpoint: string, name: string): Promise<Variant> {
  const mountpoint = makeMountpoint(place, name);
  const settings = [
    `url=${endpoint}`,
    'use_path_request_style',
    'endpoint=us-east-1',
    `use_cache=${join(mountpoint, '..', 'cache')}`,
    'parallel_count=10',
    'multipart_size=16',
    'max_stat_cache_size=200000',
  ];
  const { pid } = await startProcess(['s3fs', BUCKET, mountpoint, '-f', '-o', settings.join(',')], {
    ...place,
    isReady: () => isMounted(mountpoint),
  });
  return { name, root: mountpoint, pid, prefix: [] };
}

/** READ requests that reached a daemon of the native driver so far. */
export async function readRequests({ root }: Variant, { env }: Place): Promise<number> {
  const { code, stdout, stderr } = await run(process.execPath, [SLUICE, 'status', '--json', root], { env });
  if (code !== 0) throw new Error(`sluice status ${root} failed with ${code}: ${stderr}`);
  const { mounts } = JSON.parse(stdout.toString()) as { mounts: StatusReport[] };
  const requests = mounts[0]?.driver.readRequests;
  if (typeof requests !== 'number') throw new Error(`${root}: its status counts no READ requests`);
  return requests;
}
