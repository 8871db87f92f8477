/**
 * The local copy of one object version while somebody has it open: a sparse file, what of it is there (Availability),
 * who waits for more (StoreWaiters), and what fills it (StoreFilling). All handles on the version share it;
 * temp-file-stores.ts makes and counts them; what stays of it after the last close is the cache's (LocalCopy).
 *
 * Promises: a read looks at the availability first and takes bytes that are there whatever the state, but for a copy that
 * turned out not to be the object; else it registers as a waiter and looks again in one synchronous step. Every wait ends,
 * by bytes, an error, the deadline or an abort. `done` settles exactly once. The state moves
 * filling → complete | stale | failed | closed, and complete → failed when the copy is not the object; never back.
 */
import type { LocalCopy } from '../cache/local-copy.js';
import { assert } from '../runtime/assert.js';
import { Deferred } from '../runtime/deferred.js';
import type { ByteRange } from '../runtime/range.js';
import type { ReadTrace } from '../observability/read-trace.js';
import type { StoreStatus } from '../observability/status-report.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import type { FillKind } from '../download/downloader.js';
import type { Availability } from '../runtime/availability.js';
import type { ContentError } from './content.js';
import type { DirectFile } from './direct-reads.js';
import { ExpiredRanges } from './expired-ranges.js';
import { waitAsReader } from './range-waiters.js';
import type { RangeWaiter, RangeWaiters, SettleWait } from './range-waiters.js';
import type { ChecksumResult } from './store-checksums.js';
import type { StoreProgress, StoreRead, TempFileStoreDeps, TempFileStoreOptions } from './store-deps.js';
import type { FilledStore } from './store-filling.js';
import { assembleParts } from './store-parts.js';
import type { StoreParts } from './store-parts.js';
import type { TargetedStore } from './store-target.js';
import type { FillableStore } from './whole-fill.js';
import { openDirectReads } from './store-direct-reads.js';
import type { StoreDirectReads } from './store-direct-reads.js';
import { closedError, corruptError, deadlineError, outcomeOf, refusalOf } from './store-state.js';
import type { StoreOutcome, StoreState } from './store-state.js';
import { StoreWaiters } from './store-waiters.js';

export class TempFileStore implements TargetedStore, FilledStore, FillableStore {
  readonly id: string;
  readonly version: ObjectVersion;
  readonly availability: Availability;
  readonly readDeadlineMs: number;
  /** Settles once, never rejects. */
  readonly done: Promise<StoreOutcome>;
  /** Called when nobody else may be given this store: its version is gone, or its file is not to be used. */
  onUnusable: () => void = () => {};
  readonly #copy: LocalCopy;
  readonly #deps: TempFileStoreDeps;
  readonly #parts: StoreParts;
  readonly #createdMs: number;
  readonly #waiters = new StoreWaiters();
  readonly #expired: ExpiredRanges;
  readonly #progressListeners = new Set<(progress: StoreProgress) => void>();
  readonly #done = new Deferred<StoreOutcome>();
  #state: StoreState = { kind: 'filling' };
  #isChecked = false;
  #direct: StoreDirectReads | undefined;

  constructor(
    version: ObjectVersion,
    copy: LocalCopy,
    deps: TempFileStoreDeps,
    { id, readDeadlineMs }: TempFileStoreOptions,
  ) {
    this.id = id;
    this.version = version;
    this.availability = copy.memory.availability;
    this.done = this.#done.promise;
    this.#copy = copy;
    this.#deps = deps;
    this.#createdMs = deps.clock.nowMs();
    this.readDeadlineMs = readDeadlineMs;
    this.#expired = new ExpiredRanges({ clock: deps.clock, availability: this.availability });
    this.#parts = assembleParts(this, copy, deps, this.#waiters);
    if (!this.availability.complete) return;
    this.#isChecked = copy.trust === 'complete';
    this.#completed('it was there');
  }

  get state(): StoreState {
    return this.#state;
  }

