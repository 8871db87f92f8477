/** PutObject, and the conditional commit that it shares with copies and completed uploads. */
import type { Handler, Service } from '../service.js';
import { checkWriteConditions } from '../conditions.js';
import { keyHeaders } from '../customer-key.js';
import type { JournalRecord, ObjectVersion } from '../model.js';
import { checksumHeaders, describeObject, versionHeaders } from '../object-headers.js';
import { header, type S3Request } from '../request.js';
import { emptyResponse } from '../responses.js';
import type { NewVersion } from '../storage.js';
import { requireBucket, requireKey } from '../target.js';
import { receiveBody } from '../upload-body.js';

export const putObject: Handler = async (request, service) => {
  const { storage, clock } = service;
  const bucketName = requireBucket(request);
  const key = requireKey(request);
  const description = describeObject(request);
  // Asked before the body, to spare it, and again with the commit, which decides.
  checkWrite(request, service);
  const { segments, sizeBytes, md5Hex, checksum } = await receiveBody(request, storage.blobs);
  const unpin = storage.blobs.pin(segments);
  try {
    const version = commitVersion(request, service, {
      ...description,
      key,
      lastModifiedMs: clock.wallTimeMs(),
      etag: md5Hex,
      sizeBytes,
      segments,
      checksum: checksum === undefined ? undefined : { ...checksum, type: 'FULL_OBJECT' },
    });
    const headers = {
      etag: `"${version.etag}"`,
      ...checksumHeaders(version),
      ...keyHeaders(version.customerKeyMd5),
      ...versionHeaders(version, storage.bucket(bucketName)),
    };
    return emptyResponse(200, headers);
  } finally {
    unpin();
  }
};

/** Throws S3Error when If-Match or If-None-Match do not hold, or the bucket is missing. */
export function checkWrite(request: S3Request, { storage }: Service): void {
  const current = storage.bucket(requireBucket(request)).live.get(requireKey(request));
  checkWriteConditions(
    { ifMatch: header(request, 'if-match'), ifNoneMatch: header(request, 'if-none-match') },
    current,
  );
}

/** Checks the conditions and publishes the version in one synchronous step: of several racing writers one wins. */
export function commitVersion(
  request: S3Request,
  service: Service,
  draft: NewVersion,
  ...further: readonly JournalRecord[]
): ObjectVersion {
  checkWrite(request, service);
  const [version] = service.storage.putVersions(requireBucket(request), [draft], ...further);
  return version as ObjectVersion;
}
