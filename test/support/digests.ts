/** Digests of bytes in memory, by the code that computes those of local files, with the addon where there is one. */
import { digestBytes } from '../../src/file/digest-bytes.js';
import type { DigestPlan } from '../../src/file/digest-bytes.js';
import { nativeAddonIfAny } from '../../src/native.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';

export function digestsOf(bytes: Uint8Array, plans: readonly DigestPlan[]): Promise<readonly string[]> {
  const read = async (target: Uint8Array, offset: number) =>
    target.set(bytes.subarray(offset, offset + target.length));
  const functions = checksumFunctions(nativeAddonIfAny());
  return digestBytes({ size: bytes.length, read }, plans, functions, new AbortController().signal);
}
