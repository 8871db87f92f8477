/** CRCs computed bit by bit, from their definition: what everything that is clever about them is compared with. */
import type { CrcKind } from '../../src/runtime/crc.js';

const POLYNOMIALS: Readonly<Record<CrcKind, readonly [reflected: bigint, allOnes: bigint]>> = {
  crc32: [0xedb88320n, 0xffffffffn],
  crc32c: [0x82f63b78n, 0xffffffffn],
  crc64nvme: [0x9a6c9329ac4bc9b5n, 0xffffffffffffffffn],
};

export function crcOf(kind: CrcKind, bytes: Uint8Array): bigint {
  const [reflected, allOnes] = POLYNOMIALS[kind];
  let crc = allOnes;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ reflected : crc >> 1n;
  }
  return crc ^ allOnes;
}
