/**
 * The local copy of one object version: a sparse file, what of it is there (Availability), who waits for more
 * (RangeWaiters), and the Downloader that fills it. All handles on the version share it; temp-file-stores.ts makes,
 * counts and evicts them.
 *
 * Promises: a read looks at the availability first and takes bytes that are there whatever the state; else it
 * registers as a waiter and looks again in one synchronous step. Every wait ends, by bytes, an error, the deadline or
 * an abort. `done` settles exactly once. The state moves filling → complete | stale | failed | closed, never back.
 */
import { join } from 'node:path';
import { assert, asError, unreachable } from '../runtime/assert.js';
import { Deferred } from '../runtime/deferred.js';
import type { ByteRange } from '../runtime/range.js';
import { sharedMemoryOf } from '../runtime/shared-memory.js';
import type { ReadTrace } from '../observability/read-trace.js';
import type { StoreStatus } from '../observability/status-report.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import type { DownloadTarget, PartFailure, PartTarget } from '../download/target.js';
import { Availability } from '../runtime/availability.js';
import { ContentError } from './content.js';
import type { DirectFile } from './direct-reads.js';
import { ExpiredRanges } from './expired-ranges.js';
import { PartWriter } from './part-writer.js';
import type { PlaceOfPart } from './part-writer.js';
import { RangeWaiters, waitAsReader } from './range-waiters.js';
import type { RangeWaiter, SettleWait } from './range-waiters.js';
import type { LocalFile } from './sparse-file.js';
import { StoreChecksums } from './store-checksums.js';
import type { Fetcher, StoreRead, TempFileStoreDeps, TempFileStoreOptions } from './store-deps.js';
import { StoreFile } from './store-file.js';
import { openDirectReads } from './store-direct-reads.js';
import type { StoreDirectReads } from './store-direct-reads.js';
import { abortedError, closedError, deadlineError, internalError, staleError } from './store-state.js';
import type { StoreOutcome, StoreState } from './store-state.js';

export interface StoreProgress {
  readonly contiguousBytes: number;
  readonly arrivedBytes: number;
}

export class TempFileStore implements DownloadTarget {
  readonly id: string;
  readonly version: ObjectVersion;
  readonly availability: Availability;
  /** Settles once, never rejects. */
  readonly done: Promise<StoreOutcome>;
  readonly #deps: TempFileStoreDeps;
  readonly #readDeadlineMs: number;
  readonly #file: LocalFile;
  readonly #storeFile: StoreFile;
  readonly #checksums: StoreChecksums;
  readonly #fetcher: Fetcher;
  readonly #waiters = new RangeWaiters();
  readonly #expired: ExpiredRanges;
  readonly #progressListeners = new Set<(progress: StoreProgress) => void>();
  readonly #done = new Deferred<StoreOutcome>();
  #state: StoreState = { kind: 'filling' };
  #delayReason: string | undefined;
  #direct: StoreDirectReads | undefined;

  constructor(version: ObjectVersion, deps: TempFileStoreDeps, options: TempFileStoreOptions) {
    this.id = options.id;
    this.version = version;
    this.availability = Availability.create(version.size);
    this.#expired = new ExpiredRanges({ clock: deps.clock, availability: this.availability });
    this.done = this.#done.promise;
    this.#deps = deps;
    this.#readDeadlineMs = options.readDeadlineMs;
    this.#file = deps.createFile(join(options.directory, options.id), version.size);
    this.#storeFile = new StoreFile(version, this.#file, deps);
    this.#checksums = new StoreChecksums(this, this.#file, deps);
    this.#fetcher = deps.createFetcher(this);
    if (this.availability.complete) this.#enter({ kind: 'complete' }, 'the object is empty');
  }

  get state(): StoreState {
    return this.#state;
  }

  /** What a session that answers reads by itself knows of the local file; only while the store is awake. */
  get direct(): DirectFile | undefined {
    return this.#direct?.file;
  }

