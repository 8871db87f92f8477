/**
 * The checksums that an S3 server keeps of an object, as the answer to a HEAD, or to a GET of all of it, with checksum mode
 * gives them. Pure; called by sdk-client.ts and socket/exchange.ts.
 *
 * An ETag is an identity. Of an object that was written in one piece it often is the MD5, of one in parts the MD5 of the
 * parts' MD5s; but not where the server encrypts with keys of others, nor need other servers do so, and none says which
 * it is. So it is told apart from what is a checksum by name.
 */
import type { CrcKind } from '../runtime/crc.js';
import type { ObjectVersion } from './object-store.js';
import { quoted } from './part-response.js';

export type HashKind = 'md5' | 'sha1' | 'sha256' | 'sha512';
export type DigestKind = CrcKind | HashKind;

export interface ObjectDigest {
  readonly kind: DigestKind;
  /** Lower-case hex, of the full length. */
  readonly value: string;
  /** Absent: it is of all the object's bytes. Else of the digests of so many parts, one after the other (COMPOSITE). */
  readonly parts?: number | undefined;
}

/** A CRC of all the object's bytes. */
export type WholeCrc = ObjectDigest & { readonly kind: CrcKind };

export function isWholeCrc(digest: ObjectDigest): digest is WholeCrc {
  return digest.parts === undefined && digest.kind.startsWith('crc');
}

export interface ObjectChecksums {
  /** In the order in which they are to be used; usually one, or none. */
  readonly digests: readonly ObjectDigest[];
  /** What the ETag is, if it is a digest at all: nothing promises that. */
  readonly etag: ObjectDigest | undefined;
}

/** The server keeps none, or tells none. */
export const NO_CHECKSUMS: ObjectChecksums = { digests: [], etag: undefined };

/** The fields of the answer that are looked at. */
export interface ChecksumAnswer {
  readonly ETag?: string | undefined;
  readonly ContentLength?: number | undefined;
  readonly ServerSideEncryption?: string | undefined;
  readonly SSECustomerAlgorithm?: string | undefined;
  readonly ChecksumType?: string | undefined;
  readonly ChecksumCRC32?: string | undefined;
  readonly ChecksumCRC32C?: string | undefined;
  readonly ChecksumCRC64NVME?: string | undefined;
  readonly ChecksumMD5?: string | undefined;
  readonly ChecksumSHA1?: string | undefined;
  readonly ChecksumSHA256?: string | undefined;
  readonly ChecksumSHA512?: string | undefined;
}

/** Names of the fields as headers. */
const HEADERS: Readonly<Record<Exclude<keyof ChecksumAnswer, 'ContentLength'>, string>> = {
  ETag: 'etag',
  ServerSideEncryption: 'x-amz-server-side-encryption',
  SSECustomerAlgorithm: 'x-amz-server-side-encryption-customer-algorithm',
  ChecksumType: 'x-amz-checksum-type',
  ChecksumCRC32: 'x-amz-checksum-crc32',
  ChecksumCRC32C: 'x-amz-checksum-crc32c',
  ChecksumCRC64NVME: 'x-amz-checksum-crc64nvme',
  ChecksumMD5: 'x-amz-checksum-md5',
  ChecksumSHA1: 'x-amz-checksum-sha1',
  ChecksumSHA256: 'x-amz-checksum-sha256',
  ChecksumSHA512: 'x-amz-checksum-sha512',
};

/** Bytes of each kind; those whose parts give the whole's come first, since they cost no reading. */
const DIGEST_BYTES: Readonly<Record<DigestKind, number>> = {
  crc64nvme: 8,
  crc32c: 4,
  crc32: 4,
  sha256: 32,
  sha512: 64,
  sha1: 20,
  md5: 16,
};
const KINDS = Object.keys(DIGEST_BYTES) as readonly DigestKind[];

/** S3's limit for the parts of an upload. */
export const PARTS_MAX = 10_000;

/**
 * None when the answer is of another version (from a server that ignores If-Match). Values are left out that have another
 * length than their kind, or contradict what the answer says of them.
 */
export function objectChecksumsOf(
  { etag, size }: Pick<ObjectVersion, 'etag' | 'size'>,
  answer: ChecksumAnswer,
): ObjectChecksums {
  if (quoted(answer.ETag ?? '') !== etag || answer.ContentLength !== size) return NO_CHECKSUMS;
  const given: Readonly<Record<DigestKind, string | undefined>> = {
    crc64nvme: answer.ChecksumCRC64NVME,
    crc32c: answer.ChecksumCRC32C,
    crc32: answer.ChecksumCRC32,
    sha256: answer.ChecksumSHA256,
    sha512: answer.ChecksumSHA512,
    sha1: answer.ChecksumSHA1,
    md5: answer.ChecksumMD5,
  };
  const digests = KINDS.flatMap((kind) => parseDigest(kind, given[kind]) ?? []);
  return {
    digests: digests.filter((digest) => speaksFor(digest, etag, answer)),
    etag: etagDigest(etag, answer),
  };
}

/** @param headers by their names in lower case @param contentLength as the answer announces it */
export function checksumAnswerOf(
  headers: ReadonlyMap<string, string>,
  contentLength: number | undefined,
): ChecksumAnswer {
  const fields = Object.entries(HEADERS).map(([field, header]) => [field, headers.get(header)] as const);
  return { ...Object.fromEntries(fields), ContentLength: contentLength };
}

/** Base64 of the big-endian value, and the number of parts behind a dash. */
function parseDigest(kind: DigestKind, text: string | undefined): ObjectDigest | undefined {
  const [, base64 = '', parts] = /^([^-]+)(?:-(\d{1,5}))?$/.exec(text ?? '') ?? [];
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== DIGEST_BYTES[kind] || bytes.toString('base64') !== base64) return undefined;
  return withParts({ kind, value: bytes.toString('hex') }, parts);
}

/** An answer that does not say of what its value is says it of a hash whose object is not made of parts, no more. */
function speaksFor({ kind, parts }: ObjectDigest, etag: string, { ChecksumType }: ChecksumAnswer): boolean {
  if (ChecksumType === 'FULL_OBJECT') return parts === undefined;
  if (ChecksumType === 'COMPOSITE' || parts !== undefined) return parts !== undefined;
  return ChecksumType === undefined && !kind.startsWith('crc') && !etag.includes('-');
}

function etagDigest(etag: string, answer: ChecksumAnswer): ObjectDigest | undefined {
  const { ServerSideEncryption, SSECustomerAlgorithm } = answer;
  const isPlain = ServerSideEncryption === undefined || ServerSideEncryption === 'AES256';
  const match = /^"([0-9a-f]{32})(?:-(\d{1,5}))?"$/.exec(etag);
  if (!isPlain || SSECustomerAlgorithm !== undefined || match === null) return undefined;
  return withParts({ kind: 'md5', value: match[1] ?? '' }, match[2]);
}

function withParts(digest: ObjectDigest, parts: string | undefined): ObjectDigest | undefined {
  if (parts === undefined) return digest;
  const count = Number(parts);
  return count >= 1 && count <= PARTS_MAX ? { ...digest, parts: count } : undefined;
}
