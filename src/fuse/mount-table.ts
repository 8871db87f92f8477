/**
 * What is mounted where, as the kernel says: /proc/self/mountinfo on Linux, the output of mount(8) on macOS. The
 * parsers are pure. Used to see our own mount come and go and to find dead ones; nothing here touches a mount point.
 */
import { readFile } from 'node:fs/promises';
import type { Platform } from '../filesystem/keys.js';
import { runCommand } from './run-command.js';

export interface MountTableEntry {
  /** Tells this mount from another at the same place: on Linux the kernel's mount id. */
  readonly id: string;
  /** `major:minor`; the minor number names a FUSE connection under /sys/fs/fuse/connections. Linux only. */
  readonly device: string | undefined;
  readonly mountpoint: string;
  /** E.g. `ext4`, `fuse.sluice`, `macfuse`. */
  readonly fsType: string;
  readonly source: string;
}

/** All mounts, bottom first where several are stacked on one mount point. */
export type ReadMountTable = () => Promise<readonly MountTableEntry[]>;

const MOUNT_COMMAND_TIMEOUT_MS = 10_000;

export function mountTableReader(platform: Platform): ReadMountTable {
  if (platform === 'linux') {
    return async () => parseMountinfo(await readFile('/proc/self/mountinfo', 'latin1'));
  }
  return async () => {
    const result = await runCommand('/sbin/mount', [], { timeoutMs: MOUNT_COMMAND_TIMEOUT_MS });
    return result.kind === 'exited' ? parseMountOutput(result.stdout) : [];
  };
}

/** The mount that a path lookup of `mountpoint` (links resolved) ends in, when something is mounted right there. */
export function topmostMountAt(
  entries: readonly MountTableEntry[],
  mountpoint: string,
): MountTableEntry | undefined {
  return entries.findLast((entry) => entry.mountpoint === mountpoint);
}

export function isFuseMount({ fsType }: MountTableEntry): boolean {
  return /^(?:fuse(?:blk)?(?:\..*)?|macfuse|osxfuse|fuse_osxfuse)$/.test(fsType);
}

/**
 * Parses /proc/self/mountinfo read as latin1, one character per byte: names need not be UTF-8. Layout, from
 * proc(5): id, parent, device, root, mount point, options, optional fields, "-", type, source, super options.
 */
export function parseMountinfo(text: string): MountTableEntry[] {
  const entries: MountTableEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const separator = fields.indexOf('-', 6);
    const [id, , device, , mountpoint] = fields;
    const fsType = fields[separator + 1];
    if (separator < 0 || !id || !device || mountpoint === undefined || fsType === undefined) continue;
    const source = fields[separator + 2] ?? '';
    entries.push({
      id,
      device,
      mountpoint: unescapeOctal(mountpoint),
      fsType: unescapeOctal(fsType),
      source: unescapeOctal(source),
    });
  }
  return entries;
}

/** The kernel writes space, tab, newline, backslash and `#` as `\` and three octal digits. */
function unescapeOctal(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Parses mount(8) of macOS: `source on /mount/point (type, option, …)`. */
export function parseMountOutput(text: string): MountTableEntry[] {
  const entries: MountTableEntry[] = [];
  for (const match of text.matchAll(/^(.*?) on (\/.*) \(([^(),]+)[^()]*\)$/gm)) {
    const [, source = '', mountpoint = '', fsType = ''] = match;
    entries.push({ id: `${source} on ${mountpoint}`, device: undefined, mountpoint, fsType, source });
  }
  return entries;
}
