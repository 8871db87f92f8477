/** ListObjectsV2 and ListObjects (version 1). The walk over the keys is in listing.ts. */
import type { Handler } from '../service.js';
import type { Bucket } from '../bucket.js';
import { S3Error } from '../errors.js';
import type { KeyIndex } from '../key-index.js';
import { listPage, type ListPage } from '../listing.js';
import type { ObjectVersion } from '../model.js';
import { queryInteger, type S3Request } from '../request.js';
import { xmlResponse } from '../responses.js';
import { requireBucket } from '../target.js';
import type { XmlElement } from '../xml.js';

/** A page never has more, whatever the client asks for. */
export const MAX_KEYS = 1000;
const MAX_KEYS_ARGUMENT_MAX = 2 ** 31 - 1;

export const listObjectsV2: Handler = async (request, { storage }) => {
  const bucket = storage.bucket(requireBucket(request));
  const options = listOptions(request);
  const token = request.query.get('continuation-token');
  const startAfter = request.query.get('start-after');
  const after = token === undefined ? startAfter : decodeToken(token);
  const page = listPage(viewOf(request, bucket), { ...options, after: after ?? '' });
  const { encode } = options;
  const fetchOwner = request.query.get('fetch-owner') === 'true';
  return xmlResponse('ListBucketResult', {
    ...commonElements(bucket, options),
    ContinuationToken: token,
    StartAfter: startAfter === undefined ? undefined : encode(startAfter),
    KeyCount: page.entries.length + page.commonPrefixes.length,
    IsTruncated: page.isTruncated,
    NextContinuationToken: page.isTruncated ? encodeToken(page.last) : undefined,
    ...pageElements(page, encode, fetchOwner),
  });
};

export const listObjects: Handler = async (request, { storage }) => {
  const bucket = storage.bucket(requireBucket(request));
  const options = listOptions(request);
  const marker = request.query.get('marker') ?? '';
  const page = listPage(viewOf(request, bucket), { ...options, after: marker });
  const { encode } = options;
  return xmlResponse('ListBucketResult', {
    ...commonElements(bucket, options),
    Marker: encode(marker),
    IsTruncated: page.isTruncated,
    // As S3: without a delimiter the client takes the last key.
    NextMarker: page.isTruncated && options.delimiter !== '' ? encode(page.last) : undefined,
    ...pageElements(page, encode, true),
  });
};

export interface ListOptions {
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxKeys: number;
  readonly encodingType: string | undefined;
  /** How keys are written: as they are, or percent-encoded when the client asked for it. */
  readonly encode: (key: string) => string;
}

/** The parameters that all listings have. Throws S3Error InvalidArgument. */
export function listOptions(request: S3Request): ListOptions {
  const encodingType = request.query.get('encoding-type');
  if (encodingType !== undefined && encodingType !== 'url') {
    throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request', {
      elements: { ArgumentName: 'encoding-type', ArgumentValue: encodingType },
    });
  }
  return {
    prefix: request.query.get('prefix') ?? '',
    delimiter: request.query.get('delimiter') ?? '',
    maxKeys: Math.min(queryInteger(request, 'max-keys', MAX_KEYS_ARGUMENT_MAX) ?? MAX_KEYS, MAX_KEYS),
    encodingType,
    encode: encodingType === 'url' ? urlEncodeKey : (key) => key,
  };
}

export function listingTime(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString();
}

function viewOf(request: S3Request, bucket: Bucket): KeyIndex<ObjectVersion> {
  const stale = request.faults.find('stale-listing');
  return stale === undefined ? bucket.live : bucket.liveAsOf(stale.ms);
}

function commonElements(
  bucket: Bucket,
  { prefix, delimiter, maxKeys, encodingType, encode }: ListOptions,
): XmlElement {
  return {
    Name: bucket.name,
    Prefix: encode(prefix),
    Delimiter: delimiter === '' ? undefined : encode(delimiter),
    MaxKeys: maxKeys,
    EncodingType: encodingType,
  };
}

function pageElements(
  page: ListPage<ObjectVersion>,
  encode: (key: string) => string,
  withOwner: boolean,
): XmlElement {
  return {
    Contents: page.entries.map(({ key, value }) => ({
      Key: encode(key),
      LastModified: listingTime(value.lastModifiedMs),
      ETag: `"${value.etag}"`,
      ChecksumAlgorithm: value.checksum?.algorithm,
      ChecksumType: value.checksum?.type,
      Size: value.sizeBytes,
      Owner: withOwner ? { ID: 'sluice', DisplayName: 'sluice' } : undefined,
      StorageClass: value.storageClass,
    })),
    CommonPrefixes: page.commonPrefixes.map((prefix) => ({ Prefix: encode(prefix) })),
  };
}

/** As S3 encodes: a slash stays as it is. */
function urlEncodeKey(key: string): string {
  return encodeURIComponent(key)
    .replaceAll('%2F', '/')
    .replace(/[!'()]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
}

/** Tokens are opaque to clients; ours say after which key or common prefix the next page begins. */
function encodeToken(after: string): string {
  return `1${Buffer.from(after).toString('base64url')}`;
}

function decodeToken(token: string): string {
  if (/^1[\w-]*$/.test(token)) return Buffer.from(token.slice(1), 'base64url').toString();
  throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect', {
    elements: { ArgumentName: 'continuation-token' },
  });
}
