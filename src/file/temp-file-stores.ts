/**
 * All TempFileStores of a mount: one per object version whatever the number of handles (single flight), counted by
 * its open handles, kept after the last close among the idle ones, and evicted from there, least recently used
 * first, so that the idle ones stay within the budget. Open stores are outside it and are never evicted.
 *
 * `open` and `close` are synchronous: they never wait for the network, and for the disk only to open a local file that
 * a session reads by itself.
 */
import { LRUCache } from '../runtime/lru.js';
import { createAborter } from '../runtime/aborter.js';
import { assert, asError } from '../runtime/assert.js';
import type { TransferMetrics } from '../observability/metrics.js';
import type { StoreStatus } from '../observability/status-report.js';
import { versionIdentity } from '../object-store/object-store.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import { ContentError } from './content.js';
import type { Content, ContentSource } from './content.js';
import { Expectation, onceHalfHere } from './expectation.js';
import type { StoreRead, TempFileStoreDeps } from './store-deps.js';
import { closedError } from './store-state.js';
import { TempFileStore } from './temp-file-store.js';

export interface TempFileStoresDeps extends Omit<TempFileStoreDeps, 'makeRoom' | 'onGrowth' | 'onCorrupt'> {
  readonly metrics: TransferMetrics;
}

export interface TempFileStoresOptions {
  /** An existing folder that belongs to this mount alone. */
  readonly directory: string;
  /** Local bytes to keep of objects that nobody has open. */
  readonly cacheBytesMax: number;
  readonly readDeadlineMs: number;
}

/** Bitmaps of idle stores, in memory: 2 MiB for an object of 64 GiB or more, 32 KiB for one of 1 GiB. */
const IDLE_BITMAP_BYTES_MAX = 256 * 1024 * 1024;
/** Idle stores kept at most, whatever their size: each costs about 9 KiB of memory (measured) and a directory entry. */
const IDLE_STORES_MAX = 16_384;

/** Versions whose copy was not the object, of which that is remembered: each was an error in the log. */
const CORRUPT_VERSIONS_MAX = 1000;

interface Entry {
  readonly store: TempFileStore;
  readonly identity: string;
  handles: number;
}

export class TempFileStores implements ContentSource {
  readonly #deps: TempFileStoresDeps;
  readonly #options: TempFileStoresOptions;
  readonly #open = new Map<string, Entry>();
  /** Open stores whose version is gone, or whose file failed or is not the object: a new open gets a new store. */
  readonly #detached = new Set<Entry>();
  readonly #idle: LRUCache<string, Entry>;
  readonly #expectation: Expectation;
  readonly #corrupt = new LRUCache<string, true>({ max: CORRUPT_VERSIONS_MAX });
  #idleBitmapBytes = 0;
  #idLast = 0;
  #readIdLast = 0;
  #closed = false;

