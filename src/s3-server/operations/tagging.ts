/** Tags of objects: get, put, delete. */
import type { Handler, Service } from '../service.js';
import type { S3Request } from '../request.js';
import { versionHeaders } from '../object-headers.js';
import { emptyResponse, xmlResponse } from '../responses.js';
import { parseTagDocument, tagDocument, type Tags } from '../tags.js';
import { findVersion, requireBucket, requireKey } from '../target.js';
import { receiveXml } from '../upload-body.js';
import { parseXml } from '../xml.js';

export const getObjectTagging: Handler = async (request, { storage }) => {
  const bucket = storage.bucket(requireBucket(request));
  const version = findVersion(bucket, requireKey(request), request.query.get('versionId'));
  return xmlResponse('Tagging', tagDocument(version.tags), versionHeaders(version, bucket));
};

export const putObjectTagging: Handler = async (request, service) => {
  const tags = parseTagDocument(parseXml(await receiveXml(request), 'Tagging'));
  return emptyResponse(200, setTags(request, service, tags));
};

export const deleteObjectTagging: Handler = async (request, service) =>
  emptyResponse(204, setTags(request, service, {}));

function setTags(request: S3Request, { storage }: Service, tags: Tags): Record<string, string> {
  const bucket = storage.bucket(requireBucket(request));
  const { key, versionId } = findVersion(bucket, requireKey(request), request.query.get('versionId'));
  storage.commit({ type: 'tags-set', bucket: bucket.name, key, versionId, tags });
  return versionHeaders({ versionId }, bucket);
}
