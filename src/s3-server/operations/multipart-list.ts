/** ListMultipartUploads and ListParts. */
import type { Handler } from '../service.js';
import { checksumElement } from '../checksums.js';
import { compareKeys } from '../key-index.js';
import { commonPrefixOf } from '../listing.js';
import { queryInteger } from '../request.js';
import { xmlResponse } from '../responses.js';
import { requireBucket, requireKey } from '../target.js';
import { listOptions } from './list-objects.js';
import { PART_NUMBER_MAX } from './multipart.js';

const PAGE_MAX = 1000;
const OWNER = { ID: 'sluice', DisplayName: 'sluice' };

export const listMultipartUploads: Handler = async (request, { storage }) => {
  const bucket = storage.bucket(requireBucket(request));
  const { prefix, delimiter, encode, encodingType } = listOptions(request);
  const max = Math.min(queryInteger(request, 'max-uploads', 2 ** 31 - 1) ?? PAGE_MAX, PAGE_MAX);
  const keyMarker = request.query.get('key-marker') ?? '';
  const idMarker = request.query.get('upload-id-marker') ?? '';
  const isAfter = (key: string, uploadId: string) => {
    const order = compareKeys(key, keyMarker);
    return order > 0 || (order === 0 && idMarker !== '' && uploadId > idMarker);
  };
  const uploads = [...bucket.uploads.values()]
    .map(({ description }) => description)
    .filter(({ key, uploadId }) => key.startsWith(prefix) && isAfter(key, uploadId))
    .sort((a, b) => compareKeys(a.key, b.key) || (a.uploadId < b.uploadId ? -1 : 1));
  const shown = uploads.filter(({ key }) => commonPrefixOf(key, prefix, delimiter) === undefined);
  const page = shown.slice(0, max);
  const isTruncated = max > 0 && page.length < shown.length;
  const prefixes = new Set(uploads.flatMap(({ key }) => commonPrefixOf(key, prefix, delimiter) ?? []));
  return xmlResponse('ListMultipartUploadsResult', {
    Bucket: bucket.name,
    KeyMarker: encode(keyMarker),
    UploadIdMarker: idMarker,
    NextKeyMarker: isTruncated ? encode(page.at(-1)?.key ?? '') : undefined,
    NextUploadIdMarker: isTruncated ? page.at(-1)?.uploadId : undefined,
    Prefix: encode(prefix),
    Delimiter: delimiter === '' ? undefined : encode(delimiter),
    EncodingType: encodingType,
    MaxUploads: max,
    IsTruncated: isTruncated,
    Upload: page.map((upload) => ({
      Key: encode(upload.key),
      UploadId: upload.uploadId,
      Initiator: OWNER,
      Owner: OWNER,
      StorageClass: upload.storageClass,
      Initiated: new Date(upload.initiatedMs).toISOString(),
      ChecksumAlgorithm: upload.checksumAlgorithm,
      ChecksumType: upload.checksumType,
    })),
    CommonPrefixes: [...prefixes].map((commonPrefix) => ({ Prefix: encode(commonPrefix) })),
  });
};

export const listParts: Handler = async (request, { storage }) => {
  const bucket = storage.bucket(requireBucket(request));
  const uploadId = request.query.get('uploadId') ?? '';
  const { description, parts } = bucket.upload(uploadId, requireKey(request));
  const marker = queryInteger(request, 'part-number-marker', PART_NUMBER_MAX) ?? 0;
  const max = Math.min(queryInteger(request, 'max-parts', 2 ** 31 - 1) ?? PAGE_MAX, PAGE_MAX);
  const rest = [...parts.values()]
    .filter(({ partNumber }) => partNumber > marker)
    .sort((a, b) => a.partNumber - b.partNumber);
  const page = rest.slice(0, max);
  const algorithm = description.checksumAlgorithm;
  return xmlResponse('ListPartsResult', {
    Bucket: bucket.name,
    Key: description.key,
    UploadId: uploadId,
    PartNumberMarker: marker,
    NextPartNumberMarker: page.at(-1)?.partNumber ?? 0,
    MaxParts: max,
    IsTruncated: page.length < rest.length,
    Initiator: OWNER,
    Owner: OWNER,
    StorageClass: description.storageClass,
    ChecksumAlgorithm: algorithm,
    ChecksumType: description.checksumType,
    Part: page.map((part) => ({
      PartNumber: part.partNumber,
      LastModified: new Date(part.lastModifiedMs).toISOString(),
      ETag: `"${part.etag}"`,
      Size: part.sizeBytes,
      ...(algorithm === undefined ? {} : { [checksumElement(algorithm)]: part.checksum }),
    })),
  });
};