  constructor(deps: TempFileStoresDeps, options: TempFileStoresOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#expectation = new Expectation(deps.clock);
    this.#idle = new LRUCache<string, Entry>({
      max: IDLE_STORES_MAX,
      maxSize: Math.max(1, options.cacheBytesMax),
      sizeCalculation: ({ store }) => Math.max(1, store.availability.arrivedBytes),
      disposeAfter: ({ store }, _identity, reason) => {
        this.#idleBitmapBytes -= store.availability.memory.byteLength;
        if (reason === 'evict') store.close();
      },
    });
  }

  open(version: ObjectVersion): Content {
    assert(!this.#closed, 'a file is opened after the mount was torn down');
    const entry = this.#acquire(version);
    entry.handles += 1;
    const { store } = entry;
    const closing = createAborter();
    return {
      version,
      storeId: store.id,
      replacesCorrupt: this.#corrupt.has(entry.identity),
      get direct() {
        return store.direct;
      },
      get complete() {
        return store.state.kind === 'complete' && version.size > 0;
      },
      read: (target, offset, signal) => {
        if (closing.signal.aborted) return Promise.reject(closedError());
        const signals = signal === undefined ? [closing.signal] : [closing.signal, signal];
        return this.#read(store, { target, offset, signals });
      },
      onceHalfHere: (listener) => onceHalfHere(store, closing.signal, listener),
      close: () => {
        if (closing.signal.aborted) return;
        closing.abort();
        this.#release(entry);
      },
    };
  }

  expect(version: ObjectVersion): void {
    const identity = versionIdentity(version);
    if (this.#closed || this.#expectation.isUnderWay || this.#open.has(identity)) return;
    if (version.size > this.#options.cacheBytesMax) return;
    const entry = this.#idle.get(identity) ?? {
      store: this.#create(version, identity),
      identity,
      handles: 0,
    };
    this.#keep(entry);
    if (entry.store.state.kind === 'filling') this.#expectation.begin(entry.store);
  }

  /** Open stores first, then idle ones, the most recently used first. */
  status(storesMax: number): { readonly stores: readonly StoreStatus[]; readonly omitted: number } {
    const stores: StoreStatus[] = [];
    for (const { store, handles } of this.#entries()) {
      if (stores.length === storesMax) break;
      stores.push(store.status(handles));
    }
    return { stores, omitted: this.openCount + this.idleCount - stores.length };
  }

  get openCount(): number {
    return this.#open.size + this.#detached.size;
  }

  get idleCount(): number {
    return this.#idle.size;
  }

  /** Bytes that lie on disk now. */
  get bytes(): number {
    let bytes = 0;
    for (const { store } of this.#entries()) bytes += store.availability.arrivedBytes;
    return bytes;
  }

  /** Closes every store and deletes its file. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const { store } of this.#entries()) store.close();
    this.#open.clear();
    this.#detached.clear();
    this.#idle.clear();
  }

  #acquire(version: ObjectVersion): Entry {
    const identity = versionIdentity(version);
    const open = this.#open.get(identity);
    if (open !== undefined) return open;
    const idle = this.#idle.get(identity);
    const entry = idle ?? { store: this.#create(version, identity), identity, handles: 0 };
    this.#open.set(identity, entry);
    if (idle !== undefined) this.#idle.delete(identity);
    this.#expectation.meet(entry.store);
    entry.store.wake();
    return entry;
  }

  #create(version: ObjectVersion, identity: string): TempFileStore {
    this.#idLast += 1;
    const { directory, readDeadlineMs } = this.#options;
    const store: TempFileStore = new TempFileStore(
      version,
      {
        ...this.#deps,
        makeRoom: (bytes) => this.#makeRoom(bytes),
        onGrowth: () => this.#grew(identity),
        onCorrupt: () => {
          this.#corrupt.set(identity, true);
          this.#detach(store, identity);
        },
      },
      { id: `s${this.#idLast}`, directory, readDeadlineMs },
    );
    void store.done.then((outcome) => {
      if (outcome.kind === 'failed') this.#detach(store, identity);
    });
    return store;
  }

  /** A store that failed, or is not the object, serves its open handles to their end, and nobody else. */
  #detach(store: TempFileStore, identity: string): void {
    const open = this.#open.get(identity);
    const idle = this.#idle.peek(identity);
    if (open?.store === store) {
      this.#open.delete(identity);
      this.#detached.add(open);
    } else if (idle?.store === store) {
      this.#idle.delete(identity);
      store.close();
    }
  }

  /** A write that was under way at the last close has ended: the idle store weighs more now. */
  #grew(identity: string): void {
    const idle = this.#idle.peek(identity);
    if (idle !== undefined) this.#keep(idle);
  }

  #release(entry: Entry): void {
    entry.handles -= 1;
    if (entry.handles > 0 || this.#closed) return;
    entry.store.rest();
    if (this.#detached.delete(entry)) return entry.store.close();
    this.#open.delete(entry.identity);
    // A failure whose detaching is still on its way: the store must not become idle.
    const { kind } = entry.store.state;
    if (kind === 'stale' || kind === 'failed') return entry.store.close();
    this.#keep(entry);
  }

  /** Puts a store among the idle ones, or weighs it again; one larger than the whole budget goes. */
  #keep(entry: Entry): void {
    const { identity, store } = entry;
    // lru-cache does not weigh a value again that it holds already.
    this.#idle.delete(identity);
    if (store.availability.arrivedBytes > this.#options.cacheBytesMax) {
      store.close();
      return;
    }
    this.#idleBitmapBytes += store.availability.memory.byteLength;
    this.#idle.set(identity, entry);
    while (this.#idleBitmapBytes > IDLE_BITMAP_BYTES_MAX) this.#evictOne();
  }

  #evictOne(): void {
    const entry = this.#idle.pop();
    if (entry === undefined) return;
    this.#deps.logger.debug({ store: entry.store.id, key: entry.store.version.key }, 'store evicted');
  }

  /** The disk is full: idle stores go, least recently used first, until about `bytes` are free. */
  #makeRoom(bytes: number): boolean {
    const before = this.#idle.calculatedSize;
    while (this.#idle.size > 0 && before - this.#idle.calculatedSize < bytes) this.#evictOne();
    return this.#idle.calculatedSize < before;
  }

  *#entries(): Iterable<Entry> {
    yield* this.#open.values();
    yield* this.#detached;
    yield* this.#idle.values();
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
