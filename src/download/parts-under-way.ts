/**
 * The parts of one store that are queued, under way or waiting for their next attempt, and which ranges they leave
 * free. Promise: they never overlap, so that no byte is asked for twice (but by a hedge, which is none of them). Apart
 * from them it knows the attempts that go on: of parts, of hedges, and of parts that nobody wants any more.
 */
import { assert } from '../runtime/assert.js';
import type { ByteRange } from '../runtime/range.js';
import { rangesOverlap, subtractRanges } from '../runtime/range.js';
import type { AttemptResult, Part } from './part.js';

export class PartsUnderWay implements Iterable<Part> {
  readonly #parts = new Set<Part>();
  readonly #attempts = new Set<Part>();

  get count(): number {
    return this.#parts.size;
  }

  /** No part, and no attempt that goes on: nobody would hear of an abort, which costs as much all the same. */
  get isIdle(): boolean {
    return this.#parts.size + this.#attempts.size === 0;
  }

  /** What has not arrived of them, as `missing` tells of a range. */
  bytesLeft(missing: (range: ByteRange) => readonly ByteRange[]): number {
    const gaps = [...this.#parts].flatMap((part) => missing(part));
    return gaps.reduce((bytes, { start, end }) => bytes + end - start, 0);
  }

  [Symbol.iterator](): Iterator<Part> {
    return this.#parts.values();
  }

  /** Bytes of `range` may come at any moment, perhaps from the middle of a page on whose beginning came before. */
  mayWrite(range: ByteRange): boolean {
    for (const part of this.#parts) if (rangesOverlap(part, range)) return true;
    for (const part of this.#attempts) if (rangesOverlap(part, range)) return true;
    return false;
  }

  /** Makes an attempt of a part, or of a hedge. Never rejects. */
  async attempt(part: Part, ...how: Parameters<Part['attempt']>): Promise<AttemptResult> {
    this.#attempts.add(part);
    const result = await part.attempt(...how);
    this.#attempts.delete(part);
    return result;
  }

  add(part: Part): void {
    assert(this.overlapping(part).length === 0, `part [${part.start}, ${part.end}) overlaps another`);
    this.#parts.add(part);
  }

  delete(part: Part): void {
    this.#parts.delete(part);
  }

  /** Nobody wants them any more; attempts end by themselves. */
  clear(): void {
    this.#parts.clear();
  }

  overlapping(range: ByteRange): Part[] {
    return [...this.#parts].filter((part) => rangesOverlap(part, range));
  }

  /** What of `range` no part covers, in order. */
  free(range: ByteRange): ByteRange[] {
    return subtractRanges(range, this.#parts);
  }

  /** The first of `range` that is neither there, as `firstMissing` tells of a range, nor covered. */
  firstFree(
    { start, end }: ByteRange,
    firstMissing: (range: ByteRange) => ByteRange | undefined,
  ): ByteRange | undefined {
    for (let from = start; from < end;) {
      const gap = firstMissing({ start: from, end });
      if (gap === undefined) return undefined;
      const free = this.free(gap)[0];
      if (free !== undefined) return free;
      from = gap.end;
    }
    return undefined;
  }
}
