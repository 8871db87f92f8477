/** Writes to a bucket for tests, by the AWS SDK: Sluice itself only reads yet. The tests' only importer of the SDK. */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { ChecksumAlgorithm, ChecksumType } from '@aws-sdk/client-s3';
import type { DigestKind } from '../../src/object-store/object-store.js';

export interface S3WriterOptions {
  readonly endpointUrl: string;
  readonly bucket: string;
  /** Left out: those of the environment. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
}

export class S3Writer {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor({ endpointUrl, bucket, credentials }: S3WriterOptions) {
    const region = process.env['AWS_REGION'] ?? 'us-east-1';
    const config = { endpoint: endpointUrl, region, forcePathStyle: true };
    this.#client = new S3Client(credentials ? { ...config, credentials } : config);
    this.#bucket = bucket;
  }

  /** @param checksum default: the SDK's choice */
  async put(key: string, body: Uint8Array, checksum?: DigestKind): Promise<void> {
    const ChecksumAlgorithm = checksum?.toUpperCase() as ChecksumAlgorithm | undefined;
    await this.#client.send(
      new PutObjectCommand({ Bucket: this.#bucket, Key: key, Body: body, ChecksumAlgorithm }),
    );
  }

  /**
   * As one multipart upload; every part but the last needs 5 MiB.
   * @param checksum of the parts, and of the whole where it is a CRC; default: the SDK's choice
   */
  async putParts(
    key: string,
    parts: readonly Uint8Array[],
    checksum: { readonly ChecksumAlgorithm?: ChecksumAlgorithm; readonly ChecksumType?: ChecksumType } = {},
  ): Promise<void> {
    const target = { Bucket: this.#bucket, Key: key };
    const { UploadId } = await this.#client.send(
      new CreateMultipartUploadCommand({ ...target, ...checksum }),
    );
    const { ChecksumAlgorithm } = checksum;
    const upload = { ...target, UploadId };
    const uploaded = [];
    for (const [index, Body] of parts.entries()) {
      const PartNumber = index + 1;
      const { ETag } = await this.#client.send(
        new UploadPartCommand({ ...upload, PartNumber, Body, ChecksumAlgorithm }),
      );
      uploaded.push({ PartNumber, ETag });
    }
    await this.#client.send(
      new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: uploaded } }),
    );
  }

  async delete(key: string): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key }));
  }

  close(): void {
    this.#client.destroy();
  }
}
