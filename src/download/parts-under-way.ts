/**
 * The parts of one store that are queued, under way or waiting for their next attempt, and which ranges they leave
 * free. Promise: they never overlap, so that no byte is asked for twice (but by a hedge, which is none of them).
 */
import { assert } from '../runtime/assert.js';
import type { ByteRange } from '../runtime/range.js';
import { rangesOverlap, subtractRanges } from '../runtime/range.js';
import type { Part } from './part.js';

export class PartsUnderWay implements Iterable<Part> {
  readonly #parts = new Set<Part>();

  get count(): number {
    return this.#parts.size;
  }

  /** What has not arrived of them, as `missing` tells of a range. */
  bytesLeft(missing: (range: ByteRange) => readonly ByteRange[]): number {
    const gaps = [...this.#parts].flatMap((part) => missing(part));
    return gaps.reduce((bytes, { start, end }) => bytes + end - start, 0);
  }

  [Symbol.iterator](): Iterator<Part> {
    return this.#parts.values();
  }

  add(part: Part): void {
    assert(this.overlapping(part).length === 0, `part [${part.start}, ${part.end}) overlaps another`);
    this.#parts.add(part);
  }

  delete(part: Part): void {
    this.#parts.delete(part);
  }

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
}
