/**
 * The only importer of the fuse-native package: its typed face, and what of its behaviour is replaced. The package is
 * loaded when the first mount is made, since loading fails where libfuse.so.2 is missing.
 *
 * Facts about version 2.2.6 that the code here and in operations.ts relies on:
 * - A handler that throws ends the process, and a second reply to one request does so, too.
 * - The buffer of a read is libfuse's memory, detached by the reply: nobody may write to it after that.
 * - `fgetattr` handlers are never called: `getattr` is, without the handle.
 * - Options are assembled from fields, a time of 0 is dropped, values are not escaped; `unmount` goes through a shell.
 */
import { createRequire } from 'node:module';

/** Numbers of at most 32 bits, but for `size`, `blocks` and the times (milliseconds). */
export interface FuseStat {
  readonly mode: number;
  readonly size: number;
  readonly blocks: number;
  readonly blksize: number;
  readonly nlink: number;
  readonly ino: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly atime: number;
  readonly ctime: number;
}

/** All numbers of at most 32 bits. */
export interface FuseStatfs {
  readonly bsize: number;
  readonly frsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly favail: number;
  readonly namemax: number;
}

/** `status` is 0, a negative errno (then it stands alone), or for a read the number of bytes. */
export type Reply<Values extends readonly unknown[] = []> = ((status: number) => void) &
  ((status: number, ...values: Values) => void);

/** Paths begin with a slash; invalid UTF-8 in them arrives as U+FFFD. */
export interface FuseOperations {
  getattr(path: string, reply: Reply<[FuseStat]>): void;
  fgetattr(path: string, handle: number, reply: Reply<[FuseStat]>): void;
  readdir(path: string, reply: Reply<[names: readonly string[], stats: readonly FuseStat[]]>): void;
  open(path: string, flags: number, reply: Reply<[handle: number]>): void;
  read(path: string, handle: number, target: Buffer, length: number, offset: number, reply: Reply): void;
  release(path: string, handle: number, reply: Reply): void;
  rename(path: string, target: string, reply: Reply): void;
  statfs(path: string, reply: Reply<[FuseStatfs]>): void;
}

/** The operations that would change something, but for `rename`. Their last argument is the reply. */
export const WRITE_OPERATIONS = [
  'write',
  'create',
  'mkdir',
  'mknod',
  'unlink',
  'rmdir',
  'link',
  'symlink',
  'chmod',
  'chown',
  'truncate',
  'ftruncate',
  'utimens',
  'setxattr',
  'removexattr',
] as const;

export type WriteOperations = Record<
  (typeof WRITE_OPERATIONS)[number],
  (...args: readonly unknown[]) => void
>;

export interface Fuse {
  /** Calls back when the kernel's first request arrived, or with what went wrong. */
  mount(callback: (error?: Error | null) => void): void;
  /** After the mount is gone: lets the process end. */
  close(callback: (error?: Error | null) => void): void;
}

type FuseArguments = readonly [
  mountpoint: string,
  operations: FuseOperations & WriteOperations,
  options: { readonly timeout: false },
];

interface FuseNative {
  new (...args: FuseArguments): FuseInternals;
  unmount(mountpoint: string, callback: (error?: Error | null) => void): void;
}

interface FuseInternals extends Fuse {
  readonly ops: FuseOperations;
  _fuseOptions(): string;
  _op_getattr(this: { readonly ops: Pick<FuseOperations, 'getattr'> }, signal: unknown, path: string): void;
  _op_fgetattr(signal: unknown, path: string, handle: number): void;
}

/** @throws what Node's loader throws when the binary or libfuse.so.2 is missing */
export function loadFuseNative(): FuseNative {
  return createRequire(import.meta.url)('fuse-native') as FuseNative;
}

/** `options` as for `-o`. Nothing is mounted yet. */
export function createFuse(
  mountpoint: string,
  operations: FuseOperations & WriteOperations,
  options: string,
): Fuse {
  const FuseNative = loadFuseNative();
  // `close` calls it first, through the shell; the session has removed the mount by then.
  FuseNative.unmount = (_mountpoint, callback) => callback(null);

  class PortableFuse extends FuseNative {
    override _fuseOptions(): string {
      return `-o${options}`;
    }

    override _op_fgetattr(signal: unknown, path: string, handle: number): void {
      // The package's own encoder of attributes, with a handler that knows the handle.
      const getattr: FuseOperations['getattr'] = (_path, reply) => this.ops.fgetattr(path, handle, reply);
      super._op_getattr.call({ ops: { getattr } }, signal, path);
    }
  }
  // Its default deadline would fail reads that wait for a slow network; reads have a deadline of their own.
  return new PortableFuse(mountpoint, operations, { timeout: false });
}
