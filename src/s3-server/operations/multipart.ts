/** Multipart uploads: create, upload a part, copy a part, abort. Completion is in multipart-complete.ts. */
import type { Handler } from '../service.js';
import { checksumAlgorithm, checksumElement, checksumHeader } from '../checksums.js';
import { parseRange } from '../conditions.js';
import { demandKeyOfUpload, keyHeaders } from '../customer-key.js';
import { S3Error } from '../errors.js';
import {
  segmentsLength,
  sliceSegments,
  type ChecksumAlgorithm,
  type ObjectChecksum,
  type ObjectVersion,
  type Segment,
  type UploadDescription,
} from '../model.js';
import { describeObject } from '../object-headers.js';
import { header, queryInteger, type S3Request } from '../request.js';
import { emptyResponse, xmlResponse } from '../responses.js';
import { newId } from '../storage.js';
import { requireBucket, requireKey } from '../target.js';
import { receiveBody } from '../upload-body.js';
import { digestSegments, findCopySource } from './copy-object.js';

export const PART_NUMBER_MAX = 10_000;
/** Uploads under way in one bucket: each costs memory until it is completed or aborted. */
const UPLOADS_MAX = 10_000;

export const createMultipartUpload: Handler = async (request, { storage, clock }) => {
  const bucket = storage.bucket(requireBucket(request));
  if (bucket.uploads.size >= UPLOADS_MAX)
    throw new S3Error(
      'InvalidRequest',
      `There are ${UPLOADS_MAX} multipart uploads under way: complete or abort some first`,
    );
  const upload: UploadDescription = {
    ...describeObject(request),
    uploadId: newId(),
    key: requireKey(request),
    initiatedMs: clock.wallTimeMs(),
    ...checksumOfUpload(request),
  };
  storage.commit({ type: 'upload-created', bucket: bucket.name, upload });
  const headers = keyHeaders(upload.customerKeyMd5);
  if (upload.checksumAlgorithm !== undefined) headers['x-amz-checksum-algorithm'] = upload.checksumAlgorithm;
  if (upload.checksumType !== undefined) headers['x-amz-checksum-type'] = upload.checksumType;
  const { uploadId: UploadId, key: Key } = upload;
  return xmlResponse('InitiateMultipartUploadResult', { Bucket: bucket.name, Key, UploadId }, headers);
};

function checksumOfUpload(request: S3Request): Pick<UploadDescription, 'checksumAlgorithm' | 'checksumType'> {
  const name = header(request, 'x-amz-checksum-algorithm');
  if (name === undefined) return {};
  const algorithm = checksumAlgorithm(name);
  if (algorithm === undefined)
    throw new S3Error('InvalidRequest', `Checksum algorithm provided is unsupported: ${name}`);
  const type = header(request, 'x-amz-checksum-type')?.toUpperCase() ?? defaultChecksumType(algorithm);
  const isHash = algorithm === 'SHA1' || algorithm === 'SHA256';
  const isKnown = type === 'COMPOSITE' || type === 'FULL_OBJECT';
  // Hashes of parts cannot be combined, and CRC64NVME is defined for whole objects only.
  if (!isKnown || (type === 'FULL_OBJECT' && isHash) || (type === 'COMPOSITE' && algorithm === 'CRC64NVME'))
    throw new S3Error(
      'InvalidRequest',
      `The ${type} checksum type cannot be used with the ${algorithm} checksum algorithm.`,
    );
  return { checksumAlgorithm: algorithm, checksumType: type };
}

function defaultChecksumType(algorithm: ChecksumAlgorithm): ObjectChecksum['type'] {
  return algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE';
}

