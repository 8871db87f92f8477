/** Which handler answers which operation. */
import type { OperationName } from './operation-names.js';
import * as buckets from './operations/buckets.js';
import { copyObject } from './operations/copy-object.js';
import { deleteObject, deleteObjects } from './operations/delete-object.js';
import { getObject, getObjectAttributes, headObject } from './operations/get-object.js';
import { listObjects, listObjectsV2 } from './operations/list-objects.js';
import { listObjectVersions } from './operations/list-versions.js';
import { completeMultipartUpload } from './operations/multipart-complete.js';
import { listMultipartUploads, listParts } from './operations/multipart-list.js';
import * as multipart from './operations/multipart.js';
import { putObject } from './operations/put-object.js';
import * as tagging from './operations/tagging.js';
import type { Handler } from './service.js';

export const HANDLERS: Readonly<Record<OperationName, Handler>> = {
  AbortMultipartUpload: multipart.abortMultipartUpload,
  CompleteMultipartUpload: completeMultipartUpload,
  CopyObject: copyObject,
  CreateBucket: buckets.createBucket,
  CreateMultipartUpload: multipart.createMultipartUpload,
  DeleteBucket: buckets.deleteBucket,
  DeleteObject: deleteObject,
  DeleteObjects: deleteObjects,
  DeleteObjectTagging: tagging.deleteObjectTagging,
  GetBucketLocation: buckets.getBucketLocation,
  GetBucketVersioning: buckets.getBucketVersioning,
  GetObject: getObject,
  GetObjectAttributes: getObjectAttributes,
  GetObjectTagging: tagging.getObjectTagging,
  HeadBucket: buckets.headBucket,
  HeadObject: headObject,
  ListBuckets: buckets.listBuckets,
  ListMultipartUploads: listMultipartUploads,
  ListObjects: listObjects,
  ListObjectsV2: listObjectsV2,
  ListObjectVersions: listObjectVersions,
  ListParts: listParts,
  PutBucketVersioning: buckets.putBucketVersioning,
  PutObject: putObject,
  PutObjectTagging: tagging.putObjectTagging,
  UploadPart: multipart.uploadPart,
  UploadPartCopy: multipart.uploadPartCopy,
};

/** What an unsigned client may do where anonymous reading is allowed. */
export const ANONYMOUS_OPERATIONS: ReadonlySet<OperationName> = new Set<OperationName>([
  'GetBucketLocation',
  'GetObject',
  'HeadBucket',
  'HeadObject',
  'ListObjects',
  'ListObjectsV2',
  'ListObjectVersions',
]);
