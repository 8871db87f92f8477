/**
 * Is a process of which only the number was remembered still the same one, and alive? Numbers are used again, and a
 * process that ended stays listed until its parent collects it: in a container whose first process is no init, for
 * ever. Asked before a lock or a folder is taken over, and while a daemon ends. Linux tells all of it by
 * proc_pid_stat(5); elsewhere a process is alive when it exists.
 */
import { readFileSync } from 'node:fs';

interface ProcessStat {
  /** One letter; Z and X are those that ended. */
  readonly state: string;
  /** Clock ticks from boot to the start of the process. */
  readonly startedAt: string;
}

/** Undefined where it cannot be known. */
export function processStartedAt(pid: number): string | undefined {
  return readStat(pid)?.startedAt;
}

/** With `startedAt`, as processStartedAt() told it, only the process that began then counts. */
export function isProcessAlive(pid: number, startedAt?: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, as another user's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const stat = readStat(pid);
  if (stat === undefined) return process.platform !== 'linux';
  return !/[ZX]/.test(stat.state) && (startedAt === undefined || stat.startedAt === startedAt);
}

function readStat(pid: number): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Field 2 is the name, in parentheses, and may contain some itself: fields are counted from its end.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state, startedAt] = [fields[0], fields[19]];
    return state === undefined || startedAt === undefined ? undefined : { state, startedAt };
  } catch {
    return undefined;
  }
}
