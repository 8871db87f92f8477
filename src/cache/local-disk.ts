/**
 * Is a folder on a disk of this machine? A cache directory must be: kernel locks, mapped files and SQLite's own locks mean
 * something else, or nothing, between machines.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';

const NETWORK =
  /^(?:nfs\d?|cifs|smb\d?|smbfs|afs|afpfs|auristorfs|coda|ncpfs|9p|ceph|lustre|gpfs|glusterfs|beegfs|orangefs|pvfs2|ocfs2|gfs2?|webdav|ftp|davfs2?)$/;
/** FUSE file systems that keep their files in local ones; any other is taken for what Sluice itself is. */
const LOCAL_FUSE =
  /^fuse(?:blk|\.(?:fuse-overlayfs|bindfs|gocryptfs|encfs|cryfs|mergerfs|unionfs|ntfs.*|exfat.*|zfs|lxcfs))$/;
const FUSE = /^(?:fuse(?:blk)?(?:\..*)?|macfuse|osxfuse)$/;

/** The type of the network file system that `folder` is on; undefined when it is on none, or that cannot be known. */
export function networkFileSystem(folder: string): string | undefined {
  const type = process.platform === 'darwin' ? darwinType(folder) : linuxType(folder);
  return type !== undefined && isNetwork(type) ? type : undefined;
}

export function isNetwork(type: string): boolean {
  return NETWORK.test(type) || (FUSE.test(type) && !LOCAL_FUSE.test(type));
}

function linuxType(folder: string): string | undefined {
  try {
    const { dev } = statSync(folder);
    return typeOfDevice(readFileSync('/proc/self/mountinfo', 'latin1'), dev);
  } catch {
    return undefined;
  }
}

/** @param mountinfo as proc_pid_mountinfo(5) describes it @param device as stat(2) tells it, by glibc's makedev(3) */
export function typeOfDevice(mountinfo: string, device: number): string | undefined {
  const wide = BigInt(device);
  const major = ((wide >> 32n) & 0xfffff000n) | ((wide >> 8n) & 0xfffn);
  const minor = ((wide >> 12n) & 0xffffff00n) | (wide & 0xffn);
  const line = mountinfo.split('\n').find((entry) => entry.split(' ')[2] === `${major}:${minor}`);
  return line?.split(' - ')[1]?.split(' ')[0];
}

function darwinType(folder: string): string | undefined {
  try {
    return typeOfPlace(execFileSync('/sbin/mount', [], { encoding: 'utf8' }), folder);
  } catch {
    return undefined;
  }
}

/** @param mounts what mount(8) of macOS prints @param folder with links resolved */
export function typeOfPlace(mounts: string, folder: string): string | undefined {
  let best = { place: '', type: undefined as string | undefined };
  for (const [, place = '', type] of mounts.matchAll(/^.*? on (\/.*) \(([^(),]+)[^()]*\)$/gm)) {
    const isAbove = place === '/' || folder === place || folder.startsWith(`${place}/`);
    if (isAbove && place.length >= best.place.length) best = { place, type };
  }
  return best.type;
}
