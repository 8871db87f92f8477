/**
 * An object store in memory for tests: a real implementation of the interface (it passes test/contract), with the
 * write helpers `put` and `delete` and a record of what was fetched. Bytes are either given or made on the fly from
 * src/runtime/pattern.ts, so that objects of any size cost nothing.
 *
 * `beforeChunk` hands the schedule to the test: it is called before each chunk of a fetch and may return a promise
 * that the fetch waits for. Without it, each chunk waits for one turn of the event loop.
 */
import { createHash } from 'node:crypto';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { NO_CHECKSUMS } from '../../src/object-store/object-checksums.js';
import type {
  ByteRange,
  FetchOptions,
  ListPage,
  ListRequest,
  ObjectChecksums,
  ObjectInfo,
  ObjectStore,
  ObjectStoreStats,
  ObjectVersion,
  PartOutcome,
  PartSink,
} from '../../src/object-store/object-store.js';
import { assert } from '../../src/runtime/assert.js';
import type { CrcKind } from '../../src/runtime/crc.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { resolvedBeforeAbort } from './abortable.js';
import { crcHex, serverCrcOf } from './plain-crc.js';

/** Bytes made of pattern `seed`. */
export interface PatternContent {
  readonly seed: number;
  readonly size: number;
}

export interface MemoryObjectStoreOptions {
  readonly endpoint?: string | undefined;
  readonly bucket?: string | undefined;
  /** Size of the chunks given to a sink; default 64 KiB. */
  readonly chunkBytes?: number | undefined;
  readonly beforeChunk?: ((key: string, offset: number) => Promise<void> | void) | undefined;
}

export interface PutOptions {
  /** Default: one second after the put before, from 2024-01-01 on. */
  readonly lastModifiedMs?: number | undefined;
  readonly archived?: boolean | undefined;
  /** The kind of checksum that is kept of it; default none. */
  readonly checksum?: CrcKind | undefined;
}

/** One `fetchPart` call. */
export interface RecordedRequest extends ByteRange {
  readonly key: string;
}

interface StoredObject {
  readonly info: ObjectInfo;
  readonly checksum: CrcKind | undefined;
  /** A fresh copy of `[start, end)`. */
  read(start: number, end: number): Uint8Array;
}

const ENTRIES_PER_PAGE_MAX = 1000;
const CHUNK_BYTES = 64 * 1024;

export class MemoryObjectStore implements ObjectStore {
  readonly endpoint: string;
  readonly bucket: string;
  /** Every `fetchPart` call, in order. */
  readonly requests: RecordedRequest[] = [];
  readonly #chunkBytes: number;
  readonly #beforeChunk: (key: string, offset: number) => Promise<void> | void;
  readonly #objects = new Map<string, StoredObject>();
  readonly #bytesByKey = new Map<string, number>();
  readonly #closing = new AbortController();
  /** Keys in UTF-8 order; undefined after a put or delete until the next listing. */
  #sortedKeys: readonly string[] | undefined;
  #putTimeMs = Date.UTC(2024, 0, 1);
  #controlRequests = 0;

  constructor(options: MemoryObjectStoreOptions = {}) {
    this.endpoint = options.endpoint ?? 'memory:';
    this.bucket = options.bucket ?? 'bucket';
    this.#chunkBytes = options.chunkBytes ?? CHUNK_BYTES;
    this.#beforeChunk = options.beforeChunk ?? (() => new Promise((resolve) => setImmediate(resolve)));
  }

