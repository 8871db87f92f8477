/**
 * The one store that is fetched ahead although nobody has its object open: owned by TempFileStores. It fetches below
 * all other prefetch, and no longer than somebody may be on the way to it.
 */
import type { CancelTimer, Clock } from '../runtime/clock.js';
import { assert } from '../runtime/assert.js';
import type { TempFileStore } from './temp-file-store.js';

/**
 * A loader opens the next shard when it is through with this one: half of a shard of 5 GB takes it some seconds, a
 * minute at 40 MB/s. Whoever ended instead has cost no more than the network gave in this time.
 */
export const EXPECTED_FOR_MS = 60_000;

export class Expectation {
  readonly #clock: Clock;
  readonly #onEnd: (store: TempFileStore) => void;
  #store: TempFileStore | undefined;
  #cancelTimer: CancelTimer = () => {};

  /** @param onEnd told when nobody came. */
  constructor(clock: Clock, onEnd: (store: TempFileStore) => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  get isUnderWay(): boolean {
    return this.#store !== undefined;
  }

  begin(store: TempFileStore): void {
    assert(!this.#store, 'one store at a time is expected');
    this.#store = store;
    this.#cancelTimer = this.#clock.after(EXPECTED_FOR_MS, () => this.#giveUp(store));
    void store.done.then(() => this.#giveUp(store));
    store.fill('gently');
  }

  /** Somebody opened `store`: what it fetches is its readers' affair from now on. */
  meet(store: TempFileStore): void {
    if (this.#store === store) this.#end();
  }

  #giveUp(store: TempFileStore): void {
    if (this.#store !== store) return;
    this.#end();
    this.#onEnd(store);
  }

  #end(): void {
    this.#cancelTimer();
    this.#store = undefined;
  }
}

/** Calls `listener` once, when more than half of the object is here, now or later, unless `closing` aborts before. */
export function onceHalfHere(store: TempFileStore, closing: AbortSignal, listener: () => void): void {
  const isHalfHere = () => store.availability.arrivedBytes * 2 > store.version.size;
  if (isHalfHere()) return listener();
  const end = store.onProgress(() => {
    if (!isHalfHere()) return;
    end();
    listener();
  });
  closing.addEventListener('abort', end, { once: true });
}
