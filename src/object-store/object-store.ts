/**
 * The only S3 vocabulary the rest of Sluice knows: one bucket, its objects, their versions, ranges and listings.
 * Implementations: s3-object-store.ts (real) and test/support/memory-object-store.ts (in memory); both pass
 * test/contract. Nothing above this folder knows an HTTP status, and nothing else imports the AWS SDK.
 *
 * `list` and `head` (control calls) retry by themselves and throw `ObjectStoreError`. `fetchPart` (the data path)
 * makes exactly one attempt and returns what became of it: planning, priorities and retries are download/'s.
 */
import type { NativeFileId } from '../native.js';
import type { ByteRange } from '../runtime/range.js';
import type { SharedMemory } from '../runtime/shared-memory.js';
import type { ObjectStoreError } from './errors.js';
import type { ObjectChecksums } from './object-checksums.js';

export type { ByteRange, ObjectChecksums };
export type { DigestKind, HashKind, ObjectDigest } from './object-checksums.js';

/**
 * One immutable version of an object: what a TempFileStore is the local copy of. Two versions are the same when
 * `versionId ?? etag`, the place and the size are (see `versionIdentity`).
 */
export interface ObjectVersion {
  /** Normalised endpoint URL, or `aws:REGION` for AWS itself: buckets of one name on two servers differ. */
  readonly endpoint: string;
  readonly bucket: string;
  /** The full key, including the mounted prefix. */
  readonly key: string;
  /** Entity tag with its quotes, as sent in If-Match. */
  readonly etag: string;
  /** Given only when reads are to name the version instead of relying on If-Match alone. */
  readonly versionId?: string | undefined;
  /** Bytes. */
  readonly size: number;
}

/** A string that is equal for two versions exactly when their bytes are the same object's. */
export function versionIdentity(version: ObjectVersion): string {
  const { endpoint, bucket, key, etag, versionId, size } = version;
  return JSON.stringify([endpoint, bucket, key, versionId ?? etag, size]);
}

/** What a listing or a HEAD says of an object. */
export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly lastModifiedMs: number;
  /**
   * True when the object lies in an archive class and no restored copy is there: it cannot be read now. A listing
   * knows the class only: it says true of restored objects as well, and false of archive tiers of INTELLIGENT_TIERING.
   */
  readonly archived: boolean;
}

export interface ListRequest {
  /** Keys must start with it; '' lists the bucket. */
  readonly prefix: string;
  /** '/' rolls up what lies deeper into `prefixes`; undefined lists every key below. */
  readonly delimiter?: '/' | undefined;
  /** From the page before; undefined for the first page. */
  readonly continuation?: string | undefined;
  /** At most this many objects and prefixes together, 1–1000; default 1000. */
  readonly entriesMax?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ListPage {
  /** In UTF-8 byte order of their keys. */
  readonly objects: readonly ObjectInfo[];
  /** Common prefixes, each ending in the delimiter, in UTF-8 byte order. */
  readonly prefixes: readonly string[];
  /** Token for the next page; undefined when this is the last. */
  readonly continuation: string | undefined;
}

/**
 * Where the bytes of a part go, in order. `write` may return a promise: the transport waits for it before it reads
 * on (back-pressure). The chunk is the sink's from then on. When `write` throws, the fetch ends and throws the same.
 */
export interface PartSink {
  write(chunk: Uint8Array): void | Promise<void>;
  /**
   * Lends the local file itself, from the byte on that is to be written next, to a transport that writes into it from
   * another thread instead of calling `write`. Absent when there is no such file. @throws what `write` would
   */
  readonly lend?: (() => LocalPlace) | undefined;
}

/** The local file of a part, where byte n of the object lies at offset n. */
export interface LocalPlace {
  /** Open for reading and writing until `release`. */
  readonly descriptor: number;
  /** Where whoever wrote publishes what is in the file, and its checksums. Others may attach to it until `release`. */
  readonly memory: SharedMemory;
  /** Told natively of what was published (`NativeAddon.filePublished`), where a session reads the file by itself. */
  readonly nativeFile: NativeFileId | undefined;
  /** All bytes of the part up to `end` are in the file and published. Called soon after, not for each advance. */
  advanced(end: number): void;
  /** What the server keeps of the object came with the answer, which is of all of it. Called before `advanced`. */
  told(checksums: ObjectChecksums): void;
  /** Writing failed, with an error of the system. Returns when another attempt may succeed. @throws what `write` would */
  failed(error: Error): void;
  /** Nothing is written any more. Called once. */
  release(): void;
}

/**
 * What became of one attempt to fetch a range. All but `complete` may follow after some bytes reached the sink;
 * those bytes are right and stay, and the caller resumes behind them.
 */
export type PartOutcome =
  /** Every byte of the range was given to the sink. */
  | { readonly kind: 'complete' }
  /** The connection ended, was reset or stalled after the headers, before the range was complete. */
  | { readonly kind: 'short'; readonly cause: Error }
  /** The object is no longer this version (412, another ETag, or another size). Final. */
  | { readonly kind: 'changed' }
  /** There is no such key now (404): deleted, or not visible yet. */
  | { readonly kind: 'missing' }
  /** The server asks to slow down (503, 429); `retryAfterMs` when it said for how long. */
  | { readonly kind: 'throttled'; readonly retryAfterMs: number | undefined }
  /** Credentials, policy, encryption or an archive class forbid the read; `error` says which. */
  | { readonly kind: 'denied'; readonly error: ObjectStoreError }
  /** The server answered nonsense: 5xx, a wrong Content-Range, an unexpected status or encoding. */
  | { readonly kind: 'broken'; readonly cause: Error }
  /** No connection, no headers in time, or reset before the headers. */
  | { readonly kind: 'unreachable'; readonly cause: Error }
  /** The caller's signal aborted the attempt. */
  | { readonly kind: 'aborted' };

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** Give up the attempt when no byte (or no header) arrived for this long. */
  readonly stallTimeoutMs: number;
  /** Called once, with a function to call when the range is to end earlier: at `end`, if that is still ahead. */
  readonly onCut?: ((cut: (end: number) => void) => void) | undefined;
  /** Called when the request was under way already (`askAhead`). @param sentMs by the store's clock */
  readonly onSentAhead?: ((sentMs: number) => void) | undefined;
}

