/**
 * What the server stores, as plain data: it goes into the journal as JSON and lies in memory in the same shape.
 * Bytes are named by segments, so that a copy or a completed multipart upload shares the files of its sources.
 */

/** The bytes [offset, offset + length) of a source. */
export type Segment =
  /** `data` is base64: tiny bodies live in the journal itself. */
  | { readonly kind: 'inline'; readonly data: string; readonly offset: number; readonly length: number }
  /** A file of the blob store. */
  | { readonly kind: 'blob'; readonly blobId: string; readonly offset: number; readonly length: number }
  /** Generated on the fly from src/runtime/pattern.ts; occupies no disk. */
  | { readonly kind: 'pattern'; readonly seed: number; readonly offset: number; readonly length: number };

export type ChecksumAlgorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256';

export interface ObjectChecksum {
  readonly algorithm: ChecksumAlgorithm;
  /** base64; a composite value ends in `-` and the number of parts. */
  readonly value: string;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
}

export interface ObjectPart {
  readonly sizeBytes: number;
  /** base64, of the object's checksum algorithm. */
  readonly checksum?: string | undefined;
}

/** What a client says about an object besides its bytes. */
export interface ObjectDescription {
  /** Content-Type, Cache-Control and so on by lower-case header name. */
  readonly headers: Readonly<Record<string, string>>;
  /** `x-amz-meta-` headers by lower-case name without the prefix. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly storageClass: string;
  readonly tags: Readonly<Record<string, string>>;
  /** base64, of the customer's key that reading takes (SSE-C). */
  readonly customerKeyMd5?: string | undefined;
}

export interface ObjectVersion extends ObjectDescription {
  readonly key: string;
  /** `null` (the text) for versions written while versioning was not enabled. */
  readonly versionId: string;
  readonly isDeleteMarker: boolean;
  readonly lastModifiedMs: number;
  /** Without the quotes. */
  readonly etag: string;
  readonly sizeBytes: number;
  readonly segments: readonly Segment[];
  readonly checksum?: ObjectChecksum | undefined;
  /** The parts of a multipart upload, in order. */
  readonly parts?: readonly ObjectPart[] | undefined;
}

export interface UploadPart {
  readonly partNumber: number;
  readonly etag: string;
  readonly sizeBytes: number;
  readonly lastModifiedMs: number;
  readonly segments: readonly Segment[];
  /** base64, of the upload's checksum algorithm. */
  readonly checksum?: string | undefined;
}

/** What is known of a multipart upload when it is created. */
export interface UploadDescription extends ObjectDescription {
  readonly uploadId: string;
  readonly key: string;
  readonly initiatedMs: number;
  readonly checksumAlgorithm?: ChecksumAlgorithm | undefined;
  readonly checksumType?: ObjectChecksum['type'] | undefined;
}

export type VersioningStatus = 'Unversioned' | 'Enabled' | 'Suspended';

/** One line of the journal: a change of state. Replaying all of them in order rebuilds the state. */
export type JournalRecord =
  | { readonly type: 'bucket-created'; readonly bucket: string; readonly createdMs: number }
  | { readonly type: 'bucket-deleted'; readonly bucket: string }
  | { readonly type: 'versioning-set'; readonly bucket: string; readonly status: VersioningStatus }
  | { readonly type: 'version-put'; readonly bucket: string; readonly version: ObjectVersion }
  | {
      readonly type: 'version-deleted';
      readonly bucket: string;
      readonly key: string;
      readonly versionId: string;
    }
  | {
      readonly type: 'tags-set';
      readonly bucket: string;
      readonly key: string;
      readonly versionId: string;
      readonly tags: Readonly<Record<string, string>>;
    }
  | { readonly type: 'upload-created'; readonly bucket: string; readonly upload: UploadDescription }
  | {
      readonly type: 'part-put';
      readonly bucket: string;
      readonly uploadId: string;
      readonly part: UploadPart;
    }
  | { readonly type: 'upload-removed'; readonly bucket: string; readonly uploadId: string };

/** Bodies up to this size live in the journal, and so in memory: no file is made for them. */
export const INLINE_BYTES_MAX = 1024;

export function inlineSegments(bytes: Uint8Array): Segment[] {
  if (bytes.length === 0) return [];
  return [{ kind: 'inline', data: Buffer.from(bytes).toString('base64'), offset: 0, length: bytes.length }];
}

export function segmentsLength(segments: readonly Segment[]): number {
  return segments.reduce((sum, segment) => sum + segment.length, 0);
}

/** The segments of the bytes [start, end) of the concatenation of `segments`. */
export function sliceSegments(segments: readonly Segment[], start: number, end: number): Segment[] {
  const slices: Segment[] = [];
  let at = 0;
  for (const segment of segments) {
    const from = Math.max(start, at);
    const to = Math.min(end, at + segment.length);
    if (from < to) slices.push({ ...segment, offset: segment.offset + from - at, length: to - from });
    at += segment.length;
  }
  return slices;
}
