import fc from 'fast-check';
import t from 'tap';
import { loadNativeAddon } from '../../src/native.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import type { ChecksumFunctions } from '../../src/runtime/checksum-functions.js';
import { crcOf } from '../support/plain-crc.js';

/** By each function, of what lies between the cuts, one piece after the other. */
function sums(functions: ChecksumFunctions, bytes: Uint8Array, cuts: readonly number[]) {
  let [crc32, crc32c] = [0, 0];
  const crc64nvme = new BigUint64Array(1);
  for (const [i, start] of cuts.slice(0, -1).entries()) {
    const end = cuts[i + 1] ?? start;
    crc32 = functions.crc32(bytes, start, end, crc32);
    crc32c = functions.crc32c(bytes, start, end, crc32c);
    functions.crc64nvme?.(bytes, start, end, crc64nvme);
  }
  return { crc32, crc32c, crc64nvme: crc64nvme[0] };
}

const addon = process.platform === 'linux' ? loadNativeAddon() : undefined;

for (const [title, functions] of [
  ['with the addon', checksumFunctions(addon)],
  ['without the addon', checksumFunctions(undefined)],
] as const) {
  t.test(`${title} checksums continue, and are those of the bytes between start and end`, async (t) => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(fc.nat(300), { minLength: 1 }),
        (bytes, cuts) => {
          const sorted = cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b);
          const summed = sums(functions, bytes, sorted);
          const middle = bytes.subarray(sorted[0], sorted.at(-1));
          t.equal(BigInt(summed.crc32), crcOf('crc32', middle));
          t.equal(BigInt(summed.crc32c), crcOf('crc32c', middle));
          if (functions.crc64nvme) t.equal(summed.crc64nvme, crcOf('crc64nvme', middle));
        },
      ),
      { numRuns: 50 },
    );
  });
}

t.test('CRC64NVME is there with the addon alone', async (t) => {
  t.equal(checksumFunctions(undefined).crc64nvme, undefined);
  t.equal(checksumFunctions(addon).crc64nvme === undefined, addon === undefined);
});
