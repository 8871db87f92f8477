/** The words of `sluice sync`: what is told of an event, and the summary. Pure. */
import { unreachable } from '../runtime/assert.js';
import { formatBytes, formatCount, formatDuration } from '../runtime/units.js';
import type { SyncEvent, SyncSummary } from '../sync/report.js';
import type { ProgressWords } from './progress.js';

/** @param source as a URL */
export function eventWords(event: SyncEvent, source: string): ProgressWords {
  switch (event.event) {
    case 'listed':
      if (event.files === 0) return { problem: `nothing that should be fetched lies below ${source}` };
      return { line: `${formatCount(event.files, 'file')}, ${formatBytes(event.bytes)}` };
    case 'fetched':
      return {
        line: `fetched ${event.name}  ${formatBytes(event.bytes)}  ${formatDuration(event.milliseconds)}`,
      };
    case 'skipped':
      return event.reason === 'deleted on the server' ? { line: `gone on the server: ${event.name}` } : {};
    case 'retried':
      return { line: `again ${event.name}: ${event.reason}` };
    case 'deleted':
      return { line: `deleted ${event.name}` };
    case 'would-fetch':
      return { line: `would fetch ${event.name}  ${formatBytes(event.bytes)}` };
    case 'would-delete':
      return { line: `would delete ${event.name}` };
    case 'refused':
      return { problem: `left out ${event.key}: ${event.reason}` };
    case 'failed':
      return { problem: `failed ${event.name}: ${event.message}` };
    case 'given-up':
      return { problem: `${formatCount(event.files, 'more file')} not tried: ${event.reason}` };
    case 'not-deleted':
      return { problem: `nothing was deleted: ${event.reason}${adviceOf(event.reason)}` };
    default:
      return unreachable(event);
  }
}

export function summaryLines(
  summary: SyncSummary,
  place: { readonly source: string; readonly directory: string },
): string[] {
  const { succeeded, skipped, retried, failed, deleted, refused, bytes, milliseconds, dryRun } = summary;
  const verb = dryRun ? 'Would synchronise' : summary.stopped ? 'Stopped synchronising' : 'Synchronised';
  const rate = milliseconds > 0 ? `, ${formatBytes(Math.round((bytes * 1000) / milliseconds))}/s` : '';
  const average =
    succeeded > 0 && !dryRun ? [`${formatDuration(summary.millisecondsPerFile)} per file on average`] : [];
  const counts = [
    `${succeeded} ${dryRun ? 'to fetch' : 'succeeded'}`,
    `${skipped} skipped`,
    `${retried} retried`,
    `${failed} failed`,
    `${deleted} ${dryRun ? 'to delete' : 'deleted'}`,
    ...(refused === 0 ? [] : [`${refused} left out`]),
  ];
  return [
    `${verb} ${place.source} to ${place.directory} in ${formatDuration(milliseconds)}`,
    `  ${counts.join(', ')}`,
    `  ${[`${formatBytes(bytes)}${dryRun ? '' : rate}`, ...average].join(', ')}`,
  ];
}

function adviceOf(reason: string): string {
  return reason.startsWith('the bucket shows nothing') ? ' (--force-delete deletes all the same)' : '';
}
