/** A program of this project that a test talks to while it runs: what it says is waited for, not polled. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LiveProcess {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves as soon as either output has the text, and rejects when the process ends without it. */
  says(text: string): Promise<void>;
}

export function startProcess(program: string, args: readonly string[], env: NodeJS.ProcessEnv): LiveProcess {
  const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => (stdout += String(text)));
  child.stderr.on('data', (text) => (stderr += String(text)));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (stdout.includes(text) || stderr.includes(text)) resolve();
      };
      look();
      child.stdout.on('data', look);
      child.stderr.on('data', look);
      void ended.then((end) => reject(new Error(`ended without saying ${text}: ${JSON.stringify(end)}`)));
    });
  return { process: child, ended, says };
}
