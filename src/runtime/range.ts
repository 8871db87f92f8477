/** Half-open byte ranges `[start, end)`, 0 ≤ start < end, and the few pure operations on them that Sluice needs. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export function rangesOverlap(a: ByteRange, b: ByteRange): boolean {
  return a.start < b.end && b.start < a.end;
}

/** What of `range` none of `taken` covers, in order. `taken` may be unsorted and overlap. */
export function subtractRanges(range: ByteRange, taken: Iterable<ByteRange>): ByteRange[] {
  let rest: ByteRange[] = [range];
  for (const hole of taken) {
    rest = rest.flatMap((piece) => {
      if (!rangesOverlap(piece, hole)) return [piece];
      const left = { start: piece.start, end: hole.start };
      const right = { start: hole.end, end: piece.end };
      return [left, right].filter(({ start, end }) => start < end);
    });
  }
  return rest;
}
