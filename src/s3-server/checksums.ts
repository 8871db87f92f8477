/**
 * The checksums of the S3 protocol (CRC32, CRC32C, CRC64NVME, SHA-1, SHA-256), MD5 for ETags, and the
 * combination of the CRCs of parts into the CRC of the whole object. Values are base64, CRCs big-endian.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Crc64Nvme } from '@aws-sdk/crc64-nvme';
import { crc32c } from '@node-rs/crc32';
import { unreachable } from '../runtime/assert.js';
import type { ChecksumAlgorithm, ObjectChecksum } from './model.js';

export const CHECKSUM_ALGORITHMS: readonly ChecksumAlgorithm[] = [
  'CRC32',
  'CRC32C',
  'CRC64NVME',
  'SHA1',
  'SHA256',
];

export interface RunningChecksum {
  update(bytes: Uint8Array): void;
  /** base64; may be called once. */
  digest(): Promise<string>;
}

/** The algorithm with this name in any case, or undefined. */
export function checksumAlgorithm(name: string): ChecksumAlgorithm | undefined {
  return CHECKSUM_ALGORITHMS.find((algorithm) => algorithm === name.toUpperCase());
}

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** The element of XML documents: `ChecksumCRC32` and so on. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm}`;
}

export function startChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  switch (algorithm) {
    case 'CRC32':
      return runningCrc32((bytes, state) => crc32(bytes, state));
    case 'CRC32C':
      return runningCrc32((bytes, state) => crc32c(bytes, state));
    case 'CRC64NVME':
      return runningCrc64();
    case 'SHA1':
    case 'SHA256':
      return runningHash(algorithm);
    default:
      return unreachable(algorithm);
  }
}

function runningHash(algorithm: 'SHA1' | 'SHA256'): RunningChecksum {
  const hash = createHash(algorithm.toLowerCase());
  return { update: (bytes) => void hash.update(bytes), digest: async () => hash.digest('base64') };
}

function runningCrc32(next: (bytes: Uint8Array, state: number) => number): RunningChecksum {
  let state = 0;
  return {
    update: (bytes) => void (state = next(bytes, state)),
    digest: async () => bigEndian(BigInt(state), 4).toString('base64'),
  };
}

function runningCrc64(): RunningChecksum {
  const crc = new Crc64Nvme();
  return {
    update: (bytes) => crc.update(bytes),
    digest: async () => Buffer.from(await crc.digest()).toString('base64'),
  };
}

/** The checksum of a multipart object from its parts' values. Returns undefined when a part has none. */
export async function combineParts(
  algorithm: ChecksumAlgorithm,
  type: ObjectChecksum['type'],
  parts: readonly { readonly checksum?: string | undefined; readonly sizeBytes: number }[],
): Promise<ObjectChecksum | undefined> {
  const values = parts.flatMap(({ checksum }) =>
    checksum === undefined ? [] : [Buffer.from(checksum, 'base64')],
  );
  if (values.length !== parts.length) return undefined;
  if (type === 'COMPOSITE') {
    const sum = startChecksum(algorithm);
    for (const value of values) sum.update(value);
    return { algorithm, type, value: `${await sum.digest()}-${parts.length}` };
  }
  const polynomial = REFLECTED_POLYNOMIALS[algorithm];
  if (polynomial === undefined) return undefined;
  const width = algorithm === 'CRC64NVME' ? 64 : 32;
  let crc = 0n;
  for (const [i, value] of values.entries()) {
    const part = BigInt(`0x${value.toString('hex')}`);
    crc = combineCrc(crc, part, parts[i]?.sizeBytes ?? 0, polynomial, width);
  }
  return { algorithm, type, value: bigEndian(crc, width / 8).toString('base64') };
}

const REFLECTED_POLYNOMIALS: Partial<Record<ChecksumAlgorithm, bigint>> = {
  CRC32: 0xedb88320n,
  CRC32C: 0x82f63b78n,
  CRC64NVME: 0x9a6c9329ac4bc9b5n,
};

/**
 * The CRC of A‖B from the CRCs of A and B. Reading on over `lengthB` zero bytes is multiplication by x^(8·lengthB)
 * modulo the polynomial; initial value and final inversion cancel out, as in zlib's crc32_combine.
 */
export function combineCrc(
  crcA: bigint,
  crcB: bigint,
  lengthB: number,
  polynomial: bigint,
  width: number,
): bigint {
  const one = 1n << BigInt(width - 1); // x^0 in the reflected representation
  let power = one >> 8n; // x^8: one byte
  let shift = one;
  for (let remaining = lengthB; remaining > 0; remaining = Math.floor(remaining / 2)) {
    if (remaining % 2 === 1) shift = multiply(shift, power, polynomial, width);
    power = multiply(power, power, polynomial, width);
  }
  return multiply(shift, crcA, polynomial, width) ^ crcB;
}

/** a·b modulo the polynomial, all reflected: the highest bit is the coefficient of x^0. */
function multiply(a: bigint, b: bigint, polynomial: bigint, width: number): bigint {
  let product = 0n;
  let factor = b;
  for (let bit = BigInt(width - 1); bit >= 0n; bit--) {
    if ((a >> bit) & 1n) product ^= factor;
    factor = factor & 1n ? (factor >> 1n) ^ polynomial : factor >> 1n;
  }
  return product;
}

function bigEndian(value: bigint, lengthBytes: number): Buffer {
  return Buffer.from(value.toString(16).padStart(lengthBytes * 2, '0'), 'hex');
}
