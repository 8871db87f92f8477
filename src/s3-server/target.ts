/** Finding what a request is about: names that the router has established, and versions. */
import type { Bucket } from './bucket.js';
import { S3Error } from './errors.js';
import type { ObjectVersion } from './model.js';
import { assert } from '../runtime/assert.js';
import type { RequestTarget } from './request.js';

/** For operations that the router only gives to requests on a bucket. */
export function requireBucket({ bucket }: RequestTarget): string {
  assert(bucket !== undefined, 'the operation is one on a bucket');
  return bucket;
}

/** For operations that the router only gives to requests on an object. */
export function requireKey({ key }: RequestTarget): string {
  assert(key !== undefined, 'the operation is one on an object');
  return key;
}

/** The version asked for, or the live one. Throws S3Error NoSuchKey, NoSuchVersion, MethodNotAllowed. */
export function findVersion(bucket: Bucket, key: string, versionId: string | undefined): ObjectVersion {
  const version = versionId === undefined ? bucket.history.get(key)?.[0] : bucket.version(key, versionId);
  if (version === undefined) {
    if (versionId !== undefined)
      throw new S3Error('NoSuchVersion', 'The specified version does not exist.', {
        elements: { Key: key, VersionId: versionId },
      });
    throw new S3Error('NoSuchKey', 'The specified key does not exist.', { elements: { Key: key } });
  }
  if (!version.isDeleteMarker) return version;
  const headers = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId };
  if (versionId === undefined)
    throw new S3Error('NoSuchKey', 'The specified key does not exist.', { elements: { Key: key }, headers });
  throw new S3Error('MethodNotAllowed', 'The specified method is not allowed against this resource.', {
    headers,
  });
}
