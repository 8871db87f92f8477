/**
 * Child processes for tests: whoever reads a mount must not be the process that serves it or its object store, and
 * nothing a test starts may outlive it or hang it.
 */
import { spawn } from 'node:child_process';
import type { SpawnOptions } from 'node:child_process';
import { systemClock } from '../../src/runtime/clock.js';

export interface Finished {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** True when it was killed because it took longer than `timeoutMs`. */
  readonly hung: boolean;
}

export interface RunOptions extends SpawnOptions {
  /** Default 60 s; a process that takes longer is killed and reported as hung. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end; never rejects for what the program does. */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { timeoutMs = 60_000, env, ...rest } = options;
  const child = spawn(file, args, { ...rest, env: { ...(env ?? process.env), LC_ALL: 'C' }, stdio: 'pipe' });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin?.end();
  let hung = false;
  const cancel = systemClock.after(timeoutMs, () => {
    hung = true;
    child.kill('SIGKILL');
    // A process in uninterruptible sleep does not die: its pipes are let go, so that the test can say so and end.
    child.stdout?.destroy();
    child.stderr?.destroy();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    const finish = (code: number | null, signal: NodeJS.Signals | null) => {
      cancel();
      resolve({
        code,
        signal,
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr).toString(),
        hung,
      });
    };
    child.once('close', finish);
  });
}

/** Waits until `condition` holds; false when it did not within `timeoutMs`. Polling is for other processes only. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<boolean> {
  const endMs = systemClock.nowMs() + timeoutMs;
  while (!(await condition())) {
    if (systemClock.nowMs() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}