  /** What a session that answers reads by itself knows of the local file; only while the store is awake. */
  get direct(): DirectFile | undefined {
    return this.#direct?.file;
  }

  /** Every byte is here, and nothing that is known of the object speaks against them. */
  get isChecked(): boolean {
    return this.#isChecked;
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
    for (;;) {
      const { generation } = this.availability;
      if (!this.availability.has(range)) await this.#waitFor(range, trace, signals);
      if (this.#state.kind === 'closed') throw closedError();
      if (this.#state.kind === 'corrupt') throw this.#state.error;
      await this.#parts.storeFile.readInto(target.subarray(0, length), offset);
      // Else something was punched out meanwhile: it may have been of these bytes.
      if (this.availability.generation === generation) return length;
    }
  }

  /** Calls `listener` after every advance; returns the function that ends it. */
  onProgress(listener: (progress: StoreProgress) => void): () => void {
    this.#progressListeners.add(listener);
    return () => void this.#progressListeners.delete(listener);
  }

  /** Somebody has the object open, again. */
  wake(): void {
    if (this.#direct !== undefined) return;
    // What was begun before the last close may still be written, and published without asking; others publish at any time.
    const beingWritten = this.#parts.storeFile.isLent || this.#copy.exists;
    this.#direct = openDirectReads(this, { ...this.#deps, file: this.#parts.file, beingWritten });
  }

  /** Fetches all of it, though nobody reads. */
  fill(kind: FillKind): void {
    if (this.#state.kind === 'filling') this.#parts.filling.fill(kind);
  }

  // What fillWhole calls (FillableStore).

  get isFetchedElsewhere(): boolean {
    return this.#copy.role === 'follower';
  }

  beginWhole(): boolean {
    if (this.#state.kind === 'filling' && !this.#parts.room.reserveWhole()) return false;
    this.#parts.target.forgetDelay();
    this.fill('as prefetch');
    return true;
  }

  waitForWhole(settle: SettleWait): RangeWaiter {
    return this.#await(this.#waiters.fills, { start: 0, end: this.version.size }, settle, []);
  }

  async compared(): Promise<void> {
    await this.#parts.checksums.verdict;
    if (this.#state.kind === 'corrupt') throw this.#state.error;
  }

  /**
   * Nobody has the object open: fetching and direct reads end. Resolves when nothing is written any more, and all is
   * compared.
   */
  async rest(): Promise<void> {
    this.#parts.filling.stop();
    this.#parts.storeFile.orphan();
    this.#expired.clear();
    this.#endDirectReads();
    await Promise.all([this.#parts.storeFile.whenQuiet(), this.#parts.filling.verified()]);
    if (this.#state.kind === 'complete') await this.#parts.checksums.verdict;
  }

  /** Ends everything; resolves when the local file is let go. Idempotent. */
  async close(): Promise<void> {
    if (this.#state.kind !== 'closed') {
      this.#parts.filling.close();
      this.#enter({ kind: 'closed' }, 'closed');
      this.#waiters.fail(closedError());
      this.#endDirectReads();
      this.#parts.checksums.close();
    }
    await this.#parts.file.close();
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
      checksum: this.#parts.checksums.result,
      handles,
      readsWaiting: this.#waiters.readers.count,
      partsInFlight: this.#parts.filling.partsInFlight,
    };
  }

  // What direct reads call (DirectlyReadStore).

  observe(range: ByteRange): void {
    if (this.#state.kind !== 'filling') return;
    this.#parts.room.used(range);
    this.#parts.filling.observe(range);
  }

  wait(range: ByteRange, settle: SettleWait, signals: readonly AbortSignal[] = []): RangeWaiter {
    const waiter = this.#await(this.#waiters.readers, range, settle, signals);
    if (waiter.isWaiting) this.#parts.filling.demand(range);
    return waiter;
  }

  deadlineError(range: ByteRange): ContentError {
    return deadlineError(this.version, range, this.readDeadlineMs, this.#parts.target.delayReason);
  }

  // What the filling calls (TargetedStore, FilledStore).

  attachDirect(): number | undefined {
    this.#direct?.attach();
    return this.#direct?.file.id;
  }

  arrived(range: ByteRange): void {
    if (this.#state.kind === 'closed') return;
    this.#direct?.attach();
    this.availability.publish(range);
    this.#parts.checksums.arrived(range);
    this.advancedElsewhere();
  }

  failed(kind: 'stale' | 'failed', error: ContentError): void {
    if (this.#state.kind !== 'filling') return;
    this.#parts.filling.stop();
    this.#enter({ kind, error }, error.message);
    this.#waiters.fail(error);
    this.onUnusable();
  }

  /** Something was published by another process. */
  advancedElsewhere(): void {
    if (this.#state.kind === 'closed') return;
    this.#direct?.attach();
    this.#direct?.file.published();
    this.#waiters.wake((wanted) => this.availability.has(wanted));
    const { contiguousBytes, arrivedBytes } = this.availability;
    for (const listener of this.#progressListeners) listener({ contiguousBytes, arrivedBytes });
    if (this.availability.complete && this.#state.kind === 'filling') this.#completed('all bytes arrived');
    this.#parts.checksums.advanced();
  }

  /** What is here is not the object: nobody gets a byte of it any more. */
  corrupted(): void {
    if (this.#state.kind === 'closed' || this.#state.kind === 'corrupt') return;
    const error = corruptError(this.version);
    this.#parts.filling.stop();
    this.#enter({ kind: 'corrupt', error }, error.message);
    this.#waiters.fail(error);
    this.#direct?.file.revoke();
    this.#copy.condemn();
    this.#deps.cacheMetrics.verificationFailed();
    this.#deps.onCorrupt();
    this.onUnusable();
  }

  #endDirectReads(): void {
    this.#direct?.close();
    this.#direct = undefined;
  }

  async #waitFor(range: ByteRange, trace: ReadTrace, signals: readonly AbortSignal[]): Promise<void> {
    const expired = this.#expired.share(range);
    if (expired !== undefined) throw refusalOf(this.#state, signals) ?? expired;
    trace.beginWait(range);
    const outcome = await waitAsReader((settle) => this.wait(range, settle, signals), {
      clock: this.#deps.clock,
      deadlineMs: this.readDeadlineMs,
      deadlineError: () => this.deadlineError(range),
      signals,
    });
    trace.endWait();
    if (outcome.kind === 'arrived') return;
    if (outcome.error.code === 'deadline') this.#expired.add(range, outcome.error);
    throw outcome.error;
  }

  /** May settle before it returns. */
  #await(
    waiters: RangeWaiters,
    range: ByteRange,
    settle: SettleWait,
    signals: readonly AbortSignal[],
  ): RangeWaiter {
    const waiter = waiters.add(range, settle);
    const refusal = refusalOf(this.#state, signals);
    if (this.availability.has(range)) this.#waiters.wake((other) => this.availability.has(other));
    else if (refusal !== undefined) waiter.giveUp(refusal);
    return waiter;
  }

  #completed(reason: string): void {
    this.#enter({ kind: 'complete' }, reason);
    void this.#parts.checksums.verdict.then((result) => this.#compared(result));
  }

  #compared(result: ChecksumResult): void {
    if (this.#state.kind !== 'complete' || this.#isChecked) return;
    assert(result !== 'differs', 'a store whose copy differs is corrupt before it is told so');
    this.#isChecked = true;
    this.#copy.filled(result);
    this.#deps.cacheMetrics.filled(this.#deps.clock.nowMs() - this.#createdMs);
  }

  #enter(state: StoreState, reason: string): void {
    const from = this.#state.kind;
    this.#state = state;
    const { key, etag } = this.version;
    this.#deps.logger.debug({ store: this.id, key, etag, from, to: state.kind, reason }, 'store state');
    const outcome = outcomeOf(state);
    if (outcome !== undefined) this.#done.resolve(outcome);
  }
}
