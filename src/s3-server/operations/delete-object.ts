/** DeleteObject and DeleteObjects. */
import type { Handler } from '../service.js';
import { matchesEtag } from '../conditions.js';
import { S3Error } from '../errors.js';
import { header } from '../request.js';
import { emptyResponse, xmlResponse } from '../responses.js';
import type { Storage } from '../storage.js';
import { requireBucket, requireKey } from '../target.js';
import { receiveXml } from '../upload-body.js';
import { childNodes, childText, parseXml, type XmlElement, type XmlNode } from '../xml.js';

/** The limit of S3. */
const DELETE_KEYS_MAX = 1000;

export const deleteObject: Handler = async (request, { storage }) => {
  const bucket = requireBucket(request);
  const key = requireKey(request);
  checkIfMatch(storage, bucket, key, header(request, 'if-match'));
  const { versionId, deleteMarker } = storage.deleteObject(bucket, key, request.query.get('versionId'));
  return emptyResponse(204, {
    ...(versionId === undefined ? {} : { 'x-amz-version-id': versionId }),
    ...(deleteMarker ? { 'x-amz-delete-marker': 'true' } : {}),
  });
};

export const deleteObjects: Handler = async (request, { storage }) => {
  const document = parseXml(await receiveXml(request), 'Delete');
  const bucket = storage.bucket(requireBucket(request)).name;
  const objects = childNodes(document, 'Object');
  if (objects.length === 0 || objects.length > DELETE_KEYS_MAX)
    throw new S3Error('MalformedXML', `Delete takes 1 to ${DELETE_KEYS_MAX} objects, got ${objects.length}`);
  const quiet = childText(document, 'Quiet') === 'true';
  const results = objects.map((object) => deleteOne(storage, bucket, object));
  return xmlResponse('DeleteResult', {
    Deleted: quiet ? [] : results.flatMap(({ deleted }) => (deleted === undefined ? [] : [deleted])),
    Error: results.flatMap(({ error }) => (error === undefined ? [] : [error])),
  });
};

function deleteOne(
  storage: Storage,
  bucket: string,
  object: XmlNode,
): { deleted?: XmlElement; error?: XmlElement } {
  const Key = childText(object, 'Key');
  const VersionId = childText(object, 'VersionId');
  if (Key === undefined || Key === '')
    throw new S3Error('MalformedXML', 'An Object of the Delete document has no Key');
  try {
    checkIfMatch(storage, bucket, Key, childText(object, 'ETag'));
    const result = storage.deleteObject(bucket, Key, VersionId);
    const marker = result.deleteMarker ? { DeleteMarker: true, DeleteMarkerVersionId: result.versionId } : {};
    return { deleted: { Key, VersionId, ...marker } };
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    return { error: { Key, VersionId, Code: error.code, Message: error.message } };
  }
}

/** Deleting what is not there succeeds without a condition, and fails with one. */
function checkIfMatch(storage: Storage, bucket: string, key: string, ifMatch: string | undefined): void {
  if (ifMatch === undefined) return;
  const current = storage.bucket(bucket).live.get(key);
  if (current === undefined)
    throw new S3Error('NoSuchKey', 'The specified key does not exist.', { elements: { Key: key } });
  if (!matchesEtag(ifMatch, current.etag))
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
}
