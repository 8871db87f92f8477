/**
 * Can this machine mount? Asked before anything is mounted, so that what is missing is named with the command that
 * brings it, instead of libfuse's "fuse failed". Called by the sessions.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Platform } from '../filesystem/keys.js';
import { MountError } from './session.js';

/** The machine as this check sees it; replaced in tests. */
export interface FuseMachine {
  readonly platform: Platform;
  readonly arch: string;
  readonly isRoot: boolean;
  readonly exists: (path: string) => boolean;
  readonly isReadWrite: (path: string) => boolean;
  /** Undefined when it cannot be read. */
  readonly readText: (path: string) => string | undefined;
  readonly isProgram: (name: string) => boolean;
}

export interface FuseUse {
  readonly allowOther: boolean;
  readonly driver: 'native' | 'portable';
}

export function thisMachine(): FuseMachine {
  return {
    platform: process.platform === 'darwin' ? 'darwin' : 'linux',
    arch: process.arch,
    isRoot: process.geteuid?.() === 0,
    exists: existsSync,
    isReadWrite: (path) => isAccessible(path, constants.R_OK | constants.W_OK),
    readText: (path) => {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    isProgram: (name) =>
      (process.env['PATH'] ?? '')
        .split(delimiter)
        .some((folder) => folder !== '' && isAccessible(join(folder, name), constants.X_OK)),
  };
}

function isAccessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

const INSTALL_NATIVE = 'install it with: apt-get install -y fuse3';
const INSTALL_PORTABLE =
  'install it with: apt-get install -y fuse3 libfuse2 (on Ubuntu 24.04 and later libfuse2t64)';
const MACFUSE_PATHS = ['/Library/Filesystems/macfuse.fs', '/Library/Filesystems/osxfuse.fs'];
/** What the fuse-native package has binaries for. */
const PORTABLE_ARCHITECTURE = 'x64';

/** @throws MountError fuse_missing, fuse_denied, allow_other_denied */
export function checkFuseSupport(machine: FuseMachine, use: FuseUse): void {
  if (machine.platform === 'darwin') checkDarwin(machine);
  else checkLinux(machine, use);
}

function checkLinux(machine: FuseMachine, { allowOther, driver }: FuseUse): void {
  const device = '/dev/fuse';
  if (!machine.exists(device)) {
    throw new MountError(
      'fuse_missing',
      `${device} does not exist: load the kernel module with modprobe fuse, or start the container with --device ${device} --cap-add SYS_ADMIN`,
    );
  }
  if (machine.isRoot) return;
  // By the user's own rights: fusermount3 gives up root's before it opens the device.
  if (!machine.isReadWrite(device)) {
    throw new MountError(
      'fuse_denied',
      `${device} may not be opened by this user: join its group, or run chmod 666 ${device} as root`,
    );
  }
  if (driver === 'native') requireProgram(machine, 'fusermount3', INSTALL_NATIVE);
  // libfuse 2 mounts through `fusermount` by that name; the fuse3 package brings it along with fusermount3.
  else requireProgram(machine, 'fusermount', INSTALL_PORTABLE);
  if (allowOther && !/^\s*user_allow_other\s*(?:#.*)?$/m.test(machine.readText('/etc/fuse.conf') ?? '')) {
    throw new MountError(
      'allow_other_denied',
      'only root may let other users see a mount: add the line user_allow_other to /etc/fuse.conf, or mount without --allow-other',
    );
  }
}

function requireProgram(machine: FuseMachine, program: string, advice: string): void {
  if (machine.isProgram(program)) return;
  throw new MountError('fuse_missing', `the program ${program} is missing: ${advice}`);
}

function checkDarwin(machine: FuseMachine): void {
  if (MACFUSE_PATHS.some((path) => machine.exists(path))) return;
  throw new MountError('fuse_missing', 'macFUSE is missing: install it with brew install --cask macfuse');
}

/** Loads the native part of the portable driver. @throws MountError fuse_missing, by what the loader throws */
export function checkPortableDriver(machine: FuseMachine, load: () => void): void {
  try {
    load();
  } catch (error) {
    throw portableDriverError(machine, error);
  }
}

/** The loader's code tells a binary whose libraries are missing from there being no binary at all. */
function portableDriverError(machine: FuseMachine, error: unknown): MountError {
  const isLoaderError = error instanceof Error && 'code' in error && error.code === 'ERR_DLOPEN_FAILED';
  if (!isLoaderError && machine.arch !== PORTABLE_ARCHITECTURE) {
    return new MountError(
      'fuse_missing',
      `the portable driver has no binary for ${machine.platform}-${machine.arch}: build it with npm rebuild fuse-native (needs libfuse-dev, a C compiler and Python)`,
      error,
    );
  }
  const advice =
    machine.platform === 'darwin' ? 'install macFUSE: brew install --cask macfuse' : INSTALL_PORTABLE;
  const what = isLoaderError ? 'libfuse.so.2 is missing' : 'the portable driver cannot be loaded';
  return new MountError('fuse_missing', `${what}: ${advice}`, error);
}
