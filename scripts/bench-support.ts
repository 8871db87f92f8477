/**
 * What the benchmarks share: parameters from the environment, the program that reads (bench-reader.c), CPU time of a
 * process, memory that is warm, medians, and an end that takes everything down again.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from '../test/support/processes.js';

export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;

/** USER_HZ of every Linux that Node runs on. */
const CLOCK_TICKS_PER_SECOND = 100;
/** A reader that takes longer is taken for hung. */
const READER_TIMEOUT_MS = 600_000;

/** What one run of bench-reader came to; `sum` is 0 when it did not look at the bytes. */
export interface Reading {
  readonly seconds: number;
  readonly bytes: number;
  readonly operations: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  /** Of files that were read at once: when the last was done ÷ when the first was. */
  readonly lastByFirst: number;
  readonly sum: string;
}

const NO_READING: Reading = {
  seconds: 0,
  bytes: 0,
  operations: 0,
  p50Us: 0,
  p99Us: 0,
  p999Us: 0,
  lastByFirst: 1,
  sum: '',
};

/** A number of the environment. @throws when it is not a positive number */
export function parameter(name: string, fallback: number): number {
  const text = process.env[name];
  const value = text === undefined ? fallback : Number(text);
  if (!(value > 0)) throw new Error(`${name}: expected a number above 0, got ${JSON.stringify(text)}`);
  return value;
}

/** Runs bench-reader, after `prefix`, the command that makes it another user's. @throws when it fails */
export async function benchReader(
  args: readonly (string | number)[],
  prefix: readonly string[] = [],
): Promise<Reading> {
  return benchProgram('reader', args, prefix);
}

/** Runs one of the C programs of this folder. @throws when it fails */
export async function benchProgram(
  name: 'reader' | 'access' | 'loader',
  args: readonly (string | number)[],
  prefix: readonly string[] = [],
): Promise<Reading> {
  const [program = '', ...rest] = [...prefix, programPath(name), ...args.map(String)];
  const { code, stdout, stderr, hung } = await run(program, rest, { timeoutMs: READER_TIMEOUT_MS });
  if (code !== 0) throw new Error(`bench-${name} ${args.join(' ')} ${hung ? 'hangs' : 'failed'}: ${stderr}`);
  const text = stdout.toString();
  return text === '' ? NO_READING : (JSON.parse(text) as Reading);
}

/** Runs bench-access until `until` settles, then stops it for what it measured so far. */
export async function benchAccessDuring(
  args: readonly (string | number)[],
  until: Promise<unknown>,
): Promise<Reading> {
  const child = spawn(programPath('access'), args.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
  const closed = once(child, 'close') as Promise<[number | null]>;
  await Promise.race([until.catch(() => undefined), closed]);
  child.kill('SIGTERM');
  const [code] = await closed;
  if (code !== 0) throw new Error(`bench-access ${args.join(' ')} failed`);
  return JSON.parse(text) as Reading;
}

function programPath(name: string): string {
  return resolve(`dist/scripts/bench-${name}`);
}

/** On virtual machines that give memory back to the host, the first touch of a page costs more than its transfer. */
export async function warmMemory(bytes: number): Promise<void> {
  await benchReader(['touch', '--size', bytes]);
}

/** Of the whole process; of its main thread alone, which in Node is the event loop, with `thread`. */
export function cpuSeconds(pid: number, part: 'process' | 'main thread' = 'process'): number {
  const stat = readFileSync(
    part === 'process' ? `/proc/${pid}/stat` : `/proc/${pid}/task/${pid}/stat`,
    'latin1',
  );
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

/** NaN of no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Progress, beside the results: on standard error. */
export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** What must be undone, last first, whatever happens. */
export type Cleanup = (() => Promise<void> | void)[];

/** Removed in the end. Other users can pass through it. */
export function temporaryFolder(cleanup: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  cleanup.push(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o711);
  return folder;
}

/** Runs a benchmark as a program: undoes everything when it ends, fails or is interrupted, and sets the exit code. */
export async function runBenchmark(work: (cleanup: Cleanup) => Promise<number>): Promise<void> {
  const cleanup: Cleanup = [];
  const stopped = new Promise<never>((_resolve, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => reject(new Error(`stopped by ${signal}`)));
    }
  });
  try {
    process.exitCode = await Promise.race([work(cleanup), stopped]);
  } catch (error) {
    progress(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
  for (const undo of cleanup.toReversed()) {
    try {
      await undo();
    } catch (error) {
      progress(`while cleaning up: ${String(error)}`);
    }
  }
  // What was interrupted may still be waiting for something.
  process.exit();
}
