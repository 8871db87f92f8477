/** Runs a compiled program of this project as a child process, for tests of what a user sees. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Running = ChildProcess & {
  readonly ended: Promise<Ended>;
  /** Resolves with the standard output as soon as it has the text, and rejects when the process ends without it. */
  readonly says: (text: string) => Promise<string>;
};

/** An environment without settings of the one who runs the tests; `home` keeps their files out of it too. */
export function cleanEnvironment(
  home: string,
  more: Readonly<Record<string, string>> = {},
): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(SLUICE_|AWS_|XDG_)|_proxy$/i.test(name));
  return { ...Object.fromEntries(own), HOME: home, XDG_RUNTIME_DIR: home, ...more };
}

export function start(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Running {
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
    new Promise<string>((resolve, reject) => {
      const look = () => {
        if (stdout.includes(text)) resolve(stdout);
      };
      look();
      child.stdout.on('data', look);
      void ended.then((end) => reject(new Error(`ended without saying ${text}: ${JSON.stringify(end)}`)));
    });
  return Object.assign(child, { ended, says });
}

/** Runs `sluice` to its end. */
export function sluice(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  return start(MAIN, args, env).ended;
}
