/**
 * The CRC that an S3 server keeps of a whole object, as the answer to a HEAD with checksum mode gives it. Pure; called by
 * sdk-client.ts.
 */
import type { CrcKind } from '../runtime/crc.js';
import type { ObjectVersion } from './object-store.js';
import { quoted } from './part-response.js';

export interface WholeChecksum {
  readonly kind: CrcKind;
  readonly value: bigint;
}

/** The fields of the answer that are looked at. */
export interface ChecksumAnswer {
  readonly ETag?: string | undefined;
  readonly ContentLength?: number | undefined;
  readonly ChecksumType?: string | undefined;
  readonly ChecksumCRC32?: string | undefined;
  readonly ChecksumCRC32C?: string | undefined;
  readonly ChecksumCRC64NVME?: string | undefined;
}

/**
 * Undefined when the server keeps none of these CRCs, or one of the parts' CRCs (COMPOSITE), or does not say which; when
 * it is of another version (a server that ignores If-Match); and when it is no CRC.
 */
export function wholeChecksumOf(
  { etag, size }: Pick<ObjectVersion, 'etag' | 'size'>,
  answer: ChecksumAnswer,
): WholeChecksum | undefined {
  if (answer.ChecksumType !== 'FULL_OBJECT') return undefined;
  if (quoted(answer.ETag ?? '') !== etag || answer.ContentLength !== size) return undefined;
  return (
    parse('crc64nvme', 8, answer.ChecksumCRC64NVME) ??
    parse('crc32c', 4, answer.ChecksumCRC32C) ??
    parse('crc32', 4, answer.ChecksumCRC32)
  );
}

/** Base64 of the big-endian value. */
function parse(kind: CrcKind, bytes: number, text: string | undefined): WholeChecksum | undefined {
  if (text === undefined) return undefined;
  const decoded = Buffer.from(text, 'base64');
  if (decoded.length !== bytes || decoded.toString('base64') !== text) return undefined;
  return { kind, value: BigInt(`0x${decoded.toString('hex')}`) };
}
