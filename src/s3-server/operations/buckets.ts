/** Calls on buckets: list, create, head, delete, location, versioning. */
import type { Handler } from '../service.js';
import { S3Error } from '../errors.js';
import type { JournalRecord } from '../model.js';
import { emptyResponse, xmlResponse } from '../responses.js';
import { requireBucket } from '../target.js';
import { receiveXml } from '../upload-body.js';
import { childText, parseXml } from '../xml.js';

/** The rules for new buckets, without those about resemblance to other names. */
const BUCKET_NAME = /^(?=.{3,63}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])$/;
const IP_ADDRESS = /^\d+\.\d+\.\d+\.\d+$/;

/** Throws S3Error InvalidBucketName. */
export function checkBucketName(name: string): void {
  if (BUCKET_NAME.test(name) && !name.includes('..') && !IP_ADDRESS.test(name)) return;
  const expected = '3 to 63 small letters, digits, dots and hyphens, a letter or digit at either end';
  throw new S3Error(
    'InvalidBucketName',
    `The specified bucket is not valid: expected ${expected}, got ${JSON.stringify(name)}`,
    { elements: { BucketName: name } },
  );
}

export const listBuckets: Handler = async (_request, { storage, region }) => {
  const buckets = [...storage.buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return xmlResponse('ListAllMyBucketsResult', {
    Owner: { ID: 'sluice', DisplayName: 'sluice' },
    Buckets: {
      Bucket: buckets.map(({ name, createdMs }) => ({
        Name: name,
        CreationDate: new Date(createdMs).toISOString(),
        BucketRegion: region,
      })),
    },
  });
};

export const createBucket: Handler = async (request, { storage, clock, region }) => {
  const name = requireBucket(request);
  checkBucketName(name);
  const body = await receiveXml(request);
  const wanted =
    body === '' ? undefined : childText(parseXml(body, 'CreateBucketConfiguration'), 'LocationConstraint');
  if (wanted !== undefined && wanted !== region)
    throw new S3Error(
      'InvalidArgument',
      `The location constraint '${wanted}' is not '${region}', where this server is`,
    );
  if (storage.buckets.has(name)) {
    throw new S3Error(
      'BucketAlreadyOwnedByYou',
      'Your previous request to create the named bucket succeeded and you already own it.',
      {
        elements: { BucketName: name },
      },
    );
  }
  storage.commit({ type: 'bucket-created', bucket: name, createdMs: clock.wallTimeMs() });
  return emptyResponse(200, { location: `/${name}` });
};

export const headBucket: Handler = async (request, { storage, region }) => {
  storage.bucket(requireBucket(request));
  return emptyResponse(200, { 'x-amz-bucket-region': region });
};

export const deleteBucket: Handler = async (request, { storage }) => {
  const bucket = storage.bucket(requireBucket(request));
  if (!bucket.isEmpty)
    throw new S3Error('BucketNotEmpty', 'The bucket you tried to delete is not empty', {
      elements: { BucketName: bucket.name },
    });
  const uploads = [...bucket.uploads.keys()].map((uploadId): JournalRecord => ({
    type: 'upload-removed',
    bucket: bucket.name,
    uploadId,
  }));
  storage.commit(...uploads, { type: 'bucket-deleted', bucket: bucket.name });
  return emptyResponse(204);
};

/** us-east-1 is the empty constraint, for reasons of history. */
export const getBucketLocation: Handler = async (request, { storage, region }) => {
  storage.bucket(requireBucket(request));
  return xmlResponse('LocationConstraint', region === 'us-east-1' ? '' : region);
};

export const getBucketVersioning: Handler = async (request, { storage }) => {
  const { versioning } = storage.bucket(requireBucket(request));
  return xmlResponse('VersioningConfiguration', {
    Status: versioning === 'Unversioned' ? undefined : versioning,
  });
};

export const putBucketVersioning: Handler = async (request, { storage }) => {
  const configuration = parseXml(await receiveXml(request), 'VersioningConfiguration');
  const bucket = storage.bucket(requireBucket(request));
  const status = childText(configuration, 'Status');
  if (status !== 'Enabled' && status !== 'Suspended')
    throw new S3Error('MalformedXML', 'The versioning status must be Enabled or Suspended');
  storage.commit({ type: 'versioning-set', bucket: bucket.name, status });
  return emptyResponse(200);
};
