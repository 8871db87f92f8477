/** GetObject, HeadObject and GetObjectAttributes. */
import type { Handler, Service } from '../service.js';
import type { Bucket } from '../bucket.js';
import { checksumElement } from '../checksums.js';
import { checkReadConditions, parseRange, type ByteRange } from '../conditions.js';
import { demandKey } from '../customer-key.js';
import { S3Error } from '../errors.js';
import { archivedError } from '../faults.js';
import type { ObjectVersion } from '../model.js';
import {
  checksumHeaders,
  isArchived,
  objectHeaders,
  overriddenHeaders,
  versionHeaders,
} from '../object-headers.js';
import { header, queryInteger, type S3Request } from '../request.js';
import { xmlResponse, type S3Response } from '../responses.js';
import { findVersion, requireBucket, requireKey } from '../target.js';

/** S3's limit for the number of parts of an upload. */
const PART_NUMBER_MAX = 10_000;

export const headObject: Handler = async (request, service) => describe(request, service).response;

export const getObject: Handler = async (request, service) => {
  const { version, range, response } = describe(request, service);
  if (isArchived(version)) throw archivedError(version.storageClass);
  // From here to the end of the body the bytes stay, whatever happens to the object: pinned in the same step.
  const release = service.storage.blobs.pin(version.segments);
  return { ...response, body: { kind: 'object', segments: version.segments, ...range, release } };
};

interface Description {
  readonly version: ObjectVersion;
  readonly range: ByteRange;
  /** Complete but for the body. */
  readonly response: S3Response;
}

function describe(request: S3Request, { storage }: Service): Description {
  const bucket = storage.bucket(requireBucket(request));
  const version = findVersion(bucket, requireKey(request), request.query.get('versionId'));
  demandKey(request, version.customerKeyMd5);
  const etag = checkConditions(request, version);
  const headers = { ...objectHeaders(version, bucket, etag), ...overriddenHeaders(request) };
  const partNumber = queryInteger(request, 'partNumber', PART_NUMBER_MAX);
  const rangeHeader = header(request, 'range');
  if (partNumber !== undefined && rangeHeader !== undefined)
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter');
  if (partNumber !== undefined) return describePart(version, partNumber, headers);

  const range = parseRange(rangeHeader, version.sizeBytes);
  if (range !== undefined) return { version, range, response: partial(version, range, headers) };
  if (header(request, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED')
    Object.assign(headers, checksumHeaders(version));
  headers['content-length'] = String(version.sizeBytes);
  return { version, range: { start: 0, end: version.sizeBytes }, response: { status: 200, headers } };
}

/** Returns the ETag to show, which a fault may have changed. */
function checkConditions(request: S3Request, version: ObjectVersion): string {
  const fault = request.faults.find('changed-etag');
  const etag = fault === undefined ? version.etag : (fault.etag ?? 'ffffffffffffffffffffffffffffffff');
  const ifMatch = fault?.ignoreIfMatch === true ? undefined : header(request, 'if-match');
  const conditions = {
    ifMatch,
    ifNoneMatch: header(request, 'if-none-match'),
    ifModifiedSince: header(request, 'if-modified-since'),
    ifUnmodifiedSince: header(request, 'if-unmodified-since'),
  };
  checkReadConditions(conditions, { etag, lastModifiedMs: version.lastModifiedMs });
  return etag;
}

function partial(
  version: ObjectVersion,
  { start, end }: ByteRange,
  headers: Record<string, string>,
): S3Response {
  const contentRange = `bytes ${start}-${end - 1}/${version.sizeBytes}`;
  return {
    status: 206,
    headers: { ...headers, 'content-range': contentRange, 'content-length': String(end - start) },
  };
}

/** An object that was not uploaded in parts is its own part 1. */
function describePart(
  version: ObjectVersion,
  partNumber: number,
  headers: Record<string, string>,
): Description {
  const parts = version.parts ?? [{ sizeBytes: version.sizeBytes }];
  const part = parts[partNumber - 1];
  if (part === undefined)
    throw new S3Error('InvalidPartNumber', 'The requested partnumber is not satisfiable');
  if (version.parts !== undefined) headers['x-amz-mp-parts-count'] = String(parts.length);
  const start = parts.slice(0, partNumber - 1).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const range = { start, end: start + part.sizeBytes };
  if (part.sizeBytes > 0) return { version, range, response: partial(version, range, headers) };
  return { version, range, response: { status: 200, headers: { ...headers, 'content-length': '0' } } };
}

export const getObjectAttributes: Handler = async (request, { storage }) => {
  const bucket = storage.bucket(requireBucket(request));
  const version = findVersion(bucket, requireKey(request), request.query.get('versionId'));
  demandKey(request, version.customerKeyMd5);
  const wanted = new Set(
    (header(request, 'x-amz-object-attributes') ?? '').split(',').map((name) => name.trim()),
  );
  const { checksum } = version;
  const content = {
    ETag: wanted.has('ETag') ? version.etag : undefined,
    Checksum:
      wanted.has('Checksum') && checksum !== undefined
        ? { [checksumElement(checksum.algorithm)]: checksum.value, ChecksumType: checksum.type }
        : undefined,
    ObjectParts: wanted.has('ObjectParts') ? objectParts(request, version) : undefined,
    StorageClass: wanted.has('StorageClass') ? version.storageClass : undefined,
    ObjectSize: wanted.has('ObjectSize') ? version.sizeBytes : undefined,
  };
  return xmlResponse('GetObjectAttributesResponse', content, attributesHeaders(version, bucket));
};

function attributesHeaders(version: ObjectVersion, bucket: Bucket): Record<string, string> {
  return {
    'last-modified': new Date(version.lastModifiedMs).toUTCString(),
    ...versionHeaders(version, bucket),
  };
}

function objectParts(request: S3Request, version: ObjectVersion) {
  if (version.parts === undefined) return undefined;
  const { checksum } = version;
  const marker = Number(header(request, 'x-amz-part-number-marker') ?? 0) || 0;
  const max = Math.min(1000, Number(header(request, 'x-amz-max-parts') ?? 1000) || 1000);
  const page = version.parts.map((part, i) => ({ ...part, number: i + 1 })).slice(marker, marker + max);
  const next = page.at(-1)?.number ?? marker;
  return {
    PartsCount: version.parts.length,
    PartNumberMarker: marker,
    NextPartNumberMarker: next,
    MaxParts: max,
    IsTruncated: next < version.parts.length,
    // As S3: the single parts are only listed when they have checksums.
    Part: page
      .filter((part) => part.checksum !== undefined)
      .map((part) => ({
        PartNumber: part.number,
        Size: part.sizeBytes,
        ...(checksum === undefined ? {} : { [checksumElement(checksum.algorithm)]: part.checksum }),
      })),
  };
}