  /**
   * Fills `target` from `offset`; resolves with the bytes read, less than asked only at the end of the object.
   * @throws ContentError
   */
  async read({ target, offset, trace, signals }: StoreRead): Promise<number> {
    const length = Math.max(0, Math.min(target.length, this.version.size - offset));
    if (length === 0) return 0;
    const range = { start: offset, end: offset + length };
    this.observe(range);
    if (!this.availability.has(range)) await this.#waitFor(range, trace, signals);
    if (this.#state.kind === 'closed') throw closedError();
    try {
      await this.#file.read(target.subarray(0, length), offset);
    } catch (error) {
      throw new ContentError(
        'disk_failed',
        `reading the local copy failed: ${asError(error).message}`,
        error,
      );
    }
    return length;
  }

  /** Calls `listener` after every advance; returns the function that ends it. */
  onProgress(listener: (progress: StoreProgress) => void): () => void {
    this.#progressListeners.add(listener);
    return () => void this.#progressListeners.delete(listener);
  }

  /** Somebody has the object open again. */
  wake(): void {
    this.#file.unpark();
    // What was begun before the last close may still be written, and published without asking.
    const beingWritten = this.#storeFile.isLent;
    this.#direct = openDirectReads(this, { ...this.#deps, file: this.#file, beingWritten });
  }

  /** Nobody has the object open, but somebody may soon. */
  fillGently(): void {
    this.#fetcher.fillGently();
  }

  /** Nobody has the object open: fetching and direct reads end, the descriptor is given back, what arrived stays. */
  rest(): void {
    this.#fetcher.stop();
    this.#expired.clear();
    this.#endDirectReads();
    this.#file.park();
  }

  /** Ends everything and deletes the local file. Idempotent. */
  close(): void {
    if (this.#state.kind === 'closed') return;
    this.#fetcher.stop();
    this.#enter({ kind: 'closed' }, 'closed');
    this.#waiters.fail(closedError());
    this.#endDirectReads();
    this.#checksums.close();
    this.#file.remove();
  }

  status(handles: number): StoreStatus {
    return {
      id: this.id,
      key: this.version.key,
      etag: this.version.etag,
      size: this.version.size,
      state: this.#state.kind,
      contiguousBytes: this.availability.contiguousBytes,
      arrivedBytes: this.availability.arrivedBytes,
      checksum: this.#checksums.result,
      handles,
      readsWaiting: this.#waiters.count,
      partsInFlight: this.#fetcher.partsInFlight,
    };
  }

  // What direct reads call (DirectlyReadStore).

  observe(range: ByteRange): void {
    if (this.#state.kind === 'filling') this.#fetcher.observe(range);
  }

  wait(range: ByteRange, settle: SettleWait, signals: readonly AbortSignal[] = []): RangeWaiter {
    const waiter = this.#waiters.add(range, settle);
    const refusal = this.#refusal(signals);
    if (this.availability.has(range)) this.#waiters.wake((other) => this.availability.has(other));
    else if (refusal !== undefined) waiter.giveUp(refusal);
    else this.#fetcher.demand(range);
    return waiter;
  }

  deadlineError(range: ByteRange): ContentError {
    return deadlineError(this.version, range, this.#readDeadlineMs, this.#delayReason);
  }

  // What the downloader calls (DownloadTarget).

  get pageBytes(): number {
    return this.availability.pageBytes;
  }

  firstMissing(range: ByteRange): ByteRange | undefined {
    return this.availability.firstMissing(range);
  }

  missing(range: ByteRange): ByteRange[] {
    return this.availability.missing(range);
  }

  wanted(range: ByteRange): boolean {
    return this.#waiters.wants(range);
  }

  peek(range: ByteRange): Promise<Uint8Array> {
    return this.#storeFile.read(range);
  }

  beginPart(range: ByteRange): PartTarget {
    const { pageBytes } = this;
    assert(range.start % pageBytes === 0, `a part begins at ${range.start}, inside a page of ${pageBytes}`);
    let publishedPages = range.start;
    const publish = (end: number) => {
      this.#publish({ start: publishedPages, end });
      publishedPages = Math.max(publishedPages, Math.floor(end / pageBytes) * pageBytes);
    };
    return new PartWriter(this.#storeFile, range.start, publish, () => this.#lend());
  }

  delayed(reason: string): void {
    this.#delayReason = reason;
  }

  partFailed(range: ByteRange, failure: PartFailure): void {
    switch (failure.kind) {
      case 'denied':
        this.#waiters.fail(new ContentError('denied', failure.error.message, failure.error), range);
        return;
      case 'threw': {
        const isKnown = failure.error instanceof ContentError;
        const error = isKnown ? failure.error : internalError(this.version, failure.error);
        this.#deps.logger.error({ store: this.id, err: error.cause }, error.message);
        if (error.code === 'no_space') this.#waiters.fail(error, range);
        else this.#fail({ kind: 'failed', error }, error.message);
        return;
      }
      default:
        unreachable(failure);
    }
  }

  expired(reason: string): void {
    this.#fail({ kind: 'stale', error: staleError(this.version, reason) }, reason);
  }

  #fail(state: Extract<StoreState, { error: ContentError }>, reason: string): void {
    if (this.#state.kind !== 'filling') return;
    this.#fetcher.stop();
    this.#enter(state, reason);
    this.#waiters.fail(state.error);
  }

  #endDirectReads(): void {
    this.#direct?.close();
    this.#direct = undefined;
  }

  async #waitFor(range: ByteRange, trace: ReadTrace, signals: readonly AbortSignal[]): Promise<void> {
    const expired = this.#expired.share(range);
    if (expired !== undefined) throw this.#refusal(signals) ?? expired;
    trace.beginWait(range);
    const outcome = await waitAsReader((settle) => this.wait(range, settle, signals), {
      clock: this.#deps.clock,
      deadlineMs: this.#readDeadlineMs,
      deadlineError: () => this.deadlineError(range),
      signals,
    });
    trace.endWait();
    if (outcome.kind === 'arrived') return;
    if (outcome.error.code === 'deadline') this.#expired.add(range, outcome.error);
    throw outcome.error;
  }

  /** Why nothing that is missing can be waited for; undefined when it can. */
  #refusal(signals: readonly AbortSignal[]): ContentError | undefined {
    if (signals.some(({ aborted }) => aborted)) return abortedError();
    switch (this.#state.kind) {
      case 'stale':
      case 'failed':
        return this.#state.error;
      case 'closed':
        return closedError();
      case 'filling':
      case 'complete':
        return undefined;
      default:
        return unreachable(this.#state);
    }
  }

  #lend(): PlaceOfPart {
    this.#direct?.attach();
    return {
      ...this.#storeFile.lend(),
      memory: sharedMemoryOf({ availability: this.availability, checksums: this.#checksums.blocks }),
      nativeFile: this.#direct?.file.id,
    };
  }

  #publish(range: ByteRange): void {
    if (this.#state.kind === 'closed') return;
    this.#direct?.attach();
    this.availability.publish(range);
    this.#direct?.file.published();
    this.#deps.onGrowth();
    this.#delayReason = undefined;
    this.#waiters.wake((wanted) => this.availability.has(wanted));
    const { contiguousBytes, arrivedBytes } = this.availability;
    for (const listener of this.#progressListeners) listener({ contiguousBytes, arrivedBytes });
    if (this.availability.complete && this.#state.kind === 'filling') {
      this.#enter({ kind: 'complete' }, 'all bytes arrived');
    }
    this.#checksums.advanced();
  }

  #enter(state: StoreState, reason: string): void {
    const from = this.#state.kind;
    this.#state = state;
    const { key, etag } = this.version;
    this.#deps.logger.debug({ store: this.id, key, etag, from, to: state.kind, reason }, 'store state');
    if (state.kind === 'complete') this.#done.resolve({ kind: 'completed' });
    else if (state.kind === 'closed') this.#done.resolve({ kind: 'closed' });
    else if (state.kind !== 'filling') this.#done.resolve({ kind: 'failed', error: state.error });
  }
}
