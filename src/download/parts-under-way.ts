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

  /** What has not arrived of them. */
  get bytesLeft(): number {
    let bytes = 0;
    for (const { position, end } of this.#parts) bytes += Math.max(0, end - position);
    return bytes;
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
