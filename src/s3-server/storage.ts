/**
 * The state of the server: buckets, versions, multipart uploads. Handlers read it freely and change it only
 * through `commit`, which writes the journal and applies the same records to memory in one synchronous step.
 * So a handler that checks a precondition and commits without an await between is atomic.
 */
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { unreachable } from '../runtime/assert.js';
import type { Clock } from '../runtime/clock.js';
import { makeFolder } from '../runtime/make-folder.js';
import { BlobStore } from './blob-store.js';
import { Bucket } from './bucket.js';
import { lockDirectory } from './dir-lock.js';
import { S3Error } from './errors.js';
import { Journal } from './journal.js';
import type { JournalRecord, ObjectVersion, Segment } from './model.js';

/** Rewriting pays when the journal holds this many times more records than the state needs. */
const COMPACTION_FACTOR = 2;

/** A version without what storage decides itself. */
export type NewVersion = Omit<ObjectVersion, 'versionId' | 'isDeleteMarker'>;

export interface DeleteResult {
  /** The version that was removed or, with `deleteMarker`, the marker that was added or removed. */
  readonly versionId?: string | undefined;
  readonly deleteMarker: boolean;
}

export class Storage {
  readonly blobs: BlobStore;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();
  readonly #journal: Journal;
  readonly #unlock: () => void;

  constructor(dir: string, clock: Clock) {
    makeFolder(resolve(dir), 0o777);
    this.#clock = clock;
    this.#unlock = lockDirectory(dir, join(dir, 'lock'));
    try {
      this.blobs = new BlobStore(dir);
      this.#journal = this.#load(join(dir, 'journal'));
    } catch (error) {
      this.#unlock();
      throw error;
    }
  }

  get buckets(): ReadonlyMap<string, Bucket> {
    return this.#buckets;
  }

  /** Throws S3Error NoSuchBucket. */
  bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (bucket !== undefined) return bucket;
    throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', {
      elements: { BucketName: name },
    });
  }

  commit(...records: readonly JournalRecord[]): void {
    this.#journal.append(records);
    for (const record of records) this.#apply(record);
  }

  /** Adds versions (one append for all); replaces the current ones where versioning is not enabled. */
  putVersions(
    bucketName: string,
    drafts: readonly NewVersion[],
    ...further: readonly JournalRecord[]
  ): ObjectVersion[] {
    const bucket = this.bucket(bucketName);
    const versions = drafts.map((draft) => ({
      ...draft,
      versionId: bucket.newVersionId(),
      isDeleteMarker: false,
    }));
    const puts = versions.map((version) => ({ type: 'version-put', bucket: bucketName, version }) as const);
    this.commit(...puts, ...further);
    return versions;
  }

  /** DeleteObject: removes a version for good, or hides the key behind a delete marker, as versioning demands. */
  deleteObject(bucketName: string, key: string, versionId?: string): DeleteResult {
    const bucket = this.bucket(bucketName);
    if (versionId !== undefined) {
      const version = bucket.version(key, versionId);
      if (version === undefined) return { versionId, deleteMarker: false };
      this.commit({ type: 'version-deleted', bucket: bucketName, key, versionId });
      return { versionId, deleteMarker: version.isDeleteMarker };
    }
    if (bucket.versioning === 'Unversioned') {
      if (bucket.live.get(key) !== undefined)
        this.commit({ type: 'version-deleted', bucket: bucketName, key, versionId: 'null' });
      return { deleteMarker: false };
    }
    const marker = deleteMarker(key, bucket.newVersionId(), this.#clock.wallTimeMs());
    this.commit({ type: 'version-put', bucket: bucketName, version: marker });
    return { versionId: marker.versionId, deleteMarker: true };
  }

  async close(): Promise<void> {
    await this.blobs.settle();
    this.#journal.close();
    this.#unlock();
  }

  #load(path: string): Journal {
    let recordsRead = 0;
    // Blobs that lose their last reference on the way are removed for good: no later record can need them.
    const journal = Journal.open(path, (record) => {
      recordsRead++;
      this.#apply(record);
    });
    const records = this.#snapshot();
    if (recordsRead > records.length * COMPACTION_FACTOR) journal.rewrite(records);
    this.blobs.sweep();
    return journal;
  }

  #apply(record: JournalRecord): void {
    switch (record.type) {
      case 'bucket-created':
        this.#buckets.set(record.bucket, new Bucket(record.bucket, record.createdMs, this.#clock));
        return;
      case 'bucket-deleted':
        this.#buckets.delete(record.bucket);
        return;
      case 'versioning-set':
        this.bucket(record.bucket).versioning = record.status;
        return;
      case 'version-put':
        this.#reference(record.version.segments);
        this.#release(this.bucket(record.bucket).putVersion(record.version)?.segments);
        return;
      case 'version-deleted':
        this.#release(this.bucket(record.bucket).removeVersion(record.key, record.versionId)?.segments);
        return;
      case 'tags-set':
        this.bucket(record.bucket).setTags(record.key, record.versionId, record.tags);
        return;
      case 'upload-created':
        this.bucket(record.bucket).createUpload(record.upload);
        return;
      case 'part-put': {
        const parts = this.bucket(record.bucket).upload(record.uploadId).parts;
        const replaced = parts.get(record.part.partNumber);
        this.#reference(record.part.segments);
        parts.set(record.part.partNumber, record.part);
        this.#release(replaced?.segments);
        return;
      }
      case 'upload-removed':
        for (const part of this.bucket(record.bucket).removeUpload(record.uploadId))
          this.#release(part.segments);
        return;
      default:
        unreachable(record);
    }
  }

  #reference(segments: readonly Segment[]): void {
    for (const segment of segments) if (segment.kind === 'blob') this.blobs.reference(segment.blobId);
  }

  #release(segments: readonly Segment[] = []): void {
    for (const segment of segments) if (segment.kind === 'blob') this.blobs.release(segment.blobId);
  }

  /** The shortest list of records that rebuilds the state. */
  #snapshot(): JournalRecord[] {
    return [...this.#buckets.values()].flatMap((bucket) => bucket.snapshot());
  }
}

export function newId(): string {
  return randomBytes(16).toString('hex');
}

function deleteMarker(key: string, versionId: string, lastModifiedMs: number): ObjectVersion {
  const description = { headers: {}, metadata: {}, storageClass: 'STANDARD', tags: {} };
  return {
    ...description,
    key,
    versionId,
    lastModifiedMs,
    isDeleteMarker: true,
    etag: '',
    sizeBytes: 0,
    segments: [],
  };
}
