/**
 * The objects of a request's selections, each once, listed ahead of those who work on them, so that totals are known
 * early: one lister, any number of takers. Used by the runs.
 */
import { Deferred } from '../runtime/deferred.js';
import { asError } from '../runtime/assert.js';
import type { ObjectInfo } from '../object-store/object-store.js';
import type { Selection } from './messages.js';
import { select } from './select.js';
import type { Bucket } from './select.js';

/** About 50 MiB of names; who lists more learns the totals later. */
const AHEAD_MAX = 200_000;

export interface ListingOptions {
  /** Told of each object before it is taken; what it throws ends the listing. */
  readonly onFound: (object: ObjectInfo) => void;
  readonly onUnmatched: (selection: Selection) => Promise<void>;
  readonly signal: AbortSignal;
}

export class Listing {
  readonly #ahead: ObjectInfo[] = [];
  #taken = 0;
  #isComplete = false;
  #failure: Error | undefined;
  /** Settled, and replaced, whenever something has changed. */
  #change = new Deferred<void>();
  readonly #signal: AbortSignal;

  constructor(selections: readonly Selection[], bucket: Bucket, options: ListingOptions) {
    this.#signal = options.signal;
    this.#signal.addEventListener('abort', () => this.#changed(), { once: true });
    void this.#list(selections, bucket, options);
  }

  /** Nothing more is to be found. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The next object; undefined when there is none, or the signal was aborted. @throws what listing threw */
  async take(): Promise<ObjectInfo | undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#signal.aborted) return undefined;
      const object = this.#ahead[this.#taken];
      if (object !== undefined) {
        this.#taken += 1;
        this.#trim();
        return object;
      }
      if (this.#isComplete) return undefined;
      await this.#change.promise;
    }
  }

  async #list(selections: readonly Selection[], bucket: Bucket, options: ListingOptions): Promise<void> {
    try {
      const seen = selections.length > 1 ? new Set<string>() : undefined;
      for (const selection of selections) {
        let matched = false;
        for await (const object of select(selection, bucket, options.signal)) {
          matched = true;
          if (seen?.has(object.key)) continue;
          seen?.add(object.key);
          options.onFound(object);
          this.#ahead.push(object);
          this.#changed();
          while (this.#ahead.length - this.#taken > AHEAD_MAX && !options.signal.aborted) {
            await this.#change.promise;
          }
        }
        if (!matched) await options.onUnmatched(selection);
      }
    } catch (error) {
      if (!options.signal.aborted) this.#failure = asError(error);
    }
    this.#isComplete = true;
    this.#changed();
  }

  /** The taken ones go in large steps, each of which moves the others. */
  #trim(): void {
    if (this.#taken < AHEAD_MAX / 4 && this.#taken < this.#ahead.length) return;
    this.#ahead.splice(0, this.#taken);
    this.#taken = 0;
    this.#changed();
  }

  #changed(): void {
    const change = this.#change;
    this.#change = new Deferred();
    change.resolve();
  }
}
