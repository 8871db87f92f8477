/**
 * Runs one of the system's own small programs (umount, fusermount3, diskutil, …): no shell, a deadline, and no
 * exception: the caller decides by what happened.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { systemClock } from '../runtime/clock.js';
import type { Clock } from '../runtime/clock.js';

export type CommandResult =
  | {
      readonly kind: 'exited';
      /** Undefined when a signal ended it. */
      readonly exitCode: number | undefined;
      readonly stdout: string;
      /** The first line of what it said on standard error. */
      readonly complaint: string;
    }
  /** It does not run; the process may linger when it hangs in the kernel. */
  | { readonly kind: 'timed_out' }
  /** There is no such program, or it may not be run. */
  | { readonly kind: 'not_started'; readonly complaint: string };

export interface CommandOptions {
  readonly timeoutMs: number;
  readonly clock?: Clock | undefined;
  /** Given to the child as its descriptor 3. */
  readonly descriptor?: number | undefined;
  /** Set in the child beside what this process has. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

export type RunCommand = (
  file: string,
  args: readonly string[],
  options: CommandOptions,
) => Promise<CommandResult>;

export const runCommand: RunCommand = (file, args, options) => {
  const { timeoutMs, clock = systemClock, descriptor, environment } = options;
  return new Promise((resolve) => {
    const passed = descriptor === undefined ? [] : [descriptor];
    const child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe', ...passed, ...withoutFuseDevice().slice(passed.length)],
      env: { ...process.env, ...environment },
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', (error) => {
      cancelTimer();
      resolve({ kind: 'not_started', complaint: error.message });
    });
    child.once('close', (exitCode) => {
      cancelTimer();
      const complaint = stderr.trim().split('\n', 1)[0] ?? '';
      resolve({ kind: 'exited', exitCode: exitCode ?? undefined, stdout, complaint });
    });
    // A child that waits for a hung file system cannot be killed: do not wait for its end, and do not let it hold
    // this process.
    const cancelTimer = clock.after(timeoutMs, () => {
      child.kill('SIGKILL');
      child.unref();
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({ kind: 'timed_out' });
    });
  });
};

/**
 * libfuse 2 opens /dev/fuse without close-on-exec. A child that had it and waited for our mount would keep the
 * connection alive after this process was killed, and wait for ever: give it nothing in that place.
 */
function withoutFuseDevice(): 'ignore'[] {
  let last = 2;
  try {
    for (const name of readdirSync('/proc/self/fd')) {
      if (Number(name) > last && isFuseDevice(name)) last = Number(name);
    }
  } catch {
    // No /proc: not Linux.
  }
  return Array.from({ length: last - 2 }, () => 'ignore');
}

function isFuseDevice(descriptor: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`) === '/dev/fuse';
  } catch {
    return false;
  }
}
