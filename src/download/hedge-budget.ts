/**
 * The bytes that a mount may still ask for twice (hedges.ts): a token bucket that each fetched byte fills a little.
 * Promise: all hedges together bring at most a hundredth of the bytes fetched.
 */

const HEDGED_SHARE_MAX = 0.01;
/** What may be saved up: four of the first requests of files; without a limit a long quiet would pay for a flood. */
const SAVED_BYTES_MAX = 4 * 1024 * 1024;
/** The bytes that may still be asked for twice. */
export class HedgeBudget {
  #bytes = 0;

  /** Parts brought `bytes`. */
  fetched(bytes: number): void {
    this.refund(bytes * HEDGED_SHARE_MAX);
  }

  /** Takes up to `bytes`; returns how many. */
  take(bytes: number): number {
    const taken = Math.min(bytes, Math.floor(this.#bytes));
    this.#bytes -= taken;
    return taken;
  }

  refund(bytes: number): void {
    this.#bytes = Math.min(SAVED_BYTES_MAX, this.#bytes + bytes);
  }
}
