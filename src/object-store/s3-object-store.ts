/**
 * The real `ObjectStore`: any S3-compatible server, by the AWS SDK. Made by mount.ts and by the commands that need no
 * mount. Here: retries, counters, and the end of calls under way; connections are in s3-connection.ts, what an answer
 * means in sdk-client.ts, s3-errors.ts and part-fetch.ts.
 */
import { assert } from '../runtime/assert.js';
import { AbortedWait, linkAbort, untilAborted } from './abort.js';
import { ATTEMPTS_MAX, withRetries } from './control-retry.js';
import { ObjectStoreError } from './errors.js';
import type { ObjectStoreErrorCode } from './errors.js';
import { NO_CHECKSUMS } from './object-checksums.js';
import { versionIdentity } from './object-store.js';
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
} from './object-store.js';
import type { PartFetch } from './part-fetch.js';
import { NO_PAGE, NO_PART, partSizesOf } from './part-sizes.js';
import { PartTransports } from './part-transports.js';
import type { Origin } from './presigned-get.js';
import { RehearsalStore } from './rehearsal-store.js';
import { openConnection } from './s3-connection.js';
import type { S3Connection, S3ObjectStoreDependencies, S3ObjectStoreOptions } from './s3-connection.js';
import type { SdkClient } from './sdk-client.js';

export type { S3ObjectStoreDependencies, S3ObjectStoreOptions } from './s3-connection.js';

/** `check` outlasts three faults in a row, but a person waits for it. */
const CHECK_ATTEMPTS_MAX = 4;
const CHECK_DEADLINE_MS = 15_000;

/** Of a question about checksums: the object is no longer this one, or it is not supported or not allowed. */
const REFUSALS: readonly ObjectStoreErrorCode[] = ['precondition_failed', 'invalid_request', 'access_denied'];

interface ControlCall<T> {
  readonly operation: 'check' | 'list' | 'head';
  readonly key?: string;
  readonly attemptsMax: number;
  readonly signal: AbortSignal | undefined;
  readonly send: (client: SdkClient, signal: AbortSignal) => Promise<T>;
}

/** @throws ObjectStoreError invalid_request when an option cannot be used */
export async function createS3ObjectStore(
  options: S3ObjectStoreOptions,
  dependencies: S3ObjectStoreDependencies,
): Promise<S3ObjectStore> {
  return new S3ObjectStore(dependencies, await openConnection(options, dependencies));
}

export class S3ObjectStore implements ObjectStore {
  readonly #dependencies: S3ObjectStoreDependencies;
  readonly #connection: S3Connection;
  readonly #parts: PartTransports;
  /** Versions of which a request is about to be sent ahead. */
  readonly #asking = new Set<string>();
  /** Versions of which one was sent, and holds a connection, and nothing has been fetched yet. */
  readonly #askedSlots = new Set<string>();
  /** Ends each call under way. */
  readonly #aborts = new Set<() => void>();
  #closed = false;
  #controlRequests = 0;
  #partRequests = 0;
  #bytesFetched = 0;

  constructor(dependencies: S3ObjectStoreDependencies, connection: S3Connection) {
    this.#dependencies = dependencies;
    this.#connection = connection;
    const onBytes = (bytes: number) => {
      this.#bytesFetched += bytes;
    };
    this.#parts = new PartTransports({ ...dependencies, connection, onBytes });
  }

  get endpoint(): string {
    return this.#connection.endpoint;
  }

  get bucket(): string {
    return this.#connection.bucket;
  }

  get stats(): ObjectStoreStats {
    return {
      controlRequests: this.#controlRequests,
      partRequests: this.#partRequests,
      bytesFetched: this.#bytesFetched,
    };
  }

