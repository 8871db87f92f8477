/**
 * Notices a connection that brings nothing, or so little that waiting for it is no use: fewer than `BYTES_MIN` within
 * the stall timeout. Looked at a few times per timeout; pure.
 */

/** Looks per timeout: a stall is noticed at most an eighth late. */
export const LOOKS = 8;
/** A link that carries less than this in 3 s (21 KiB/s) is worse than another attempt, which resumes where it was. */
const BYTES_MIN = 64 * 1024;

export class RateFloor {
  /** Bytes seen at the last `LOOKS` looks, in a ring. */
  readonly #seen: number[] = [];
  #at = 0;

  /** @returns true when the bytes of a whole timeout are too few. @param bytes all that arrived so far */
  look(bytes: number): boolean {
    const before = this.#seen[this.#at];
    this.#seen[this.#at] = bytes;
    this.#at = (this.#at + 1) % LOOKS;
    return before !== undefined && bytes - before < BYTES_MIN;
  }
}
