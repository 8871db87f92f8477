/**
 * The objects of a request's selections, each once, listed ahead of those who work on them, so that totals are known
 * early. Any number may take them. Made by serve.ts; the run that takes them closes it.
 */
import { createAborter } from '../runtime/aborter.js';
import { Deferred } from '../runtime/deferred.js';
import { asError } from '../runtime/assert.js';
import type { ObjectInfo } from '../object-store/object-store.js';
import type { Selection } from './messages.js';
import { select } from './select.js';
import type { Bucket } from './select.js';

/** Selections that are looked up at a time: a list names thousands, and those who look up names want connections, too. */
const LISTERS = 4;
/** About 50 MiB of names; who lists more learns the totals later. */
const AHEAD_MAX = 200_000;

export interface ListingOptions {
  /** Told of each object before it is taken; what it throws ends the listing. */
  readonly onFound: (object: ObjectInfo) => void;
  readonly onUnmatched: (selection: Selection) => Promise<void>;
  readonly signal: AbortSignal;
}

export class Listing {
  readonly #bucket: Bucket;
  readonly #options: ListingOptions;
  readonly #closing = createAborter();
  readonly #ahead: ObjectInfo[] = [];
  readonly #seen = new Set<string>();
  #taken = 0;
  #isComplete = false;
  #failure: Error | undefined;
  /** Settled, and replaced, whenever something has changed. */
  #change = new Deferred<void>();

  constructor(selections: readonly Selection[], bucket: Bucket, options: ListingOptions) {
    this.#bucket = bucket;
    this.#options = options;
    const close = () => this.close();
    options.signal.addEventListener('abort', close, { once: true });
    this.#closing.signal.addEventListener('abort', () => {
      options.signal.removeEventListener('abort', close);
      this.#changed();
    });
    if (options.signal.aborted) this.close();
    void this.#listAll(selections);
  }

  /** Nothing more is to be found. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Nothing is listed, or given to anybody, any more. Idempotent. */
  close(): void {
    this.#closing.abort();
  }

  /** The next object; undefined when there is none, or it was closed. @throws what listing threw */
  async take(): Promise<ObjectInfo | undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closing.signal.aborted) return undefined;
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

  async #listAll(selections: readonly Selection[]): Promise<void> {
    const left = selections.values();
    const isShared = selections.length > 1;
    const lister = async () => {
      for (const selection of left) await this.#list(selection, isShared);
    };
    try {
      await Promise.all(Array.from({ length: Math.min(LISTERS, selections.length) }, lister));
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#failure = asError(error);
      this.close();
    }
    this.#isComplete = true;
    this.#changed();
  }

  async #list(selection: Selection, isShared: boolean): Promise<void> {
    const { signal } = this.#closing;
    let matched = false;
    for await (const object of select(selection, this.#bucket, signal)) {
      matched = true;
      if (isShared && this.#isRepeated(object)) continue;
      this.#options.onFound(object);
      this.#ahead.push(object);
      this.#changed();
      while (this.#ahead.length - this.#taken > AHEAD_MAX && !signal.aborted) await this.#change.promise;
    }
    if (!matched && !signal.aborted) await this.#options.onUnmatched(selection);
  }

  #isRepeated({ key }: ObjectInfo): boolean {
    if (this.#seen.has(key)) return true;
    this.#seen.add(key);
    return false;
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
