/**
 * How much of all bodies is written in one turn of the event loop; body-writer.ts asks here before each piece. Without
 * a bound, twenty clients that read as fast as they can have 10 MiB and more written in each turn, and a new request,
 * a timer or a short answer waits for all of it. Pieces wait first come, first served, so that the bodies share.
 *
 * Promise: whoever waits is let through in one of the next turns, whatever becomes of the others.
 */

/** About a millisecond of copying into sockets. */
const BYTES_PER_TURN = 1024 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly proceed: () => void;
}

export class WriteTurns {
  readonly #bytesPerTurn: number;
  readonly #waiting: Waiting[] = [];
  #leftBytes: number;
  #isTurnPlanned = false;

  constructor(bytesPerTurn = BYTES_PER_TURN) {
    this.#bytesPerTurn = bytesPerTurn;
    this.#leftBytes = bytesPerTurn;
  }

  /**
   * Undefined when `bytes` may be written at once, else resolves when they may. A turn lets pieces through as long as
   * anything is left of it: the last one may be larger than that.
   */
  take(bytes: number): Promise<void> | undefined {
    this.#planTurn();
    if (this.#waiting.length === 0 && this.#leftBytes > 0) {
      this.#leftBytes -= bytes;
      return undefined;
    }
    return new Promise((proceed) => void this.#waiting.push({ bytes, proceed }));
  }

  #planTurn(): void {
    if (this.#isTurnPlanned) return;
    this.#isTurnPlanned = true;
    setImmediate(() => this.#begin());
  }

  #begin(): void {
    this.#isTurnPlanned = false;
    this.#leftBytes = this.#bytesPerTurn;
    if (this.#waiting.length > 0) this.#planTurn();
    while (this.#leftBytes > 0) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#leftBytes -= next.bytes;
      next.proceed();
    }
  }
}
