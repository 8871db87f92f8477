/** What the cache commands print: lines for people, documents for programs. Pure. */
import type { CachedObject, CacheStats } from '../cache/cached-object.js';
import { formatBytes } from '../runtime/units.js';
import { printable } from './output.js';

export const CACHE_SCHEMA = 1;

/** A daemon that uses the directory, as its status says. */
export interface CacheUser {
  readonly pid: number;
  readonly mountpoint: string;
  readonly bytesMax: number;
}

export function urlOf({ version }: Pick<CachedObject, 'version'>): string {
  return `s3://${version.bucket}/${version.key}`;
}

const COLUMNS = ['size', 'on disk', 'state', 'pin', 'open', 'uses', 'last use', 'object'] as const;

export function listLines(copies: readonly CachedObject[]): string[] {
  if (copies.length === 0) return ['No copies.'];
  const rows = copies.map((copy) => [
    formatBytes(copy.version.size),
    formatBytes(copy.bytes),
    copy.state,
    copy.pinned ? 'pinned' : '-',
    copy.openCount === 0 ? '-' : String(copy.openCount),
    String(copy.useCount),
    copy.usedAtMs === undefined ? 'never' : minuteOf(copy.usedAtMs),
    printable(urlOf(copy)),
  ]);
  const widths = COLUMNS.map((name, at) =>
    Math.max(name.length, ...rows.map((row) => (row[at] ?? '').length)),
  );
  return [COLUMNS, ...rows].map((row) =>
    row
      .map((cell, at) => (at < 2 ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

export function statsLines(stats: CacheStats, users: readonly CacheUser[]): string[] {
  return [
    `Cache in ${stats.directory}`,
    `  copies  ${stats.copies}, of which ${stats.complete} complete, ${stats.pinned} pinned, ${stats.open} open`,
    `  bytes   ${formatBytes(stats.bytes)}, of which ${formatBytes(stats.pinnedBytes)} pinned`,
    `  disk    ${formatBytes(stats.freeBytes)} free`,
    ...users.map(
      ({ pid, mountpoint, bytesMax }) =>
        `  user    ${mountpoint} (pid ${pid}), at most ${formatBytes(bytesMax)}`,
    ),
  ].map(printable);
}

/** One copy as programs see it. */
export function copyDocument({ version, usedAtMs, ...copy }: CachedObject) {
  const { endpoint, bucket, key, etag, versionId = null, size } = version;
  const { bytes, state, pinned, openCount, useCount, verdict, checksum = null } = copy;
  const usedAt = usedAtMs === undefined ? null : new Date(usedAtMs).toISOString();
  const object = { endpoint, bucket, key, etag, versionId, size };
  return { ...object, bytes, state, pinned, openCount, useCount, usedAt, verdict, checksum };
}

export function statsDocument(stats: CacheStats, users: readonly CacheUser[]) {
  const { directory, copies, complete, pinned, open, bytes, pinnedBytes, freeBytes } = stats;
  const counts = { copies, complete, pinned, open, bytes, pinnedBytes };
  return { schema: CACHE_SCHEMA, directory, ...counts, freeBytes, users };
}

/** To the minute, UTC, as all times that Sluice prints. */
function minuteOf(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ')}Z`;
}