  async check(prefix: string, signal?: AbortSignal): Promise<void> {
    const deadline = linkAbort(signal);
    let late = false;
    const cancel = this.#dependencies.clock.after(CHECK_DEADLINE_MS, () => {
      late = true;
      deadline.abort();
    });
    try {
      await this.#control({
        operation: 'check',
        attemptsMax: CHECK_ATTEMPTS_MAX,
        signal: deadline.signal,
        send: (client, attemptSignal) => client.list({ prefix, entriesMax: 1 }, attemptSignal),
      });
    } catch (error) {
      if (!late || signal?.aborted || this.#closed) throw error;
      const timeout = Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' });
      throw this.#connection.explain(timeout, this.#connection.control.client, { operation: 'check' }).error;
    } finally {
      cancel();
      deadline.unlink();
    }
  }

  async list(request: ListRequest): Promise<ListPage> {
    return this.#control({
      operation: 'list',
      attemptsMax: ATTEMPTS_MAX,
      signal: request.signal,
      send: (client, signal) => client.list(request, signal),
    });
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    try {
      return await this.#control({
        operation: 'head',
        key,
        attemptsMax: ATTEMPTS_MAX,
        signal,
        send: (client, attemptSignal) => client.head(key, attemptSignal),
      });
    } catch (error) {
      if (error instanceof ObjectStoreError && error.facts.httpStatus === 404) return undefined;
      throw error;
    }
  }

  async objectChecksums(version: ObjectVersion, signal?: AbortSignal): Promise<ObjectChecksums> {
    return this.#told(version, signal, NO_CHECKSUMS, (client, attempt) =>
      client.objectChecksums(version, attempt),
    );
  }

  async partSizes(
    version: ObjectVersion,
    parts: number,
    signal?: AbortSignal,
  ): Promise<readonly number[] | undefined> {
    return partSizesOf(version, parts, {
      page: (marker) =>
        this.#told(version, signal, NO_PAGE, (client, attempt) => client.partsPage(version, marker, attempt)),
      head: (part) =>
        this.#told(version, signal, NO_PART, (client, attempt) => client.partHead(version, part, attempt)),
    });
  }

  async fetchPart(
    version: ObjectVersion,
    range: ByteRange,
    sink: PartSink,
    options: FetchOptions,
  ): Promise<PartOutcome> {
    const { start, end } = range;
    assert(0 <= start && start < end && end <= version.size, `[${start}, ${end}) of ${version.size} bytes`);
    this.#partRequests++;
    const identity = versionIdentity(version);
    this.#asking.delete(identity);
    const hasSlot = this.#askedSlots.delete(identity);
    return this.#fetchBy(this.#parts, { version, range, sink: this.#counted(sink), options }, hasSlot);
  }

  expectFetches(count: number, version?: ObjectVersion): void {
    void this.#connection.expect(count, version);
  }

  askAhead(version: ObjectVersion, range: ByteRange, stallTimeoutMs: number): void {
    const identity = versionIdentity(version);
    if (this.#closed || this.#asking.has(identity)) return;
    this.#asking.add(identity);
    void this.#ask(identity, version, range, stallTimeoutMs);
  }

  /**
   * A store of made-up objects whose bytes come in the way of the real ones; undefined when those do not come by the
   * socket transport. Rejects when nothing can listen on the loopback.
   */
  async openRehearsal(): Promise<ObjectStore | undefined> {
    const connection = this.#connection;
    if (this.#closed || !connection.socket?.usable) return undefined;
    const { endpoint, bucket } = this;
    return RehearsalStore.open({ endpoint, bucket, fetch: (fetch, origin) => this.#rehearse(fetch, origin) });
  }

  close(): void {
    this.#closed = true;
    for (const abort of this.#aborts) abort();
    this.#connection.close();
  }

  /** At once when it is signed already. */
  async #ask(identity: string, version: ObjectVersion, range: ByteRange, stallTimeoutMs: number) {
    const { data, signedRequests } = this.#connection;
    const signing = () => signedRequests.get(version).catch(() => undefined);
    const request = signedRequests.known(version) ?? (await signing());
    // Whoever is to read it may have been faster.
    if (!this.#asking.delete(identity) || request === undefined || !data.slots.tryAcquire()) return;
    const giveSlotBack = () => {
      if (this.#askedSlots.delete(identity)) data.slots.release();
    };
    this.#askedSlots.add(identity);
    const isSent = this.#parts.ask({ request, version, range, stallTimeoutMs }, (isTaken) => {
      giveSlotBack();
      // Else it is counted by the fetch that took it.
      if (!isTaken) this.#partRequests++;
    });
    if (!isSent) giveSlotBack();
  }

  /** @param hasSlot that of the request that was sent ahead */
  #fetchBy(parts: PartTransports, fetch: PartFetch, hasSlot = false): Promise<PartOutcome> {
    const { data, socket } = this.#connection;
    const { slots } = data;
    return this.#underWay(fetch.options.signal, async (signal) => {
      // Nobody waits for those that perhaps nobody wants.
      if (!hasSlot && slots.isFull) socket?.giveUpAsked();
      if (!hasSlot && !(await slots.acquire(signal))) return { kind: 'aborted' };
      try {
        return await parts.fetch({ ...fetch, options: { ...fetch.options, signal } });
      } finally {
        slots.release();
      }
    });
  }

  async #rehearse(fetch: PartFetch, origin: Origin): Promise<PartOutcome> {
    const connection = this.#connection;
    const parts = new PartTransports({
      ...this.#dependencies,
      connection,
      onBytes: () => {},
      rehearsedBy: origin,
    });
    try {
      return await this.#fetchBy(parts, { ...fetch, sink: this.#counted(fetch.sink) });
    } finally {
      connection.signedRequests.forget(fetch.version);
    }
  }

  async #control<T>({ operation, key, attemptsMax, signal, send }: ControlCall<T>): Promise<T> {
    this.#controlRequests++;
    const lane = this.#connection.control;
    return this.#underWay(signal, (signal) => {
      let { client } = lane;
      const attempt = async () => {
        ({ client } = lane);
        if (!(await lane.slots.acquire(signal))) throw new AbortedWait();
        try {
          return await untilAborted(send(client, signal), signal);
        } finally {
          lane.slots.release();
        }
      };
      return withRetries(this.#dependencies, attemptsMax, signal, attempt, (thrown, attempts) => {
        const failure = this.#connection.explain(thrown, client, { operation, key, attempts });
        return { ...failure, transient: this.#connection.learn(failure) || failure.transient };
      });
    });
  }

  /** What the server says of `version`; `nothing` when it refuses. */
  async #told<T>(
    { key }: ObjectVersion,
    signal: AbortSignal | undefined,
    nothing: T,
    send: ControlCall<T>['send'],
  ): Promise<T> {
    try {
      return await this.#control({ operation: 'head', key, attemptsMax: ATTEMPTS_MAX, signal, send });
    } catch (error) {
      if (error instanceof ObjectStoreError && REFUSALS.includes(error.code)) return nothing;
      throw error;
    }
  }

  #counted(sink: PartSink): PartSink {
    return {
      lend: sink.lend?.bind(sink),
      write: (chunk) => {
        this.#bytesFetched += chunk.length;
        return sink.write(chunk);
      },
    };
  }

  /** Runs `work` with a signal that the caller and `close` can abort. */
  async #underWay<T>(parent: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal, abort, unlink } = linkAbort(parent);
    if (this.#closed) abort();
    this.#aborts.add(abort);
    try {
      return await work(signal);
    } finally {
      this.#aborts.delete(abort);
      unlink();
    }
  }
}