/** Totals since the store was made; they only grow. */
export interface ObjectStoreStats {
  /** Listings and HEADs asked for (the calls, not their retries). */
  readonly controlRequests: number;
  /** `fetchPart` calls, each of which is one attempt, and requests that were sent ahead in vain. */
  readonly partRequests: number;
  /** Object bytes given to sinks. */
  readonly bytesFetched: number;
}

/** One bucket. */
export interface ObjectStore {
  /** See `ObjectVersion.endpoint`; settled once `check` has returned. */
  readonly endpoint: string;
  readonly bucket: string;
  /** The totals now; a fresh value at each reading. */
  readonly stats: ObjectStoreStats;

  /**
   * Makes sure that the bucket can be listed under `prefix`, following the bucket's region, before anything is
   * mounted. @throws ObjectStoreError with a message for the user: what happened, why, what to do.
   */
  check(prefix: string, signal?: AbortSignal): Promise<void>;

  /** One page of a listing. @throws ObjectStoreError */
  list(request: ListRequest): Promise<ListPage>;

  /** The object's current attributes; undefined when there is no such key. @throws ObjectStoreError */
  head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined>;

  /**
   * What the server keeps of this version to compare its bytes with; nothing when it keeps nothing, refuses to tell it, or
   * has this version no more. A HEAD of its own; an object that is fetched by one request brings it (`LocalPlace.told`).
   * @throws ObjectStoreError when the server cannot be asked
   */
  objectChecksums(version: ObjectVersion, signal?: AbortSignal): Promise<ObjectChecksums>;

  /**
   * The sizes of the `parts` parts in which this version was uploaded, in order; undefined when the server does not tell
   * them. Up to a thousand requests. @throws ObjectStoreError when the server cannot be asked
   */
  partSizes(
    version: ObjectVersion,
    parts: number,
    signal?: AbortSignal,
  ): Promise<readonly number[] | undefined>;

  /**
   * Fetches `range` of exactly this version (If-Match, Content-Range and length checked) into `sink`, in one attempt.
   * Resolves when no further byte will be written. Rejects only with what `sink.write` threw.
   */
  fetchPart(
    version: ObjectVersion,
    range: ByteRange,
    sink: PartSink,
    options: FetchOptions,
  ): Promise<PartOutcome>;

  /**
   * Parts are likely to be fetched soon, of `version` first, about so many at once: connections for them are opened ahead,
   * and what is the same for all its parts is made ready. A hint.
   */
  expectFetches(count: number, version?: ObjectVersion): void;

  /**
   * The first part of `version` to be fetched is likely to be just this, in a moment: the request for it may be sent already.
   * Taken over by that fetch; when another comes first, or none within seconds, it is given up. A hint.
   */
  askAhead(version: ObjectVersion, range: ByteRange, stallTimeoutMs: number): void;

  /** Ends all connections; calls under way fail as aborted. Idempotent. */
  close(): void;
}

/** The write half, implemented with the upload path; stated here so that its shape is fixed. */
export interface WritableObjectStore extends ObjectStore {
  put(request: PutRequest): Promise<PutResult>;
  createMultipartUpload(key: string, attributes: ObjectAttributes, signal?: AbortSignal): Promise<string>;
  /** `partNumber` 1–10,000; every part but the last at least 5 MiB. */
  uploadPart(
    upload: UploadRef,
    partNumber: number,
    body: Uint8Array,
    signal?: AbortSignal,
  ): Promise<UploadedPart>;
  completeMultipartUpload(
    upload: UploadRef,
    parts: readonly UploadedPart[],
    precondition: WritePrecondition,
    signal?: AbortSignal,
  ): Promise<PutResult>;
  abortMultipartUpload(upload: UploadRef, signal?: AbortSignal): Promise<void>;
  /** Server-side copy of one version within the bucket. */
  copy(
    source: ObjectVersion,
    targetKey: string,
    precondition: WritePrecondition,
    signal?: AbortSignal,
  ): Promise<PutResult>;
  /** Deleting a key that is not there succeeds, as in S3. */
  delete(key: string, precondition: WritePrecondition, signal?: AbortSignal): Promise<void>;
}

/** What must hold of the key for a write to happen; else `precondition_failed`. */
export type WritePrecondition =
  | { readonly kind: 'none' }
  /** No object has this key (If-None-Match: *). */
  | { readonly kind: 'absent' }
  /** The current object has this ETag (If-Match). */
  | { readonly kind: 'unchanged'; readonly etag: string };

export interface ObjectAttributes {
  readonly contentType?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export interface PutRequest {
  readonly key: string;
  readonly body: Uint8Array;
  readonly attributes: ObjectAttributes;
  readonly precondition: WritePrecondition;
  readonly signal?: AbortSignal | undefined;
}

export interface PutResult {
  readonly etag: string;
  readonly versionId?: string | undefined;
}

export interface UploadRef {
  readonly key: string;
  readonly uploadId: string;
}

export interface UploadedPart {
  readonly partNumber: number;
  readonly etag: string;
}
