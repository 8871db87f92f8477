/**
 * One bucket in memory: the live objects, all versions, and the multipart uploads under way. Changed only by
 * storage.ts, as it applies journal records; everybody else reads.
 *
 * Invariant: `history` has for each key its versions, newest first, never an empty list; `live` has exactly the
 * keys whose newest version is not a delete marker, with that version.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../runtime/clock.js';
import { S3Error } from './errors.js';
import { KeyIndex } from './key-index.js';
import type {
  JournalRecord,
  ObjectVersion,
  UploadDescription,
  UploadPart,
  VersioningStatus,
} from './model.js';

export interface Upload {
  readonly description: UploadDescription;
  readonly parts: Map<number, UploadPart>;
}

interface Change {
  readonly atMs: number;
  readonly key: string;
  readonly before: ObjectVersion | undefined;
}

/** How far back a stale listing can look; changes beyond either limit are forgotten. */
const CHANGES_KEPT_MAX = 10_000;
const CHANGES_KEPT_MS = 60_000;

export class Bucket {
  readonly name: string;
  readonly createdMs: number;
  readonly live = new KeyIndex<ObjectVersion>();
  readonly history = new KeyIndex<ObjectVersion[]>();
  readonly uploads = new Map<string, Upload>();
  versioning: VersioningStatus = 'Unversioned';
  readonly #clock: Clock;
  readonly #changes: Change[] = [];

  constructor(name: string, createdMs: number, clock: Clock) {
    this.name = name;
    this.createdMs = createdMs;
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.history.size === 0;
  }

  newVersionId(): string {
    return this.versioning === 'Enabled' ? randomBytes(16).toString('base64url') : 'null';
  }

  version(key: string, versionId: string): ObjectVersion | undefined {
    return this.history.get(key)?.find((version) => version.versionId === versionId);
  }

  /** Returns the version that was replaced: there is at most one with the id `null` per key. */
  putVersion(version: ObjectVersion): ObjectVersion | undefined {
    this.#rememberChange(version.key);
    const versions = this.history.get(version.key) ?? [];
    const replaced =
      version.versionId === 'null' ? versions.find(({ versionId }) => versionId === 'null') : undefined;
    this.#setVersions(version.key, [version, ...versions.filter((other) => other !== replaced)]);
    return replaced;
  }

  removeVersion(key: string, versionId: string): ObjectVersion | undefined {
    this.#rememberChange(key);
    const removed = this.version(key, versionId);
    const versions = this.history.get(key) ?? [];
    this.#setVersions(
      key,
      versions.filter((version) => version !== removed),
    );
    return removed;
  }

  setTags(key: string, versionId: string, tags: Readonly<Record<string, string>>): void {
    const versions = this.history.get(key) ?? [];
    this.#setVersions(
      key,
      versions.map((version) => (version.versionId === versionId ? { ...version, tags } : version)),
    );
  }

  createUpload(description: UploadDescription): void {
    this.uploads.set(description.uploadId, { description, parts: new Map() });
  }

  /** Throws S3Error NoSuchUpload. */
  upload(uploadId: string, key?: string): Upload {
    const upload = this.uploads.get(uploadId);
    if (upload !== undefined && (key === undefined || upload.description.key === key)) return upload;
    throw new S3Error(
      'NoSuchUpload',
      'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
      { elements: { UploadId: uploadId } },
    );
  }

  /** Returns the parts, whose bytes the upload no longer needs. */
  removeUpload(uploadId: string): UploadPart[] {
    const upload = this.upload(uploadId);
    this.uploads.delete(uploadId);
    return [...upload.parts.values()];
  }

  /** The live objects as they were `staleMs` ago, for the fault of that name. */
  liveAsOf(staleMs: number): KeyIndex<ObjectVersion> {
    const sinceMs = this.#clock.nowMs() - staleMs;
    const view = this.live.clone();
    // Newest first, so that the oldest change within the time has the last word on its key.
    for (const change of this.#changes.filter(({ atMs }) => atMs > sinceMs).reverse()) {
      if (change.before === undefined) view.delete(change.key);
      else view.set(change.key, change.before);
    }
    return view;
  }

  /** The shortest list of records that rebuilds this bucket. */
  snapshot(): JournalRecord[] {
    const bucket = this.name;
    const records: JournalRecord[] = [{ type: 'bucket-created', bucket, createdMs: this.createdMs }];
    if (this.versioning !== 'Unversioned')
      records.push({ type: 'versioning-set', bucket, status: this.versioning });
    for (const { value: versions } of this.history.from(() => true)) {
      for (const version of versions.toReversed()) records.push({ type: 'version-put', bucket, version });
    }
    for (const { description, parts } of this.uploads.values()) {
      records.push({ type: 'upload-created', bucket, upload: description });
      for (const part of parts.values())
        records.push({ type: 'part-put', bucket, uploadId: description.uploadId, part });
    }
    return records;
  }

  #setVersions(key: string, versions: ObjectVersion[]): void {
    const [newest] = versions;
    if (newest === undefined) this.history.delete(key);
    else this.history.set(key, versions);
    if (newest === undefined || newest.isDeleteMarker) this.live.delete(key);
    else this.live.set(key, newest);
  }

  #rememberChange(key: string): void {
    const atMs = this.#clock.nowMs();
    this.#changes.push({ atMs, key, before: this.live.get(key) });
    const expired = (change: Change | undefined) =>
      change !== undefined && change.atMs < atMs - CHANGES_KEPT_MS;
    if (this.#changes.length > CHANGES_KEPT_MAX || expired(this.#changes[0])) {
      const overflow = this.#changes.length - CHANGES_KEPT_MAX / 2;
      const stale = this.#changes.findIndex((change) => !expired(change));
      this.#changes.splice(0, Math.max(overflow, stale, 1));
    }
  }
}
