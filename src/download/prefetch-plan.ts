/**
 * What to fetch next though nobody waits for it yet: pure, asked by the downloader each time a connection is free.
 * First what the object's format says a loader wants first, then the windows ahead of the readers, whatever is nearest
 * to one of them, then, once the reading is a load, everything else.
 *
 * Promises: a range is free (neither there nor under way), begins on a page, lies within the object, and is no longer
 * than `partBytesMax`. Parts shrink as what is left shrinks, so that all connections end together.
 */
import type { ByteRange } from '../runtime/range.js';
import type { Pace } from './pace.js';
import { prefetchWindowBytes } from './read-streams.js';
import type { ReadStream } from './read-streams.js';

export interface PrefetchState {
  /** Bytes of the object. */
  readonly size: number;
  /** The most recently continued first. */
  readonly streams: readonly ReadStream[];
  /** What the format asks for first. */
  readonly first: readonly ByteRange[];
  /** All of the object is wanted, from the newest stream's position on. */
  readonly fills: boolean;
  /** The first whole pages of a range that are neither there nor under way. */
  readonly firstFree: (range: ByteRange) => ByteRange | undefined;
}

export interface PrefetchLimits {
  /** Unit in which ranges begin and end. */
  readonly pageBytes: number;
  readonly partBytesMax: number;
  /** Windows are not cut smaller: while one is young, many small requests have the reader going soonest. */
  readonly windowPartBytesMin: number;
  /** Smaller requests of a fill waste their round trip. */
  readonly fillPartBytesMin: number;
  readonly windowBytesMax: number;
  /** Connections that work on this object, ≥ 1. */
  readonly connections: number;
}

/** A fill is cut into so many pieces for each connection, so that one slow request does not end long after the rest. */
const PIECES_PER_CONNECTION = 1;
/** What is left behind a part and smaller than half of it, is part of it. */
const REST_FACTOR = 1.5;

/** Requests of less waste their round trip, and those of a window that has opened up are larger. */
export const PART_BYTES_MIN = 1024 * 1024;
const OPEN_WINDOW_PART_BYTES_MIN = 8 * 1024 * 1024;
/** A part of a fill is worth its round trip when it takes as long as so many of them. */
const PART_ROUND_TRIPS = 2;
/** Requests ahead of a reader who does not wait: in so many pieces, no larger than fast ones begin with. */
const CALM_PARTS = 4;
const CALM_PART_BYTES_MAX = 4 * 1024 * 1024;
/** Ahead of a reader there is, for each connection, what it brings in so many round trips: requests overlap then. */
const WINDOW_ROUND_TRIPS = 8;

/** What the network, as it turned out to be, asks for; `bytesMax` are limits of the user's. */
export function prefetchLimits(
  pace: Pick<Pace, 'roundTripMs' | 'bytesPerMs'>,
  connections: number,
  pageBytes: number,
  bytesMax: { readonly part: number; readonly window: number },
): PrefetchLimits {
  const roundTripBytes = pace.roundTripMs * pace.bytesPerMs;
  const aheadBytes = Math.max(OPEN_WINDOW_PART_BYTES_MIN, WINDOW_ROUND_TRIPS * roundTripBytes);
  return {
    pageBytes,
    connections,
    partBytesMax: bytesMax.part,
    windowPartBytesMin: PART_BYTES_MIN,
    fillPartBytesMin: Math.max(PART_BYTES_MIN, PART_ROUND_TRIPS * roundTripBytes),
    // One more than connections: the next part begins before the last one ends.
    windowBytesMax: Math.min(bytesMax.window, (connections + 1) * Math.min(bytesMax.part, aheadBytes)),
  };
}

export function nextPrefetch(state: PrefetchState, limits: PrefetchLimits): ByteRange | undefined {
  for (const range of state.first) {
    const free = state.firstFree(range);
    if (free !== undefined) return cut(free, limits.partBytesMax, limits);
  }
  const inWindow = nextInWindows(state, limits);
  if (!state.fills) return inWindow;
  if (inWindow === undefined) return nextOfFill(state, limits);
  // All that lies behind is wanted as well.
  const free = state.firstFree({ start: inWindow.start, end: state.size });
  return free === undefined ? inWindow : cutOfFill(free, limits);
}

/** The next piece of the whole object, behind the newest reader first. */
export function nextOfFill(
  { size, streams, firstFree }: PrefetchState,
  limits: PrefetchLimits,
): ByteRange | undefined {
  const from = Math.min(size, streams[0]?.position ?? 0);
  const free = firstFree({ start: from, end: size }) ?? firstFree({ start: 0, end: from });
  return free === undefined ? undefined : cutOfFill(free, limits);
}

function cutOfFill(free: ByteRange, limits: PrefetchLimits): ByteRange {
  const share = (free.end - free.start) / (PIECES_PER_CONNECTION * limits.connections);
  return cut(free, Math.max(share, limits.fillPartBytesMin), limits);
}

/** The free range that is nearest to a reader in whose window it lies. */
function nextInWindows(state: PrefetchState, limits: PrefetchLimits): ByteRange | undefined {
  let nearest: ByteRange | undefined;
  let distance = Number.POSITIVE_INFINITY;
  for (const stream of state.streams) {
    const range = nextInWindow(stream, state, limits);
    if (range === undefined || range.start - stream.position >= distance) continue;
    nearest = range;
    distance = range.start - stream.position;
  }
  return nearest;
}

function nextInWindow(
  stream: ReadStream,
  state: PrefetchState,
  limits: PrefetchLimits,
): ByteRange | undefined {
  const windowBytes = prefetchWindowBytes(stream, limits.windowBytesMax);
  if (windowBytes === 0) return undefined;
  const end = Math.min(stream.position + windowBytes, state.size);
  const free = state.firstFree({ start: stream.position, end });
  if (free === undefined) return undefined;
  // Who has not waited lately has time: the next request is sent when it is worth one.
  const isCalm = stream.runBytes > stream.waitedRunBytes;
  const calmPartBytes = isCalm ? Math.min(windowBytes / CALM_PARTS, CALM_PART_BYTES_MAX) : 0;
  const partBytes = Math.max(windowBytes / limits.connections, limits.windowPartBytesMin, calmPartBytes);
  const range = cut(free, partBytes, limits);
  // A sliver at the far edge waits until the window has moved on: else each read would send a small request.
  const isSliver = range.end >= end && end < state.size && range.end - range.start < partBytes;
  return isSliver && range.start > stream.position + windowBytes / 4 ? undefined : range;
}

/** The beginning of `free`: about `bytes`, in whole pages; all of it when little would be left. */
function cut(free: ByteRange, bytes: number, { pageBytes, partBytesMax }: PrefetchLimits): ByteRange {
  const freeBytes = free.end - free.start;
  const pages = Math.ceil(Math.min(bytes, partBytesMax) / pageBytes);
  const isRestSmall = freeBytes <= Math.min(partBytesMax, bytes * REST_FACTOR);
  return isRestSmall ? free : { start: free.start, end: Math.min(free.end, free.start + pages * pageBytes) };
}
