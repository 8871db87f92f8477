/**
 * Starts the daemon of a mount in the background and waits until it answers, fails or dies. The daemon has a session
 * of its own, no terminal and `/` as working directory; what it writes outside its log goes to the same file.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatBucketUrl } from '../config/bucket-url.js';
import type { MountConfig } from '../config/mount-config.js';
import { openLogDescriptor } from '../observability/log-destination.js';
import type { StatusReport } from '../observability/status-report.js';
import { assert } from '../runtime/assert.js';
import { systemClock } from '../runtime/clock.js';
import type { OutcomeMessage, StartMessage } from './daemon-messages.js';
import { CommandError, EXIT } from './exit-codes.js';

/** Longer than all retries of the first requests together; a start that takes more hangs. */
const START_MS_MAX = 120_000;
/** The daemon gives up a start within 5 s of being asked. */
const STOP_MS_MAX = 10_000;
/** How much of the log is shown when the daemon died without a word. */
const LOG_TAIL_BYTES_MAX = 2000;

const MAIN = fileURLToPath(new URL('main.js', import.meta.url));

/** @throws CommandError with the daemon's own words and exit code; LogFileError. Nothing is left running then. */
export async function startInBackground(config: MountConfig, script: string = MAIN): Promise<StatusReport> {
  const { logFile } = config;
  assert(logFile !== undefined, 'a background mount has a log file');
  const log = openLogDescriptor(logFile);
  const logStart = fstatSync(log).size;
  const args = [...process.execArgv, script, 'daemon', formatBucketUrl(config), config.mountpoint];
  const daemon = spawn(process.execPath, args, {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
    serialization: 'advanced', // Keeps what is undefined, which JSON drops.
  });
  closeSync(log);
  const release = passOnSignals(daemon);
  try {
    const start: StartMessage = { type: 'start', config };
    daemon.send(start, () => {}); // A daemon that cannot be told exits, which `outcome` sees.
    const message = await outcome(daemon);
    if (typeof message === 'string')
      throw new CommandError(EXIT.unexpected, died(message, logFile, logStart));
    if (message.type === 'failed') throw new CommandError(message.exitCode, message.message);
    return message.report;
  } finally {
    release();
    if (daemon.connected) daemon.disconnect();
    daemon.unref();
  }
}

/** What the daemon said, or how it ended without saying anything. */
function outcome(daemon: ChildProcess): Promise<OutcomeMessage | string> {
  return new Promise((resolve) => {
    const cancelTimer = systemClock.after(START_MS_MAX, () => {
      daemon.kill('SIGKILL');
      resolve(`was not ready after ${START_MS_MAX / 1000} s and was ended`);
    });
    const settle = (result: OutcomeMessage | string) => {
      cancelTimer();
      resolve(result);
    };
    daemon.once('message', (message) => settle(message as OutcomeMessage));
    daemon.once('error', (error) => settle(`could not be started (${error.message})`));
    // 'exit' may come before the last message; 'close' comes after it, when the channel is read to its end.
    daemon.once('close', (code, signal) => settle(`ended without a word (${signal ?? `exit code ${code}`})`));
  });
}

/**
 * Ctrl-C reaches only this process, the daemon having left the terminal: tell it, and wait for its answer. Asked again,
 * or when it has none in time, end it; what that may leave behind, the next mount repairs.
 */
function passOnSignals(daemon: ChildProcess): () => void {
  let cancelTimer = () => {};
  let asked = false;
  const passOn = (signal: NodeJS.Signals) => {
    daemon.kill(asked ? 'SIGKILL' : signal);
    asked = true;
    cancelTimer();
    cancelTimer = systemClock.after(STOP_MS_MAX, () => daemon.kill('SIGKILL'));
  };
  process.on('SIGINT', passOn);
  process.on('SIGTERM', passOn);
  return () => {
    cancelTimer();
    process.off('SIGINT', passOn);
    process.off('SIGTERM', passOn);
  };
}

function died(how: string, logFile: string, logStart: number): string {
  const tail = readFrom(logFile, logStart).trim();
  const saying = tail === '' ? `its log ${logFile} says nothing` : `the end of its log ${logFile}: ${tail}`;
  return `the daemon ${how}; ${saying}`;
}

/** The end of what was written since `start`. */
function readFrom(file: string, start: number): string {
  const fd = openSync(file, 'r');
  try {
    const from = Math.max(start, fstatSync(fd).size - LOG_TAIL_BYTES_MAX);
    const bytes = Buffer.alloc(LOG_TAIL_BYTES_MAX);
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, from));
  } finally {
    closeSync(fd);
  }
}
