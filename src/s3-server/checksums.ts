/**
 * The checksums of the S3 protocol (CRC32, CRC32C, CRC64NVME, SHA-1, SHA-256), MD5 for ETags, and the
 * combination of the CRCs of parts into the CRC of the whole object. Values are base64, CRCs big-endian.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Crc64Nvme } from '@aws-sdk/crc64-nvme';
import { unreachable } from '../runtime/assert.js';
import { combineCrcs } from '../runtime/crc.js';
import type { CrcKind } from '../runtime/crc.js';
import { crc32c } from '../runtime/crc32c.js';
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
  const kind = CRC_KINDS[algorithm];
  if (kind === undefined) return undefined;
  let crc = 0n;
  for (const [i, value] of values.entries()) {
    const part = BigInt(`0x${value.toString('hex')}`);
    crc = combineCrcs(kind, crc, part, parts[i]?.sizeBytes ?? 0);
  }
  return { algorithm, type, value: bigEndian(crc, kind === 'crc64nvme' ? 8 : 4).toString('base64') };
}

/** The algorithms of which the parts' values give the whole's. */
const CRC_KINDS: Partial<Record<ChecksumAlgorithm, CrcKind>> = {
  CRC32: 'crc32',
  CRC32C: 'crc32c',
  CRC64NVME: 'crc64nvme',
};

function bigEndian(value: bigint, lengthBytes: number): Buffer {
  return Buffer.from(value.toString(16).padStart(lengthBytes * 2, '0'), 'hex');
}