export const uploadPart: Handler = async (request, { storage, clock }) => {
  const bucket = storage.bucket(requireBucket(request));
  const { uploadId, key, partNumber } = partTarget(request);
  const { checksumAlgorithm: wanted, customerKeyMd5 } = bucket.upload(uploadId, key).description;
  demandKeyOfUpload(request, customerKeyMd5);
  const { segments, sizeBytes, md5Hex, checksum } = await receiveBody(request, storage.blobs, wanted);
  const unpin = storage.blobs.pin(segments);
  try {
    if (wanted !== undefined && checksum !== undefined && checksum.algorithm !== wanted)
      throw new S3Error(
        'InvalidRequest',
        `Checksum Type mismatch occurred, expected checksum Type: ${wanted}, actual checksum Type: ${checksum.algorithm}`,
      );
    // The upload may be gone by now.
    storage.bucket(bucket.name).upload(uploadId, key);
    const kept = wanted === undefined ? undefined : checksum?.value;
    const part = {
      partNumber,
      etag: md5Hex,
      sizeBytes,
      segments,
      checksum: kept,
      lastModifiedMs: clock.wallTimeMs(),
    };
    storage.commit({ type: 'part-put', bucket: bucket.name, uploadId, part });
    const headers = { etag: `"${md5Hex}"`, ...keyHeaders(customerKeyMd5) };
    return emptyResponse(
      200,
      checksum === undefined ? headers : { ...headers, [checksumHeader(checksum.algorithm)]: checksum.value },
    );
  } finally {
    unpin();
  }
};

export const uploadPartCopy: Handler = async (request, service) => {
  const { storage, clock } = service;
  const bucket = storage.bucket(requireBucket(request));
  const { uploadId, key, partNumber } = partTarget(request);
  const { checksumAlgorithm: wanted, customerKeyMd5 } = bucket.upload(uploadId, key).description;
  demandKeyOfUpload(request, customerKeyMd5);
  const source = findCopySource(request, service);
  const segments = copiedRange(request, source);
  const unpin = storage.blobs.pin(segments);
  try {
    const { md5Hex, checksum } = await digestSegments(request, storage.blobs, segments, wanted);
    storage.bucket(bucket.name).upload(uploadId, key);
    const lastModifiedMs = clock.wallTimeMs();
    const part = {
      partNumber,
      etag: md5Hex,
      sizeBytes: segmentsLength(segments),
      segments,
      checksum,
      lastModifiedMs,
    };
    storage.commit({ type: 'part-put', bucket: bucket.name, uploadId, part });
    return xmlResponse('CopyPartResult', {
      LastModified: new Date(lastModifiedMs).toISOString(),
      ETag: `"${md5Hex}"`,
      ...(wanted === undefined ? {} : { [checksumElement(wanted)]: checksum }),
    });
  } finally {
    unpin();
  }
};

/** Unlike a Range, a copy's range must lie within the source. */
function copiedRange(request: S3Request, source: ObjectVersion): Segment[] {
  const text = header(request, 'x-amz-copy-source-range');
  if (text === undefined) return sliceSegments(source.segments, 0, source.sizeBytes);
  const match = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(text);
  const range = match === null ? undefined : parseRange(text, source.sizeBytes);
  if (range === undefined || range.end !== Number(match?.[2]) + 1)
    throw new S3Error(
      'InvalidArgument',
      `Range specified is not valid for source object of size: ${source.sizeBytes}`,
    );
  return sliceSegments(source.segments, range.start, range.end);
}

export const abortMultipartUpload: Handler = async (request, { storage }) => {
  const bucket = storage.bucket(requireBucket(request));
  const uploadId = request.query.get('uploadId') ?? '';
  bucket.upload(uploadId, requireKey(request));
  storage.commit({ type: 'upload-removed', bucket: bucket.name, uploadId });
  return emptyResponse(204);
};

function partTarget(request: S3Request) {
  const partNumber = queryInteger(request, 'partNumber', PART_NUMBER_MAX) ?? 0;
  if (partNumber < 1)
    throw new S3Error(
      'InvalidArgument',
      `Part number must be an integer between 1 and ${PART_NUMBER_MAX}, inclusive`,
    );
  return { uploadId: request.query.get('uploadId') ?? '', key: requireKey(request), partNumber };
}
