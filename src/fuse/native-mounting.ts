/**
 * Makes the mount of the native driver and returns the descriptor of /dev/fuse that carries it: by mount(2) as root,
 * by the set-user-id program fusermount3 as anybody else. Called by native-session.ts.
 */
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import type { NativeAddon } from '../native.js';
import { asError } from '../runtime/assert.js';
import { encodeSource, fusermountOptions, kernelMountOptions } from './mount-options.js';
import type { CommandResult, RunCommand } from './run-command.js';
import { MountError } from './session.js';
import type { SessionOptions } from './session.js';
import type { UnmountSystem } from './unmount.js';

const COMMAND_TIMEOUT_MS = 10_000;
/** Where fusermount3 sends the descriptor: the number of a socket that it inherits. */
const DESCRIPTOR_VARIABLE = '_FUSE_COMMFD';

export type MountingAddon = Pick<NativeAddon, 'mount' | 'socketPair' | 'receiveDescriptor'>;
type MountingOptions = Pick<SessionOptions, 'mountpoint' | 'source' | 'allowOther'>;

/** Resolves with a descriptor that belongs to the caller. @throws MountError */
export function makeMount(
  addon: MountingAddon,
  options: MountingOptions,
  system: Pick<UnmountSystem, 'isRoot' | 'run'>,
): Promise<number> {
  return system.isRoot ? mountAsRoot(addon, options) : mountAsUser(addon, options, system.run);
}

async function mountAsRoot(addon: MountingAddon, options: MountingOptions): Promise<number> {
  const { mountpoint, source } = options;
  const owner = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  try {
    return await addon.mount(encodeSource(source), mountpoint, kernelMountOptions(options, owner));
  } catch (error) {
    const { errno, message } = asError(error) as NodeJS.ErrnoException;
    if (errno === -constants.errno.EPERM || errno === -constants.errno.EACCES) {
      throw new MountError(
        'fuse_denied',
        `mounting on ${mountpoint} is not permitted (${message}): start the container with --device /dev/fuse --cap-add SYS_ADMIN`,
        error,
      );
    }
    throw new MountError('mount_failed', `cannot mount on ${mountpoint}: ${message}`, error);
  }
}

async function mountAsUser(addon: MountingAddon, options: MountingOptions, run: RunCommand): Promise<number> {
  const [ours, theirs] = addon.socketPair();
  try {
    const args = ['-o', fusermountOptions(options), '--', options.mountpoint];
    const result = await run('fusermount3', args, {
      timeoutMs: COMMAND_TIMEOUT_MS,
      descriptor: theirs,
      environment: { [DESCRIPTOR_VARIABLE]: '3' },
    });
    const descriptor = addon.receiveDescriptor(ours);
    if (descriptor >= 0) return descriptor;
    throw new MountError(
      'mount_failed',
      `cannot mount on ${options.mountpoint}: ${complaintOf(result)}; mounting needs root, or write permission to the directory`,
    );
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

function complaintOf(result: CommandResult): string {
  if (result.kind === 'timed_out') return `fusermount3 did not end within ${COMMAND_TIMEOUT_MS / 1000} s`;
  return result.complaint || 'fusermount3 gave no descriptor';
}
