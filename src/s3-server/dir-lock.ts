/**
 * Keeps two servers off one folder: each would rewrite the journal under the other. The lock is a file with the
 * process that holds it; one whose process has ended, however it ended, is taken over. Used by storage.ts.
 */
import * as fs from 'node:fs';
import { isProcessAlive, processStartedAt } from '../runtime/process-identity.js';

export class DirectoryInUseError extends Error {
  override readonly name = 'DirectoryInUseError';
  constructor(dir: string, pid: number) {
    super(`${dir} is in use by another S3 server (process ${pid}): stop that one or use another folder`);
  }
}

interface Holder {
  readonly pid: number;
  /** Tells the holder from a later process with the same id; '' where it cannot be known. */
  readonly startedAt: string;
}

/** Takes the lock and returns the function that gives it back. Throws DirectoryInUseError. */
export function lockDirectory(dir: string, path: string): () => void {
  const self: Holder = { pid: process.pid, startedAt: processStartedAt(process.pid) ?? '' };
  for (;;) {
    try {
      fs.writeFileSync(path, JSON.stringify(self), { flag: 'wx', mode: 0o600 });
      return () => fs.rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = readHolder(path);
    if (holder !== undefined && isProcessAlive(holder.pid, holder.startedAt || undefined))
      throw new DirectoryInUseError(dir, holder.pid);
    fs.rmSync(path, { force: true });
  }
}

/** Undefined for a file that was cut off by a crash, or is gone by now. */
function readHolder(path: string): Holder | undefined {
  try {
    const { pid, startedAt } = JSON.parse(fs.readFileSync(path, 'utf8')) as Partial<Holder>;
    return Number.isSafeInteger(pid) ? { pid: Number(pid), startedAt: String(startedAt) } : undefined;
  } catch {
    return undefined;
  }
}
