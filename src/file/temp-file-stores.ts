/**
 * All TempFileStores of a process: one per object version whatever the number of handles (single flight), counted by
 * whoever uses it: open handles, other daemons that follow its copy, and those that have it filled. When the last one
 * has gone, and what was under way has ended, the store goes and its copy is given back to the cache, which keeps it.
 *
 * `open` and `close` are synchronous: they never wait for the network, and for the disk only to find the copy, and to open
 * a local file that a session reads by itself.
 */
import { LRUCache } from '../runtime/lru.js';
import { abort, createAborter } from '../runtime/aborter.js';
import { assert, asError } from '../runtime/assert.js';
import { Deferred } from '../runtime/deferred.js';
import type { CopySource, LocalCopy } from '../cache/local-copy.js';
import type { PeerHost, PeerStore, PeerStoreListener } from '../cache/peers/peers.js';
import type { TransferMetrics } from '../observability/metrics.js';
import type { StoreStatus } from '../observability/status-report.js';
import { versionIdentity } from '../object-store/object-store.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import { ContentError } from './content.js';
import type { Content, ContentSource, FillOptions } from './content.js';
import { Expectation, onceHalfHere } from './expectation.js';
import { openForPeer } from './peer-store.js';
import type { StoreRead, TempFileStoreDeps } from './store-deps.js';
import { closedError, corruptError } from './store-state.js';
import { TempFileStore } from './temp-file-store.js';
import { fillWhole } from './whole-fill.js';

export interface TempFileStoresDeps extends Omit<TempFileStoreDeps, 'onCorrupt' | 'cacheMetrics'> {
  readonly metrics: TransferMetrics;
  readonly copies: CopySource;
  /** A version is about to be opened that nobody has open. */
  readonly opening?: (version: ObjectVersion) => void;
}

export interface TempFileStoresOptions {
  /** Larger objects are not fetched ahead for somebody who may open them. */
  readonly expectBytesMax: number;
  readonly readDeadlineMs: number;
}

/** Versions whose copy was not the object, of which that is remembered: each was an error in the log. */
const CORRUPT_VERSIONS_MAX = 1000;
/** An object that was fetched wrongly twice in a row is not tried again for this long. */
const CORRUPT_AGAIN_MS = 60_000;
const CORRUPT_TRIES = 2;
/** What is under way when the process ends may end by itself for this long. */
const CLOSING_MS_MAX = 2000;

interface Entry {
  readonly store: TempFileStore;
  readonly copy: LocalCopy;
  readonly identity: string;
  users: number;
  /** Counts how often the last user went. */
  rests: number;
}

