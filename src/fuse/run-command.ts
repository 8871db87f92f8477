/**
 * Runs one of the system's own small programs (umount, fusermount3, diskutil, …): no shell, a deadline, and no
 * exception: the caller decides by what happened.
 */
import { execFile } from 'node:child_process';
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
}

export type RunCommand = (
  file: string,
  args: readonly string[],
  options: CommandOptions,
) => Promise<CommandResult>;

export const runCommand: RunCommand = (file, args, { timeoutMs, clock = systemClock }) => {
  return new Promise((resolve) => {
    const child = execFile(file, args, (error, stdout, stderr) => {
      cancelTimer();
      const complaint = stderr.trim().split('\n', 1)[0] ?? '';
      if (!error) resolve({ kind: 'exited', exitCode: 0, stdout, complaint });
      else if (typeof error.code === 'string') resolve({ kind: 'not_started', complaint: error.message });
      else resolve({ kind: 'exited', exitCode: error.code ?? undefined, stdout, complaint });
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
