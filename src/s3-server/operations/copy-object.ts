/** CopyObject, and finding the source of a copy for UploadPartCopy. A copy shares the bytes of its source. */
import { createHash } from 'node:crypto';
import type { Handler, Service } from '../service.js';
import type { BlobStore } from '../blob-store.js';
import { checksumAlgorithm, checksumElement, startChecksum } from '../checksums.js';
import { checkCopyConditions } from '../conditions.js';
import { demandKeyOfCopySource, keyHeaders } from '../customer-key.js';
import { S3Error } from '../errors.js';
import { archivedError } from '../faults.js';
import type { ChecksumAlgorithm, ObjectDescription, ObjectVersion, Segment } from '../model.js';
import { checkedStorageClass, describeObject, isArchived, versionHeaders } from '../object-headers.js';
import { checkKeyLength, header, percentDecode, type S3Request } from '../request.js';
import { xmlResponse } from '../responses.js';
import { SegmentReader } from '../segment-reader.js';
import { findVersion, requireBucket, requireKey } from '../target.js';
import { checkWrite, commitVersion } from './put-object.js';

const READ_BYTES = 512 * 1024;
/** S3's limit for the source of CopyObject; larger objects are copied in parts. */
const SOURCE_BYTES_MAX = 5 * 1024 ** 3;

export const copyObject: Handler = async (request, service) => {
  const { storage, clock } = service;
  const bucket = storage.bucket(requireBucket(request));
  const source = findCopySource(request, service);
  if (source.sizeBytes > SOURCE_BYTES_MAX) {
    throw new S3Error(
      'InvalidRequest',
      `The specified copy source is larger than the maximum allowable size for a copy source: ${SOURCE_BYTES_MAX}`,
    );
  }
  const description = copiedDescription(request, source);
  checkWrite(request, service);
  const unpin = storage.blobs.pin(source.segments);
  try {
    const algorithm = checksumAlgorithm(header(request, 'x-amz-checksum-algorithm') ?? '');
    const { etag, checksum } = await digestsOfCopy(request, storage.blobs, source, algorithm);
    const version = commitVersion(request, service, {
      ...description,
      key: requireKey(request),
      lastModifiedMs: clock.wallTimeMs(),
      etag,
      sizeBytes: source.sizeBytes,
      segments: source.segments,
      checksum,
    });
    const content = {
      LastModified: new Date(version.lastModifiedMs).toISOString(),
      ETag: `"${etag}"`,
      ...(checksum === undefined
        ? {}
        : { [checksumElement(checksum.algorithm)]: checksum.value, ChecksumType: checksum.type }),
    };
    return xmlResponse('CopyObjectResult', content, {
      ...keyHeaders(version.customerKeyMd5),
      ...versionHeaders(version, bucket),
      ...(source.versionId === 'null' ? {} : { 'x-amz-copy-source-version-id': source.versionId }),
    });
  } finally {
    unpin();
  }
};

/** The version that `x-amz-copy-source` names, its conditions checked. Throws S3Error. */
export function findCopySource(request: S3Request, { storage }: Service): ObjectVersion {
  const [path = '', ...query] = (header(request, 'x-amz-copy-source') ?? '')
    .replace(/^\//, '')
    .split('?versionId=');
  const slash = path.indexOf('/');
  // Some clients escape the slash after the bucket too.
  const decoded = percentDecode(path);
  const cut = slash < 0 ? decoded.indexOf('/') : percentDecode(path.slice(0, slash)).length;
  const [bucketName, key] = [decoded.slice(0, Math.max(cut, 0)), decoded.slice(cut + 1)];
  if (cut <= 0 || key === '')
    throw new S3Error(
      'InvalidArgument',
      'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
    );
  checkKeyLength(key);
  const source = findVersion(storage.bucket(bucketName), key, query[0]);
  demandKeyOfCopySource(request, source.customerKeyMd5);
  if (isArchived(source)) throw archivedError(source.storageClass);
  const conditions = {
    ifMatch: header(request, 'x-amz-copy-source-if-match'),
    ifNoneMatch: header(request, 'x-amz-copy-source-if-none-match'),
    ifModifiedSince: header(request, 'x-amz-copy-source-if-modified-since'),
    ifUnmodifiedSince: header(request, 'x-amz-copy-source-if-unmodified-since'),
  };
  checkCopyConditions(conditions, source);
  return source;
}

function copiedDescription(request: S3Request, source: ObjectVersion): ObjectDescription {
  const given = describeObject(request);
  const replaces = (name: string) => header(request, name)?.toUpperCase() === 'REPLACE';
  const replacesMetadata = replaces('x-amz-metadata-directive');
  const changesClass = header(request, 'x-amz-storage-class') !== undefined;
  const changesKey = given.customerKeyMd5 !== source.customerKeyMd5;
  const isItself = request.bucket === bucketOfSource(request) && request.key === source.key;
  if (isItself && !replacesMetadata && !changesClass && !changesKey) {
    throw new S3Error(
      'InvalidRequest',
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    );
  }
  return {
    ...(replacesMetadata ? given : { headers: source.headers, metadata: source.metadata }),
    storageClass: checkedStorageClass(header(request, 'x-amz-storage-class') ?? 'STANDARD'),
    tags: replaces('x-amz-tagging-directive') ? given.tags : source.tags,
    customerKeyMd5: given.customerKeyMd5,
  };
}

function bucketOfSource(request: S3Request): string {
  return (
    percentDecode(header(request, 'x-amz-copy-source') ?? '')
      .replace(/^\//, '')
      .split('/')[0] ?? ''
  );
}

/** A copy is an object in one part, whatever its source was; so its ETag is the MD5, which may have to be computed. */
async function digestsOfCopy(
  request: S3Request,
  blobs: BlobStore,
  source: ObjectVersion,
  algorithm: ChecksumAlgorithm | undefined,
) {
  const kept = source.checksum?.type === 'FULL_OBJECT' ? source.checksum : undefined;
  const wanted = algorithm ?? source.checksum?.algorithm;
  if (source.parts === undefined && wanted === kept?.algorithm) return { etag: source.etag, checksum: kept };
  const { md5Hex, checksum } = await digestSegments(request, blobs, source.segments, wanted);
  const value =
    checksum === undefined || wanted === undefined ? undefined : { algorithm: wanted, value: checksum };
  return {
    etag: md5Hex,
    checksum: value === undefined ? undefined : { ...value, type: 'FULL_OBJECT' as const },
  };
}

/** Reads pinned segments once through, as long as the client waits for it. */
export async function digestSegments(
  request: S3Request,
  blobs: BlobStore,
  segments: readonly Segment[],
  algorithm: ChecksumAlgorithm | undefined,
) {
  const md5 = createHash('md5');
  const checksum = algorithm === undefined ? undefined : startChecksum(algorithm);
  const reader = new SegmentReader(blobs, segments);
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  try {
    for (let length = READ_BYTES; length === READ_BYTES;) {
      if (request.signal.aborted) throw new S3Error('InvalidRequest', 'The client has left');
      length = await reader.read(buffer);
      md5.update(buffer.subarray(0, length));
      checksum?.update(buffer.subarray(0, length));
    }
  } finally {
    await reader.close();
  }
  return { md5Hex: md5.digest('hex'), checksum: await checksum?.digest() };
}
