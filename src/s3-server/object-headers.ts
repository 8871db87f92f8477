/** Between HTTP headers and what is stored about an object, in both directions. */
import { validateHeaderValue } from 'node:http';
import type { Bucket } from './bucket.js';
import { CHECKSUM_ALGORITHMS, checksumHeader } from './checksums.js';
import { httpDate } from './conditions.js';
import { givenKeyMd5, keyHeaders } from './customer-key.js';
import { S3Error } from './errors.js';
import type { ObjectDescription, ObjectVersion } from './model.js';
import { header, type RequestTarget } from './request.js';
import { parseTagHeader } from './tags.js';

const STORED_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
];
const METADATA_PREFIX = 'x-amz-meta-';
/** The limit of S3 for all names and values together. */
const METADATA_BYTES_MAX = 2048;
const STORAGE_CLASSES = [
  'STANDARD', 'REDUCED_REDUNDANCY', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING', 'GLACIER', 'GLACIER_IR', 'DEEP_ARCHIVE',
]; // prettier-ignore
/** Their objects cannot be read before they are restored, which this server does not do. */
const ARCHIVES: readonly string[] = ['GLACIER', 'DEEP_ARCHIVE'];

export function isArchived(version: ObjectVersion): boolean {
  return ARCHIVES.includes(version.storageClass);
}

/** Reads the description of a new object from its request. Throws S3Error for what S3 refuses. */
export function describeObject(target: RequestTarget): ObjectDescription {
  const headers: Record<string, string> = {};
  for (const name of STORED_HEADERS) {
    const value = name === 'content-encoding' ? realContentEncoding(target) : header(target, name);
    if (value !== undefined && value !== '') headers[name] = value;
  }
  return {
    headers,
    metadata: readMetadata(target),
    storageClass: checkedStorageClass(header(target, 'x-amz-storage-class') ?? 'STANDARD'),
    tags: parseTagHeader(header(target, 'x-amz-tagging')),
    customerKeyMd5: givenKeyMd5(target),
  };
}

/** `aws-chunked` is about the way here, not about the object. */
function realContentEncoding(target: RequestTarget): string | undefined {
  const codings = (header(target, 'content-encoding') ?? '').split(',').map((coding) => coding.trim());
  return codings.filter((coding) => coding !== '' && coding !== 'aws-chunked').join(', ');
}

function readMetadata(target: RequestTarget): Record<string, string> {
  const metadata: Record<string, string> = {};
  let bytes = 0;
  for (const name of Object.keys(target.headers)) {
    if (!name.startsWith(METADATA_PREFIX)) continue;
    const value = header(target, name) ?? '';
    metadata[name.slice(METADATA_PREFIX.length)] = value;
    bytes += name.length - METADATA_PREFIX.length + value.length;
  }
  if (bytes <= METADATA_BYTES_MAX) return metadata;
  throw new S3Error('MetadataTooLarge', 'Your metadata headers exceed the maximum allowed metadata size', {
    elements: { Size: String(bytes), MaxSizeAllowed: String(METADATA_BYTES_MAX) },
  });
}

export function checkedStorageClass(name: string): string {
  if (STORAGE_CLASSES.includes(name)) return name;
  throw new S3Error('InvalidArgument', 'The storage class you specified is not valid', {
    elements: { ArgumentName: 'x-amz-storage-class', ArgumentValue: name },
  });
}

/** The headers that describe a version in answers to GET and HEAD. `etag` may differ from its own by a fault. */
export function objectHeaders(version: ObjectVersion, bucket: Bucket, etag: string): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'binary/octet-stream',
    ...version.headers,
    etag: `"${etag}"`,
    'last-modified': httpDate(version.lastModifiedMs),
    'accept-ranges': 'bytes',
    ...versionHeaders(version, bucket),
    ...keyHeaders(version.customerKeyMd5),
  };
  for (const [name, value] of Object.entries(version.metadata)) headers[METADATA_PREFIX + name] = value;
  if (version.storageClass !== 'STANDARD') headers['x-amz-storage-class'] = version.storageClass;
  const tagCount = Object.keys(version.tags).length;
  if (tagCount > 0) headers['x-amz-tagging-count'] = String(tagCount);
  return headers;
}

/** Buckets that never had versioning do not mention versions. */
export function versionHeaders(
  version: Pick<ObjectVersion, 'versionId'>,
  bucket: Bucket,
): Record<string, string> {
  return bucket.versioning === 'Unversioned' ? {} : { 'x-amz-version-id': version.versionId };
}

export function checksumHeaders(version: Pick<ObjectVersion, 'checksum'>): Record<string, string> {
  if (version.checksum === undefined) return {};
  const { algorithm, value, type } = version.checksum;
  return { [checksumHeader(algorithm)]: value, 'x-amz-checksum-type': type };
}

/** The `response-…` parameters with which a signed request may set headers of its answer. */
export function overriddenHeaders(target: RequestTarget): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of STORED_HEADERS) {
    const value = target.query.get(`response-${name}`);
    if (value === undefined) continue;
    try {
      validateHeaderValue(name, value);
    } catch (cause) {
      throw new S3Error('InvalidArgument', `response-${name} is not a valid header value`, { cause });
    }
    headers[name] = value;
  }
  return headers;
}

/** The checksum that an upload announces as `x-amz-checksum-…`, at most one. */
export function announcedChecksum(target: RequestTarget) {
  const given = CHECKSUM_ALGORITHMS.flatMap((algorithm) => {
    const value = header(target, checksumHeader(algorithm));
    return value === undefined ? [] : [{ algorithm, value }];
  });
  if (given.length > 1)
    throw new S3Error(
      'InvalidRequest',
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    );
  return given[0];
}