export class TempFileStores implements ContentSource {
  readonly #deps: TempFileStoresDeps;
  readonly #options: TempFileStoresOptions;
  readonly #stores = new Map<string, Entry>();
  /** Stores whose version is gone, or whose file failed or is not the object: a new open gets a new store. */
  readonly #detached = new Set<Entry>();
  readonly #expectation: Expectation;
  readonly #corrupt = new LRUCache<string, { readonly tries: number; readonly lastMs: number }>({
    max: CORRUPT_VERSIONS_MAX,
  });
  #idLast = 0;
  #readIdLast = 0;
  #closed: Promise<void> | undefined;

  constructor(deps: TempFileStoresDeps, options: TempFileStoresOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#expectation = new Expectation(deps.clock, (store) => this.#letGo(store));
  }

  open(version: ObjectVersion): Content {
    const entry = this.#use(version, this.#deps.opening);
    const { store } = entry;
    this.#deps.metrics.cache.opened(store.availability.complete);
    const closing = createAborter();
    return {
      version,
      storeId: store.id,
      replacesCorrupt: this.#corrupt.has(entry.identity),
      get direct() {
        return store.direct;
      },
      get complete() {
        return store.isChecked && version.size > 0;
      },
      read: (target, offset, signal) => {
        if (closing.signal.aborted) return Promise.reject(closedError());
        const signals = signal === undefined ? [closing.signal] : [closing.signal, signal];
        return this.#read(store, { target, offset, signals });
      },
      onceHalfHere: (listener) => onceHalfHere(store, closing.signal, listener),
      close: () => {
        if (closing.signal.aborted) return;
        abort(closing);
        this.#leave(entry);
      },
    };
  }

  expect(version: ObjectVersion): void {
    const identity = versionIdentity(version);
    if (this.#closed || this.#expectation.isUnderWay || this.#stores.has(identity)) return;
    if (version.size > this.#options.expectBytesMax || this.#corrupt.has(identity)) return;
    const entry = this.#create(version, identity);
    this.#stores.set(identity, entry);
    if (entry.store.state.kind === 'filling') this.#expectation.begin(entry.store);
    else void this.#rest(entry);
  }

  /** Has all of the object in the cache, compared with its checksum. @throws ContentError */
  async fill(version: ObjectVersion, options: FillOptions): Promise<void> {
    for (;;) {
      const entry = this.#use(version);
      try {
        await fillWhole(entry.store, options, this.#deps.clock, this.#options.readDeadlineMs);
        return;
      } catch (error) {
        const isCorrupt = error instanceof ContentError && error.code === 'corrupt';
        if (!isCorrupt || this.#isGivenUp(entry.identity)) throw error;
      } finally {
        this.#leave(entry);
      }
    }
  }

  /** For daemons that share the cache directory. */
  readonly peers: PeerHost = { open: (version, listener) => this.#openForPeer(version, listener) };

  #openForPeer(version: ObjectVersion, listener: PeerStoreListener): PeerStore | undefined {
    const entry = this.#stores.get(versionIdentity(version));
    if (this.#closed || entry?.copy.role !== 'owner') return undefined;
    this.#join(entry);
    return openForPeer(entry.store, listener, () => this.#leave(entry));
  }

  /** Those in use first. */
  status(storesMax: number): { readonly stores: readonly StoreStatus[]; readonly omitted: number } {
    const entries = [...this.#stores.values(), ...this.#detached].toSorted((a, b) => b.users - a.users);
    const stores = entries.slice(0, storesMax).map(({ store, users }) => store.status(users));
    return { stores, omitted: entries.length - stores.length };
  }

  /** Stores that somebody uses. */
  get openCount(): number {
    let count = 0;
    for (const { users } of this.#entries()) if (users > 0) count += 1;
    return count;
  }

  /** Stores that nobody uses and whose copies were not given back yet. */
  get restingCount(): number {
    return this.#stores.size + this.#detached.size - this.openCount;
  }

  /**
   * Closes every store and gives the copies back, those in which something is still written after some seconds not: the
   * cache releases them. Publishing follows the write, so that no wrong byte comes of it. Reads end at once. Idempotent;
   * never rejects.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const entries = [...this.#entries()];
    this.#stores.clear();
    this.#detached.clear();
    const ends = entries.map(async ({ store, copy }) => {
      await store.close();
      copy.release();
    });
    const late = new Deferred<void>();
    const cancel = this.#deps.clock.after(CLOSING_MS_MAX, () => late.resolve());
    await Promise.race([Promise.all(ends), late.promise]);
    cancel();
  }

  #use(version: ObjectVersion, creating?: (version: ObjectVersion) => void): Entry {
    assert(!this.#closed, 'a file is opened after the stores were closed');
    const identity = versionIdentity(version);
    if (this.#isGivenUp(identity)) throw corruptError(version);
    let entry = this.#stores.get(identity);
    if (entry === undefined) {
      creating?.(version);
      entry = this.#create(version, identity);
      this.#stores.set(identity, entry);
    }
    this.#join(entry);
    return entry;
  }

  #join(entry: Entry): void {
    entry.users += 1;
    if (entry.users > 1) return;
    this.#expectation.meet(entry.store);
    entry.store.wake();
  }

  #leave(entry: Entry): void {
    entry.users -= 1;
    if (entry.users === 0 && !this.#closed) void this.#rest(entry);
  }

  /** Nobody expects it any more. */
  #letGo(store: TempFileStore): void {
    // It may be detached: expecting ends when it fails as well.
    const entry = [...this.#entries()].find((one) => one.store === store);
    if (entry?.users === 0 && !this.#closed) void this.#rest(entry);
  }

  /** Gives the copy back once nothing is under way in it, unless somebody came meanwhile. Never rejects. */
  async #rest(entry: Entry): Promise<void> {
    const { store, copy, identity } = entry;
    entry.rests += 1;
    const { rests } = entry;
    await store.rest();
    if (entry.users > 0 || entry.rests !== rests || this.#closed) return;
    if (this.#stores.get(identity) === entry) this.#stores.delete(identity);
    this.#detached.delete(entry);
    // At once, before somebody asks for the copy again: its descriptor follows.
    void store.close();
    copy.release();
  }

  #create(version: ObjectVersion, identity: string): Entry {
    this.#idLast += 1;
    const copy = this.#deps.copies.acquire(version);
    const onCorrupt = () => {
      const lastMs = this.#deps.clock.nowMs();
      const before = this.#corrupt.get(identity);
      const isAgain = before !== undefined && lastMs - before.lastMs < CORRUPT_AGAIN_MS;
      this.#corrupt.set(identity, { tries: isAgain ? before.tries + 1 : 1, lastMs });
    };
    const { readDeadlineMs } = this.#options;
    const { metrics } = this.#deps;
    if (this.#corrupt.has(identity) && copy.trust === 'fresh') metrics.cache.refetched();
    metrics.cache.found(copy.memory.availability.arrivedBytes);
    const deps = { ...this.#deps, cacheMetrics: metrics.cache, onCorrupt };
    const store = new TempFileStore(version, copy, deps, { id: `s${this.#idLast}`, readDeadlineMs });
    const entry = { store, copy, identity, users: 0, rests: 0 };
    store.onUnusable = () => this.#detach(entry);
    return entry;
  }

  /** A store that failed, or is not the object, serves its open handles to their end, and nobody else. */
  #detach(entry: Entry): void {
    if (this.#stores.get(entry.identity) !== entry) return;
    this.#stores.delete(entry.identity);
    this.#detached.add(entry);
    entry.copy.detach();
  }

  #isGivenUp(identity: string): boolean {
    const corrupt = this.#corrupt.get(identity);
    if (corrupt === undefined || corrupt.tries < CORRUPT_TRIES) return false;
    return this.#deps.clock.nowMs() - corrupt.lastMs < CORRUPT_AGAIN_MS;
  }

  *#entries(): Iterable<Entry> {
    yield* this.#stores.values();
    yield* this.#detached;
  }

  /** Where a session counts its direct reads as `r1`, `r2`…, the few that come through here are `i1`, `i2`…. */
  #readId(): string | undefined {
    if (this.#deps.directReads === undefined) return undefined;
    this.#readIdLast += 1;
    return `i${this.#readIdLast}`;
  }

  /** One traced read: ENTER here, EXIT whatever happens. */
  async #read(store: TempFileStore, { target, offset, signals }: Omit<StoreRead, 'trace'>): Promise<number> {
    const { key } = store.version;
    const subject = { storeId: store.id, key, offset, length: target.length };
    const trace = this.#deps.reads.enter(subject, { id: this.#readId() });
    try {
      const bytes = await store.read({ target, offset, trace, signals });
      this.#deps.metrics.readEnded(bytes);
      trace.exit('ok');
      return bytes;
    } catch (error) {
      this.#deps.metrics.readFailed();
      const failure = asError(error);
      trace.exit(failure instanceof ContentError ? failure.code : 'bug');
      throw failure;
    }
  }
}
