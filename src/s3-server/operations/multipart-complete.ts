/** CompleteMultipartUpload: checks the list of parts and publishes their concatenation, without moving a byte. */
import { createHash } from 'node:crypto';
import type { Handler } from '../service.js';
import type { Upload } from '../bucket.js';
import { CHECKSUM_ALGORITHMS, checksumElement, combineParts } from '../checksums.js';
import { S3Error } from '../errors.js';
import type { ObjectChecksum, UploadPart } from '../model.js';
import { announcedChecksum, versionHeaders } from '../object-headers.js';
import { header, type S3Request } from '../request.js';
import { xmlResponse } from '../responses.js';
import { requireBucket, requireKey } from '../target.js';
import { receiveXml } from '../upload-body.js';
import { childNodes, childText, parseXml, type XmlNode } from '../xml.js';
import { PART_NUMBER_MAX } from './multipart.js';
import { commitVersion } from './put-object.js';

/** S3's minimum for all parts but the last. */
const PART_BYTES_MIN = 5 * 1024 * 1024;
const OBJECT_BYTES_MAX = 5 * 1024 ** 4;

export const completeMultipartUpload: Handler = async (request, service) => {
  const { storage, clock } = service;
  const uploadId = request.query.get('uploadId') ?? '';
  const key = requireKey(request);
  const bucket = storage.bucket(requireBucket(request));
  bucket.upload(uploadId, key);
  const listed = listedParts(parseXml(await receiveXmlWithoutDigest(request), 'CompleteMultipartUpload'));
  const upload = bucket.upload(uploadId, key);
  const parts = listed.map((part) => findPart(upload, part));
  checkSizes(parts, header(request, 'x-amz-mp-object-size'));
  const checksum = await checksumOf(request, upload, parts);
  // Again, after the await: the upload may have been completed or aborted, or a part replaced.
  if (parts.some((part) => bucket.upload(uploadId, key).parts.get(part.partNumber) !== part))
    throw invalidPart();

  const { headers, metadata, storageClass, tags, customerKeyMd5 } = upload.description;
  const draft = {
    key,
    headers,
    metadata,
    storageClass,
    tags,
    customerKeyMd5,
    checksum,
    lastModifiedMs: clock.wallTimeMs(),
    etag: multipartEtag(parts),
    sizeBytes: parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    segments: parts.flatMap(({ segments }) => segments),
    parts: parts.map(({ sizeBytes, checksum }) => ({ sizeBytes, checksum })),
  };
  const version = commitVersion(request, service, draft, {
    type: 'upload-removed',
    bucket: bucket.name,
    uploadId,
  });
  const content = {
    Location: `/${bucket.name}/${encodeURIComponent(key)}`,
    Bucket: bucket.name,
    Key: key,
    ETag: `"${version.etag}"`,
    ...(checksum === undefined
      ? {}
      : { [checksumElement(checksum.algorithm)]: checksum.value, ChecksumType: checksum.type }),
  };
  return xmlResponse('CompleteMultipartUploadResult', content, versionHeaders(version, bucket));
};

/** Here `x-amz-checksum-…` is about the object, not about the document. */
function receiveXmlWithoutDigest(request: S3Request): Promise<string> {
  const headers = Object.fromEntries(
    Object.entries(request.headers).filter(([name]) => !name.startsWith('x-amz-checksum-')),
  );
  return receiveXml({ ...request, headers });
}

interface ListedPart {
  readonly partNumber: number;
  readonly etag: string;
  readonly checksums: ReadonlyMap<string, string>;
}

function listedParts(document: XmlNode): ListedPart[] {
  const nodes = childNodes(document, 'Part');
  if (nodes.length === 0 || nodes.length > PART_NUMBER_MAX)
    throw new S3Error(
      'MalformedXML',
      `CompleteMultipartUpload takes 1 to ${PART_NUMBER_MAX} parts, got ${nodes.length}`,
    );
  const parts = nodes.map((node): ListedPart => {
    const checksums = CHECKSUM_ALGORITHMS.flatMap((algorithm) => {
      const value = childText(node, checksumElement(algorithm));
      return value === undefined ? [] : [[algorithm, value] as const];
    });
    const etag = (childText(node, 'ETag') ?? '').replaceAll('"', '');
    return { partNumber: Number(childText(node, 'PartNumber')), etag, checksums: new Map(checksums) };
  });
  if (parts.some(({ partNumber }, i) => partNumber <= (parts[i - 1]?.partNumber ?? 0)))
    throw new S3Error(
      'InvalidPartOrder',
      'The list of parts was not in ascending order. Parts must be ordered by part number.',
    );
  return parts;
}

function findPart(upload: Upload, listed: ListedPart): UploadPart {
  const part = upload.parts.get(listed.partNumber);
  if (part === undefined || part.etag !== listed.etag) throw invalidPart();
  const { checksumAlgorithm } = upload.description;
  for (const [algorithm, value] of listed.checksums) {
    if (algorithm === checksumAlgorithm && value !== part.checksum) throw invalidPart();
  }
  return part;
}

function checkSizes(parts: readonly UploadPart[], announcedBytes: string | undefined): void {
  const small = parts.slice(0, -1).find(({ sizeBytes }) => sizeBytes < PART_BYTES_MIN);
  if (small !== undefined) {
    throw new S3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size', {
      elements: {
        ProposedSize: String(small.sizeBytes),
        MinSizeAllowed: String(PART_BYTES_MIN),
        PartNumber: String(small.partNumber),
      },
    });
  }
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  if (sizeBytes > OBJECT_BYTES_MAX)
    throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed object size.');
  if (announcedBytes !== undefined && Number(announcedBytes) !== sizeBytes)
    throw new S3Error(
      'InvalidRequest',
      `The provided 'x-amz-mp-object-size' header value ${announcedBytes} does not match what was computed: ${sizeBytes}`,
    );
}

/** Compares with the checksum of the object, where the client gives one. */
async function checksumOf(
  request: S3Request,
  upload: Upload,
  parts: readonly UploadPart[],
): Promise<ObjectChecksum | undefined> {
  const { checksumAlgorithm, checksumType } = upload.description;
  if (checksumAlgorithm === undefined || checksumType === undefined) return undefined;
  const checksum = await combineParts(checksumAlgorithm, checksumType, parts);
  const announced = announcedChecksum(request);
  if (announced === undefined || announced.algorithm !== checksumAlgorithm) return checksum;
  if (checksum?.value.split('-')[0] === announced.value.split('-')[0]) return checksum;
  throw new S3Error(
    'BadDigest',
    `The ${checksumAlgorithm} you specified did not match the calculated checksum.`,
  );
}

function multipartEtag(parts: readonly UploadPart[]): string {
  const md5 = createHash('md5');
  for (const part of parts) md5.update(Buffer.from(part.etag, 'hex'));
  return `${md5.digest('hex')}-${parts.length}`;
}

function invalidPart(): S3Error {
  return new S3Error(
    'InvalidPart',
    "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
  );
}
