/**
 * The server's contents without HTTP: what tests and the demo use to prepare a bucket. server.ts offers it as part
 * of `S3Server`. Changes made here are seen by the next request and are as durable as those made over HTTP.
 */
import { createHash } from 'node:crypto';
import { validateHeaderValue } from 'node:http';
import type { Clock } from '../runtime/clock.js';
import { startChecksum } from './checksums.js';
import { S3Error } from './errors.js';
import {
  INLINE_BYTES_MAX,
  inlineSegments,
  type ChecksumAlgorithm,
  type ObjectDescription,
  type ObjectPart,
  type Segment,
  type VersioningStatus,
} from './model.js';
import { checkedStorageClass } from './object-headers.js';
import { checkBucketName } from './operations/buckets.js';
import { checkKeyLength } from './request.js';
import type { NewVersion, Storage } from './storage.js';

export interface PutOptions {
  /** Default: now. */
  readonly lastModifiedMs?: number | undefined;
  readonly storageClass?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly contentType?: string | undefined;
}

export interface PutObjectOptions extends PutOptions {
  readonly checksumAlgorithm?: ChecksumAlgorithm | undefined;
}

export interface PutSyntheticOptions extends PutOptions {
  readonly size: number;
  readonly seed: number;
  /** Pretends a multipart upload with parts of this size, for the form of the ETag and partNumber. */
  readonly partBytes?: number | undefined;
}

/** The limit of S3. */
const SYNTHETIC_BYTES_MAX = 5 * 1024 ** 4;
const PARTS_MAX = 10_000;
/** Versions per append to the journal in a bulk insert. */
const BATCH = 5000;

export class LocalAccess {
  readonly #storage: Storage;
  readonly #clock: Clock;

  constructor(storage: Storage, clock: Clock) {
    this.#storage = storage;
    this.#clock = clock;
  }

  /** Does nothing when the bucket exists. */
  async createBucket(bucket: string): Promise<void> {
    checkBucketName(bucket);
    if (this.#storage.buckets.has(bucket)) return;
    this.#storage.commit({ type: 'bucket-created', bucket, createdMs: this.#clock.wallTimeMs() });
  }

  async setVersioning(bucket: string, status: Exclude<VersioningStatus, 'Unversioned'>): Promise<void> {
    this.#storage.bucket(bucket);
    this.#storage.commit({ type: 'versioning-set', bucket, status });
  }

  async putObject(
    bucket: string,
    key: string,
    body: Uint8Array | string,
    options: PutObjectOptions = {},
  ): Promise<{ etag: string }> {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const checksum =
      options.checksumAlgorithm === undefined
        ? undefined
        : await fullChecksum(options.checksumAlgorithm, bytes);
    const segments = await this.#store(bytes);
    const unpin = this.#storage.blobs.pin(segments);
    try {
      const etag = createHash('md5').update(bytes).digest('hex');
      const draft = { ...this.#describe(key, options), etag, sizeBytes: bytes.length, segments, checksum };
      this.#storage.putVersions(bucket, [draft]);
      return { etag };
    } finally {
      unpin();
    }
  }

  /** An object of `size` bytes of the pattern `seed` (src/runtime/pattern.ts), made when it is read. */
  async putSynthetic(bucket: string, key: string, options: PutSyntheticOptions): Promise<{ etag: string }> {
    const { size, seed, partBytes } = options;
    if (!Number.isSafeInteger(size) || size < 0 || size > SYNTHETIC_BYTES_MAX)
      throw new RangeError(`size must be a whole number from 0 to ${SYNTHETIC_BYTES_MAX}, got ${size}`);
    const parts = partBytes === undefined ? undefined : partsOf(size, partBytes);
    const digest = createHash('md5')
      .update(`pattern ${seed} ${size} ${partBytes ?? ''}`)
      .digest('hex');
    const etag = parts === undefined ? digest : `${digest}-${parts.length}`;
    const segments: Segment[] = size === 0 ? [] : [{ kind: 'pattern', seed, offset: 0, length: size }];
    this.#storage.putVersions(bucket, [
      { ...this.#describe(key, options), etag, sizeBytes: size, segments, parts },
    ]);
    return { etag };
  }

  /** Adds one tiny object per key, all with the same body: tens of thousands per second. Returns how many. */
  async putMany(
    bucket: string,
    keys: Iterable<string>,
    options: PutOptions & { readonly body?: string | undefined } = {},
  ): Promise<number> {
    const bytes = Buffer.from(options.body ?? 'x');
    const segments = inlineSegments(bytes);
    const etag = createHash('md5').update(bytes).digest('hex');
    let count = 0;
    let batch: NewVersion[] = [];
    const flush = () => {
      this.#storage.putVersions(bucket, batch);
      count += batch.length;
      batch = [];
    };
    for (const key of keys) {
      batch.push({ ...this.#describe(key, options), etag, sizeBytes: bytes.length, segments });
      if (batch.length === BATCH) flush();
    }
    flush();
    return count;
  }

  /** As DeleteObject: succeeds when there is no such key. */
  async deleteObject(bucket: string, key: string): Promise<void> {
    this.#storage.deleteObject(bucket, key);
  }

  async #store(bytes: Uint8Array): Promise<Segment[]> {
    if (bytes.length <= INLINE_BYTES_MAX) return inlineSegments(bytes);
    const blob = await this.#storage.blobs.create();
    try {
      await blob.write(bytes);
      await blob.publish();
    } catch (error) {
      await blob.discard();
      throw error;
    }
    return blob.segments;
  }

  #describe(
    key: string,
    options: PutOptions,
  ): ObjectDescription & Pick<NewVersion, 'key' | 'lastModifiedMs'> {
    checkKeyLength(key);
    if (key === '' || /\p{Surrogate}/u.test(key))
      throw new S3Error(
        'InvalidURI',
        `a key must be a well-formed text that is not empty, got ${JSON.stringify(key)}`,
      );
    const metadata: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.metadata ?? {})) {
      validateHeaderValue(name, value);
      metadata[name.toLowerCase()] = value;
    }
    return {
      key,
      lastModifiedMs: options.lastModifiedMs ?? this.#clock.wallTimeMs(),
      headers: options.contentType === undefined ? {} : { 'content-type': options.contentType },
      metadata,
      storageClass: checkedStorageClass(options.storageClass ?? 'STANDARD'),
      tags: {},
    };
  }
}

async function fullChecksum(algorithm: ChecksumAlgorithm, bytes: Uint8Array) {
  const checksum = startChecksum(algorithm);
  checksum.update(bytes);
  return { algorithm, value: await checksum.digest(), type: 'FULL_OBJECT' as const };
}

function partsOf(size: number, partBytes: number): ObjectPart[] {
  const count = Math.ceil(size / partBytes);
  if (!Number.isSafeInteger(count) || count < 1 || count > PARTS_MAX)
    throw new RangeError(`partBytes must make 1 to ${PARTS_MAX} parts of ${size} bytes, got ${partBytes}`);
  return Array.from({ length: count }, (_, i) => ({ sizeBytes: Math.min(partBytes, size - i * partBytes) }));
}