  get stats(): ObjectStoreStats {
    let bytesFetched = 0;
    for (const bytes of this.#bytesByKey.values()) bytesFetched += bytes;
    return { controlRequests: this.#controlRequests, partRequests: this.requests.length, bytesFetched };
  }

  /** Bytes of `key` given to sinks so far. */
  bytesFetched(key: string): number {
    return this.#bytesByKey.get(key) ?? 0;
  }

  /** Creates or replaces an object. Its ETag depends on the content alone, as in S3. */
  put(key: string, content: Uint8Array | string | PatternContent, options: PutOptions = {}): ObjectVersion {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    const { size, digest, read } = bytes instanceof Uint8Array ? fromBytes(bytes) : fromPattern(bytes);
    this.#putTimeMs += 1000;
    const info: ObjectInfo = {
      key,
      size,
      etag: `"${digest}"`,
      lastModifiedMs: options.lastModifiedMs ?? this.#putTimeMs,
      archived: options.archived ?? false,
    };
    this.#objects.set(key, { info, read, checksum: options.checksum });
    this.#sortedKeys = undefined;
    return this.version(key);
  }

  delete(key: string): void {
    this.#objects.delete(key);
    this.#sortedKeys = undefined;
  }

  /** The current version of `key`, which must exist. */
  version(key: string): ObjectVersion {
    const object = this.#objects.get(key);
    assert(object, `no object ${JSON.stringify(key)} in the memory store`);
    const { etag, size } = object.info;
    return { endpoint: this.endpoint, bucket: this.bucket, key, etag, size };
  }

  async check(prefix: string, signal?: AbortSignal): Promise<void> {
    await this.list({ prefix, entriesMax: 1, signal });
  }

  async list(request: ListRequest): Promise<ListPage> {
    await this.#beginControl('list', request.signal);
    const entriesMax = request.entriesMax ?? ENTRIES_PER_PAGE_MAX;
    assert(entriesMax >= 1 && entriesMax <= ENTRIES_PER_PAGE_MAX, `entriesMax is ${entriesMax}`);
    this.#sortedKeys ??= [...this.#objects.keys()].sort(compareUtf8);
    const objects: ObjectInfo[] = [];
    const prefixes: string[] = [];
    let last = request.continuation;
    for (const key of this.#sortedKeys) {
      if (!key.startsWith(request.prefix)) continue;
      const commonPrefix = commonPrefixOf(key, request);
      const entry = commonPrefix ?? key;
      if (last !== undefined && compareUtf8(entry, last) <= 0) continue;
      if (objects.length + prefixes.length === entriesMax) return { objects, prefixes, continuation: last };
      if (commonPrefix === undefined) objects.push(this.#objects.get(key)!.info);
      else prefixes.push(commonPrefix);
      last = entry;
    }
    return { objects, prefixes, continuation: undefined };
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    await this.#beginControl('head', signal);
    return this.#objects.get(key)?.info;
  }

  async objectChecksums(version: ObjectVersion, signal?: AbortSignal): Promise<ObjectChecksums> {
    await this.#beginControl('head', signal);
    const object = this.#objects.get(version.key);
    if (object?.checksum === undefined || object.info.etag !== version.etag) return NO_CHECKSUMS;
    const bytes = object.read(0, object.info.size);
    const value = crcHex(object.checksum, await serverCrcOf(object.checksum, bytes));
    return { digests: [{ kind: object.checksum, value }], etag: undefined };
  }

  async partSizes(
    version: ObjectVersion,
    parts: number,
    signal?: AbortSignal,
  ): Promise<number[] | undefined> {
    await this.#beginControl('head', signal);
    return parts === 1 ? [version.size] : undefined;
  }

  async fetchPart(
    version: ObjectVersion,
    range: ByteRange,
    sink: PartSink,
    options: FetchOptions,
  ): Promise<PartOutcome> {
    assert(
      range.start >= 0 && range.start < range.end && range.end <= version.size,
      `range [${range.start}, ${range.end}) of ${version.size} bytes`,
    );
    this.requests.push({ key: version.key, start: range.start, end: range.end });
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    await Promise.resolve();
    const object = this.#objects.get(version.key);
    if (signal.aborted) return { kind: 'aborted' };
    if (!object) return { kind: 'missing' };
    if (object.info.etag !== version.etag || object.info.size !== version.size) return { kind: 'changed' };
    if (object.info.archived) return { kind: 'denied', error: this.#archivedError(version.key) };

    for (let offset = range.start; offset < range.end;) {
      const turn = this.#beforeChunk(version.key, offset);
      if (!(await resolvedBeforeAbort(turn, signal))) return { kind: 'aborted' };
      const end = Math.min(offset + this.#chunkBytes, range.end);
      const written = sink.write(object.read(offset, end));
      this.#bytesByKey.set(version.key, this.bytesFetched(version.key) + end - offset);
      if (written) await written;
      offset = end;
    }
    return { kind: 'complete' };
  }

  expectFetches(): void {}

  askAhead(): void {}

  close(): void {
    this.#closing.abort();
  }

  #archivedError(key: string): ObjectStoreError {
    const facts = { operation: 'fetchPart', bucket: this.bucket, key };
    return new ObjectStoreError('archived', `${key} is archived: restore it first`, facts);
  }

  async #beginControl(operation: string, signal: AbortSignal | undefined): Promise<void> {
    this.#controlRequests++;
    await Promise.resolve();
    if (!signal?.aborted && !this.#closing.signal.aborted) return;
    throw new ObjectStoreError('aborted', `${operation} was aborted`, { operation, bucket: this.bucket });
  }
}

/** The prefix that a listing rolls `key` up into; undefined when it lists the key itself. */
function commonPrefixOf(key: string, { prefix, delimiter }: ListRequest): string | undefined {
  const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + 1);
}

/** The order of S3 listings, which differs from JavaScript's for characters beyond U+FFFF. */
function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function fromBytes(given: Uint8Array) {
  const bytes = Uint8Array.from(given);
  return {
    size: bytes.length,
    digest: createHash('md5').update(bytes).digest('hex'),
    read: (start: number, end: number) => bytes.slice(start, end),
  };
}

function fromPattern({ seed, size }: PatternContent) {
  return {
    size,
    digest: createHash('md5').update(`pattern ${seed} ${size}`).digest('hex'),
    read: (start: number, end: number) => fillPattern(new Uint8Array(end - start), seed, start),
  };
}
