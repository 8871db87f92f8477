/**
 * `sluice demo`: the whole of Sluice on one machine, without an account. Serves a bucket, mounts it with the real
 * commands, streams an object through the mount while it is fetched, proves every byte, and leaves nothing behind.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, shown } from '../config/config-error.js';
import { asError } from '../runtime/assert.js';
import { systemClock } from '../runtime/clock.js';
import { formatBytes, formatDuration, parseSize } from '../runtime/units.js';
import type { S3Server } from '../s3-server/server.js';
import { readAndHash } from './demo-read.js';
import {
  CONNECTION_BYTES_PER_SECOND,
  DEMO_BUCKET,
  DEMO_KEY,
  demoEnvironment,
  expectedSha256,
  ROUND_TRIP_MS,
  startDemoServer,
} from './demo-server.js';
import { CommandError, EXIT } from './exit-codes.js';
import { printError, printLine } from './output.js';
import { StopRequests } from './stop-requests.js';

/** Below this, all of it may have come before the first byte could be shown. */
const SIZE_MIN = 64 * 1024 * 1024;
const SIZE_MAX = 64 * 1024 ** 3;

const MAIN = fileURLToPath(new URL('main.js', import.meta.url));

/** What must be undone, last first. */
type Cleanup = (() => Promise<void>)[];

export async function demoCommand(sizeText: string): Promise<number> {
  const size = parseSize(sizeText);
  if (size === undefined || size < SIZE_MIN || size > SIZE_MAX) {
    throw new ConfigError(
      `--size: expected a size from 64MiB to 64GiB such as 256MiB, got ${shown(sizeText)}`,
    );
  }
  const stopRequests = new StopRequests();
  stopRequests.listenToSignals({ background: false });
  const cleanup: Cleanup = [];
  let isClean = false;
  try {
    const stopped = stopRequests.first.then(({ reason, exitCode }) => {
      throw new CommandError(exitCode, `stopped by ${reason}`);
    });
    await Promise.race([showAll(size, cleanup), stopped]);
  } finally {
    isClean = await undo(cleanup);
  }
  if (!isClean) throw new CommandError(EXIT.mount, 'FAIL: the demo left something behind (above)');
  printLine('   Unmounted; the server, its folder and the mount point are gone.');
  printLine('');
  printLine('PASS: the object was read while it was fetched, and every byte is right.');
  printLine('Next: sluice mount s3://YOUR-BUCKET MOUNTPOINT   (sluice help mount)');
  return EXIT.ok;
}

async function showAll(size: number, cleanup: Cleanup): Promise<void> {
  printLine(`Sluice demo: ${formatBytes(size)} streamed through a mount while they are fetched`);
  const folder = await makeFolder(size, cleanup);
  const server = await startServer(folder, size, cleanup);
  const mountpoint = join(folder, 'mount');
  await mount(server, folder, mountpoint, cleanup);
  await stream(server, join(mountpoint, DEMO_KEY), size);
}

