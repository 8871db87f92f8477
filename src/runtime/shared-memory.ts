/**
 * The memory that says what of a local file is there: the availability and the checksums of its blocks, written by several
 * threads and, where it is a file, by several processes. `SharedMemory` says where it lies, in a form that a message to
 * another thread can carry; each thread attaches to it by itself.
 *
 * Promise: what was attached to a file is unmapped by `release`; using it afterwards throws.
 */
import { assert } from './assert.js';
import { Availability } from './availability.js';
import { BlockChecksums } from './block-checksums.js';

export type SharedMemory =
  | {
      readonly kind: 'shared';
      readonly availability: SharedArrayBuffer;
      readonly checksums: SharedArrayBuffer;
    }
  | {
      readonly kind: 'mapped';
      /** Of the file, of this process: valid as long as anybody may attach to it. */
      readonly descriptor: number;
      /** Offsets in the file, on page boundaries. */
      readonly availabilityAt: number;
      readonly availabilityBytes: number;
      readonly checksumsAt: number;
      readonly checksumsBytes: number;
    };

export interface AttachedMemory {
  readonly availability: Availability;
  readonly checksums: BlockChecksums;
  /** Nobody in this thread uses it any more. To be called once. */
  release(): void;
}

/** What of the addon is used: `NativeAddon` in native.ts has it. */
export interface MapsFiles {
  mapFile(descriptor: number, offset: number, bytes: number): ArrayBuffer;
  unmapFile(mapped: ArrayBuffer): void;
}

/**
 * @param addon undefined where there is none: then no memory is mapped.
 * @throws NodeJS.ErrnoException when the file cannot be mapped
 */
export function attachSharedMemory(memory: SharedMemory, addon: MapsFiles | undefined): AttachedMemory {
  if (memory.kind === 'shared') {
    const availability = Availability.attach(new Uint8Array(memory.availability));
    const checksums = BlockChecksums.attach(new Uint8Array(memory.checksums));
    return { availability, checksums, release: () => {} };
  }
  assert(addon !== undefined, 'memory that is mapped needs the addon');
  const { descriptor, availabilityAt, availabilityBytes, checksumsAt, checksumsBytes } = memory;
  const start = Math.min(availabilityAt, checksumsAt);
  const end = Math.max(availabilityAt + availabilityBytes, checksumsAt + checksumsBytes);
  const mapped = addon.mapFile(descriptor, start, end - start);
  const release = () => addon.unmapFile(mapped);
  try {
    const availability = Availability.attach(
      new Uint8Array(mapped, availabilityAt - start, availabilityBytes),
    );
    const checksums = BlockChecksums.attach(new Uint8Array(mapped, checksumsAt - start, checksumsBytes));
    return { availability, checksums, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** Where memory lies that `create` made: for other threads of this process. */
export function sharedMemoryOf(memory: Omit<AttachedMemory, 'release'>): SharedMemory {
  return {
    kind: 'shared',
    availability: sharedBufferOf(memory.availability.memory),
    checksums: sharedBufferOf(memory.checksums.memory),
  };
}

function sharedBufferOf({ buffer }: Uint8Array): SharedArrayBuffer {
  assert(buffer instanceof SharedArrayBuffer, 'memory that threads share');
  return buffer;
}
