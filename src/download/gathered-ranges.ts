/**
 * Ranges that are asked for at the same moment, as the several requests of one large read are, handed on together once
 * the moment is over (in a microtask), neighbours as one range. A moment may end without any.
 */
import type { ByteRange } from '../runtime/range.js';

export class GatheredRanges {
  readonly #use: (ranges: readonly ByteRange[]) => void;
  #ranges: ByteRange[] = [];
  #isBegun = false;

  constructor(use: (ranges: readonly ByteRange[]) => void) {
    this.#use = use;
  }

  /** Begins a moment, unless one is under way. */
  begin(): void {
    if (this.#isBegun) return;
    this.#isBegun = true;
    queueMicrotask(() => this.#handOn());
  }

  add(range: ByteRange): void {
    this.#ranges.push(range);
    this.begin();
  }

  /** Forgets what was added: the moment under way ends without it. */
  clear(): void {
    this.#ranges = [];
  }

  #handOn(): void {
    const ranges = joinRanges(this.#ranges);
    this.#ranges = [];
    this.#isBegun = false;
    this.#use(ranges);
  }
}

/** The same bytes as few ranges, in order. */
export function joinRanges(ranges: readonly ByteRange[]): ByteRange[] {
  const joined: { start: number; end: number }[] = [];
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else joined.push({ start, end });
  }
  return joined;
}
