/**
 * A fixed number of connections, handed out first come, first served. Whoever holds a slot finds a free socket, so
 * that time spent waiting for one is never mistaken for a server that does not answer.
 */
import { assert } from '../runtime/assert.js';

export class Slots {
  readonly count: number;
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    assert(Number.isInteger(count) && count >= 1, `${count} slots`);
    this.count = count;
    this.#free = count;
  }

  /** Takes a slot, waiting for one if need be; false when `signal` aborted first. Each true needs one `release`. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    return new Promise<boolean>((resolve) => {
      const settle = (acquired: boolean) => {
        this.#waiting.delete(grant);
        signal.removeEventListener('abort', onAbort);
        resolve(acquired);
      };
      const grant = () => settle(true);
      const onAbort = () => settle(false);
      this.#waiting.add(grant);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  get isFull(): boolean {
    return this.#free === 0;
  }

  /** Takes a slot if there is one that nobody waits for. */
  tryAcquire(): boolean {
    if (this.isFull) return false;
    this.#free--;
    return true;
  }

  release(): void {
    const [next] = this.#waiting;
    if (next) next();
    else this.#free++;
  }
}

/** How `connectionsMax` is divided: object bytes never take the connections of listings and HEADs, nor the reverse. */
export function splitConnections(connectionsMax: number): {
  readonly control: number;
  readonly data: number;
} {
  assert(Number.isInteger(connectionsMax) && connectionsMax >= 2, `connectionsMax is ${connectionsMax}`);
  // A quarter answers names while the rest carries bytes; 8 parallel control calls suffice for any directory walk.
  const control = Math.min(8, Math.ceil(connectionsMax / 4));
  return { control, data: connectionsMax - control };
}