async function makeFolder(size: number, cleanup: Cleanup): Promise<string> {
  const { bavail, bsize } = await statfs(tmpdir());
  if (bavail * bsize < size * 1.1) {
    throw new CommandError(
      EXIT.mount,
      `${tmpdir()} has ${formatBytes(bavail * bsize)} free, the demo needs ${formatBytes(size * 1.1)}; make room, or set TMPDIR to another folder`,
    );
  }
  const folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
  cleanup.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function startServer(folder: string, size: number, cleanup: Cleanup): Promise<S3Server> {
  const server = await startDemoServer(join(folder, 'server'), size);
  cleanup.push(() => server.close());
  printLine('');
  printLine(`1. An S3 server on this machine: ${server.endpoint}`);
  printLine(
    `   made as slow as a real one: ${ROUND_TRIP_MS} ms away, ${formatBytes(CONNECTION_BYTES_PER_SECOND)}/s per connection`,
  );
  printLine(
    `   It holds s3://${DEMO_BUCKET}/${DEMO_KEY}, ${formatBytes(size)}, each byte made from its position`,
  );
  return server;
}

async function mount(server: S3Server, folder: string, mountpoint: string, cleanup: Cleanup): Promise<void> {
  await mkdir(mountpoint);
  const connection = ['--endpoint-url', server.endpoint, '--force-path-style'];
  const files = ['--cache-dir', join(folder, 'cache'), '--log-file', join(folder, 'log')];
  const args = ['mount', ...connection, ...files, `s3://${DEMO_BUCKET}`, mountpoint];
  printLine('');
  printLine(`2. sluice ${args.join(' ')}`);
  const mounting = sluice(args);
  // Also when the demo is stopped meanwhile: the command ends first, and then there is a mount or not.
  cleanup.push(() => unmount(mountpoint, mounting));
  await mounting;
  printLine('   A daemon in the background now answers for everything below that directory.');
}

async function unmount(mountpoint: string, mounting: Promise<void>): Promise<void> {
  const isMounted = await mounting.then(
    () => true,
    () => false,
  );
  // By force, because a stopped demo may still have its read under way.
  if (isMounted) await sluice(['unmount', '--force', mountpoint]);
}

async function stream(server: S3Server, path: string, size: number): Promise<void> {
  const fetched = () => server.counters.key(DEMO_BUCKET, DEMO_KEY).bytesSent;
  let fetchedAtFirstByte = size;
  printLine('');
  printLine(`3. Reading ${path} from front to back, as any program would`);
  const actual = await readAndHash(path, size, systemClock, {
    onFirstByte: ({ elapsedMs }) => {
      fetchedAtFirstByte = fetched();
      const sent = formatBytes(fetchedAtFirstByte);
      printLine(
        `   First bytes after ${formatDuration(elapsedMs)}; the server had sent ${sent} of ${formatBytes(size)}`,
      );
    },
    onQuarter: ({ bytesRead, elapsedMs }) => {
      const quarters = Math.floor((bytesRead * 4) / size);
      const bar = '#'.repeat(quarters * 5).padEnd(20, '-');
      const rate = `${formatBytes((bytesRead / elapsedMs) * 1000)}/s`;
      printLine(
        `   [${bar}] ${String(quarters * 25).padStart(3)}%  ${formatBytes(bytesRead)} read, ${formatBytes(fetched())} fetched, ${rate}`,
      );
    },
  });
  const expected = expectedSha256(size);
  printLine('');
  printLine('4. The proof');
  printLine(`   SHA-256 of what was read  ${actual}`);
  printLine(`   SHA-256 of the object     ${expected}`);
  printLine(`   Fetched ${formatBytes(fetched())}: ${(fetched() / size).toFixed(2)} times the object`);
  if (actual !== expected)
    throw new CommandError(EXIT.unexpected, 'FAIL: the bytes read are not those of the object');
  if (fetchedAtFirstByte >= size / 2) {
    throw new CommandError(
      EXIT.unexpected,
      'FAIL: most of the object was fetched before its first byte could be read',
    );
  }
}

/** Runs a command of Sluice in a process of its own. @throws CommandError with its last words and its exit code. */
function sluice(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [MAIN, ...args], { env: demoEnvironment() }, (error, _, stderr) => {
      if (error === null) return resolve();
      const words = stderr.trim().replace(/^sluice: /, '');
      reject(new CommandError(Number(error.code ?? EXIT.unexpected), words === '' ? error.message : words));
    });
  });
}

/** Last first; what cannot be undone is said and keeps what it rests on. Resolves with whether nothing is left. */
async function undo(cleanup: Cleanup): Promise<boolean> {
  for (const step of cleanup.toReversed()) {
    try {
      await step();
    } catch (error) {
      printError(`the demo could not clean up: ${asError(error).message}`);
      return false;
    }
  }
  return true;
}
