/** Which S3 operation a request is: from method, target and query alone. Used by the router, faults and counters. */
import { S3Error } from './errors.js';
import type { RequestTarget } from './request.js';

export type OperationName =
  | 'AbortMultipartUpload'
  | 'CompleteMultipartUpload'
  | 'CopyObject'
  | 'CreateBucket'
  | 'CreateMultipartUpload'
  | 'DeleteBucket'
  | 'DeleteObject'
  | 'DeleteObjects'
  | 'DeleteObjectTagging'
  | 'GetBucketLocation'
  | 'GetBucketVersioning'
  | 'GetObject'
  | 'GetObjectAttributes'
  | 'GetObjectTagging'
  | 'HeadBucket'
  | 'HeadObject'
  | 'ListBuckets'
  | 'ListMultipartUploads'
  | 'ListObjects'
  | 'ListObjectsV2'
  | 'ListObjectVersions'
  | 'ListParts'
  | 'PutBucketVersioning'
  | 'PutObject'
  | 'PutObjectTagging'
  | 'UploadPart'
  | 'UploadPartCopy';

/** Query parameters that name a part of a bucket or object and so change the operation. */
const SUBRESOURCES = [
  'accelerate', 'acl', 'analytics', 'attributes', 'cors', 'delete', 'encryption', 'intelligent-tiering', 'inventory',
  'legal-hold', 'lifecycle', 'location', 'logging', 'metrics', 'notification', 'object-lock', 'ownershipControls',
  'policy', 'policyStatus', 'publicAccessBlock', 'replication', 'requestPayment', 'restore', 'retention', 'select',
  'tagging', 'torrent', 'uploadId', 'uploads', 'versioning', 'versions', 'website',
] as const; // prettier-ignore

type RouteKey = `${string} ${string}`;

const SERVICE_ROUTES: Readonly<Record<RouteKey, OperationName>> = { 'GET ': 'ListBuckets' };

const BUCKET_ROUTES: Readonly<Record<RouteKey, OperationName>> = {
  'GET ': 'ListObjects',
  'GET location': 'GetBucketLocation',
  'GET uploads': 'ListMultipartUploads',
  'GET versioning': 'GetBucketVersioning',
  'GET versions': 'ListObjectVersions',
  'HEAD ': 'HeadBucket',
  'PUT ': 'CreateBucket',
  'PUT versioning': 'PutBucketVersioning',
  'POST delete': 'DeleteObjects',
  'DELETE ': 'DeleteBucket',
};

const OBJECT_ROUTES: Readonly<Record<RouteKey, OperationName>> = {
  'GET ': 'GetObject',
  'GET attributes': 'GetObjectAttributes',
  'GET tagging': 'GetObjectTagging',
  'GET uploadId': 'ListParts',
  'HEAD ': 'HeadObject',
  'PUT ': 'PutObject',
  'PUT tagging': 'PutObjectTagging',
  'PUT uploadId': 'UploadPart',
  'POST uploads': 'CreateMultipartUpload',
  'POST uploadId': 'CompleteMultipartUpload',
  'DELETE ': 'DeleteObject',
  'DELETE tagging': 'DeleteObjectTagging',
  'DELETE uploadId': 'AbortMultipartUpload',
};

/** Throws S3Error MethodNotAllowed or NotImplemented for what is not among them. */
export function operationOf(target: RequestTarget): OperationName {
  const subresource = SUBRESOURCES.find((name) => target.query.has(name)) ?? '';
  const routes = routesOf(target);
  const operation = routes[`${target.method} ${subresource}`];
  if (operation === undefined) {
    if (subresource !== '' && ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'].includes(target.method))
      throw new S3Error(
        'NotImplemented',
        `${target.method} ?${subresource} is not implemented by this server`,
      );
    throw new S3Error('MethodNotAllowed', 'The specified method is not allowed against this resource.', {
      elements: { Method: target.method },
    });
  }
  if (operation === 'ListObjects' && target.query.get('list-type') === '2') return 'ListObjectsV2';
  const isCopy = target.headers['x-amz-copy-source'] !== undefined;
  if (operation === 'PutObject' && isCopy) return 'CopyObject';
  if (operation === 'UploadPart' && isCopy) return 'UploadPartCopy';
  return operation;
}

function routesOf(target: RequestTarget): Readonly<Record<RouteKey, OperationName>> {
  if (target.bucket === undefined) return SERVICE_ROUTES;
  return target.key === undefined ? BUCKET_ROUTES : OBJECT_ROUTES;
}
