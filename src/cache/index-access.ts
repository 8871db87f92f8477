/**
 * The index, called so that nobody who reads notices when it fails: a full disk, a process that was stopped in the middle
 * of a change, a damaged file. What must be said is said later then; while others keep the index locked, nobody waits for
 * it again and again. Used by Cache for itself and its copies.
 */
import { asError } from '../runtime/assert.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../observability/logger.js';
import { isBusy, isFull } from './index/database.js';

/** Each try at a locked index keeps the event loop waiting for 5 s: one in so long. */
const REST_MS = 30_000;
/** What is to be said later; each is an open copy, of which a mount has fewer. */
const OWED_MAX = 65_536;

interface Owed {
  readonly what: string;
  readonly work: () => void;
}

export class IndexAccess {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onFull: () => boolean;
  #owed: Owed[] = [];
  #restUntilMs = -Infinity;
  #failing = false;

  /** @param onFull gives space on the disk back, and says whether there was any: what failed is tried once more. */
  constructor(clock: Clock, logger: Logger, onFull: () => boolean) {
    this.#clock = clock;
    this.#logger = logger;
    this.#onFull = onFull;
  }

  /** What `work` gives; undefined, and a line in the log, when it throws, or when the index is let rest. */
  attempt<T>(what: string, work: () => T): T | undefined {
    this.settle();
    return this.#try(what, work)?.result;
  }

  /** Does `work`, now or when the index answers again. */
  insist(what: string, work: () => void): void {
    this.settle();
    // In order: what is owed of a copy comes before what is said of it later.
    if (this.#owed.length > 0 || this.#try(what, work) === undefined) this.#owe({ what, work });
  }

  /** What `work` gives, for who asks for it and hears of what it throws. @throws what `work` does */
  demand<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isFull(error) || !this.#onFull()) throw error;
      return work();
    }
  }

  /** Does what is owed, as far as the index answers. */
  settle(): void {
    while (this.#owed.length > 0) {
      const [first] = this.#owed;
      if (first === undefined || this.#try(first.what, first.work) === undefined) return;
      this.#owed.shift();
    }
  }

  #try<T>(what: string, work: () => T): { readonly result: T } | undefined {
    if (this.#clock.nowMs() < this.#restUntilMs) return undefined;
    try {
      const result = this.demand(work);
      if (this.#failing) this.#logger.info('the cache works again');
      this.#failing = false;
      return { result };
    } catch (error) {
      if (isBusy(error)) this.#restUntilMs = this.#clock.nowMs() + REST_MS;
      // Each open would say it again.
      const level = this.#failing ? 'debug' : 'warn';
      this.#failing = true;
      this.#logger[level]({ err: asError(error), what }, 'the cache failed: going on without it');
      return undefined;
    }
  }

  #owe(owed: Owed): void {
    if (this.#owed.length < OWED_MAX) this.#owed.push(owed);
  }
}
