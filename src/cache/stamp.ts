/**
 * What the files of a copy look like, as one string. While a stamp is equal, nobody has written the files and the machine
 * has not been started since it was made: what was known of their bytes still holds, on disk or not yet. A write that
 * leaves no trace does not exist for the kernel: it sets the time of change (ctime), which nobody can set back.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';

/** Changes with each start of the machine; undefined where it cannot be known, and nothing is believed then. */
export function bootId(): string | undefined {
  try {
    const id =
      process.platform === 'darwin'
        ? execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' })
        : readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    return id.trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Undefined when a file is missing, or the machine's start is not known: equal to no stamp then. */
export function stampOf(
  boot: string | undefined,
  files: readonly (BigIntStats | undefined)[],
): string | undefined {
  if (boot === undefined) return undefined;
  const parts = [boot];
  for (const file of files) {
    if (file === undefined) return undefined;
    const { ino, size, mtimeNs, ctimeNs } = file;
    parts.push(`${ino} ${size} ${mtimeNs} ${ctimeNs}`);
  }
  return parts.join(' / ');
}
