/**
 * How bytes are summed on this machine: by the addon where it is, else by Node and a package. Made once per thread, for
 * block-checksummer.ts and for whoever sums a local file.
 */
import { crc32 } from 'node:zlib';
import { crc32c } from './crc32c.js';

/** Each continues what it is given: the CRC of the bytes before, 0 at the beginning. */
export interface ChecksumFunctions {
  crc32c(bytes: Uint8Array, start: number, end: number, seed: number): number;
  crc32(bytes: Uint8Array, start: number, end: number, seed: number): number;
  /** Continues `state[0]`. Absent without the addon: in JavaScript it would take 2 s per GiB. */
  readonly crc64nvme?:
    ((bytes: Uint8Array, start: number, end: number, state: BigUint64Array) => void) | undefined;
}

/** What of the addon is used: `NativeAddon` in native.ts has it. */
export type NativeChecksums = Required<Pick<ChecksumFunctions, 'crc32c' | 'crc64nvme'>>;

export function checksumFunctions(addon: NativeChecksums | undefined): ChecksumFunctions {
  // As fast as one in the addon would be.
  const viaZlib = (bytes: Uint8Array, start: number, end: number, seed: number) =>
    crc32(bytes.subarray(start, end), seed);
  if (addon === undefined) {
    return {
      crc32c: (bytes, start, end, seed) => crc32c(bytes.subarray(start, end), seed),
      crc32: viaZlib,
    };
  }
  return { crc32c: addon.crc32c, crc32: viaZlib, crc64nvme: addon.crc64nvme };
}
