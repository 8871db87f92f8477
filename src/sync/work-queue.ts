/**
 * The files that are still to be seen to, handed out one at a time to the lanes of a worker. A file that another worker
 * has is put aside, and handed out again after a `change`: nobody waits for one while there is other work.
 *
 * Promise: a change between the look at a file and `putAside` is not missed, since the look says which changes it saw.
 */
import { Deferred } from '../runtime/deferred.js';

export class WorkQueue<Item> {
  readonly #items: Iterator<Item>;
  #ready: Item[] = [];
  #aside: Item[] = [];
  #underWay = 0;
  #changes = 0;
  #isEnded = false;
  #wake = new Deferred<void>();

  constructor(items: Iterable<Item>) {
    this.#items = items[Symbol.iterator]();
  }

  /** To be noted before a look at whether an item is free. */
  get changes(): number {
    return this.#changes;
  }

  /** The next one; undefined when all are done, or after `end`. Each is to be given to `done` or `putAside`. */
  async take(): Promise<Item | undefined> {
    for (;;) {
      if (this.#isEnded) return undefined;
      const item = this.#next();
      if (item !== undefined) {
        this.#underWay += 1;
        return item;
      }
      if (this.#underWay === 0 && this.#aside.length === 0) return undefined;
      await this.#wake.promise;
    }
  }

  done(): void {
    this.#underWay -= 1;
    this.#wakeAll();
  }

  /** Another worker has it, as of `changesSeen`. */
  putAside(item: Item, changesSeen: number): void {
    this.#underWay -= 1;
    if (changesSeen === this.#changes) this.#aside.push(item);
    else this.#ready.push(item);
    this.#wakeAll();
  }

  /** What was put aside may be free now. */
  change(): void {
    this.#changes += 1;
    this.#ready.push(...this.#aside.splice(0));
    this.#wakeAll();
  }

  /** Nothing is handed out any more. Returns what was left. */
  end(): Item[] {
    const left = [...this.#ready.splice(0), ...this.#aside.splice(0)];
    for (let next = this.#items.next(); next.done !== true; next = this.#items.next()) left.push(next.value);
    this.#isEnded = true;
    this.#wakeAll();
    return left;
  }

  /** What nobody had yet comes first: the others may be done by then. */
  #next(): Item | undefined {
    const next = this.#items.next();
    return next.done === true ? this.#ready.shift() : next.value;
  }

  #wakeAll(): void {
    this.#wake.resolve();
    this.#wake = new Deferred();
  }
}
