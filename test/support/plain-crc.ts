/**
 * CRCs computed bit by bit, from their definition: what everything that is clever about them is compared with. And of
 * many bytes by what the embedded server uses, which shares nothing with the addon.
 */
import type { CrcKind } from '../../src/runtime/crc.js';
import { startChecksum } from '../../src/s3-server/checksums.js';

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

const ALGORITHMS = { crc32: 'CRC32', crc32c: 'CRC32C', crc64nvme: 'CRC64NVME' } as const;

export async function serverCrcOf(kind: CrcKind, bytes: Uint8Array): Promise<bigint> {
  const sum = startChecksum(ALGORITHMS[kind]);
  sum.update(bytes);
  return BigInt(`0x${Buffer.from(await sum.digest(), 'base64').toString('hex')}`);
}

/** As checksums are told: see `ObjectDigest`. */
export function crcHex(kind: CrcKind, crc: bigint): string {
  return crc.toString(16).padStart(kind === 'crc64nvme' ? 16 : 8, '0');
}
