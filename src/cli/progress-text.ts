/** The lines that progress.ts draws: pure. */
import { formatBytes, formatCount, formatDuration } from '../runtime/units.js';
import { printable } from './output.js';
import type { ProgressView, RunningFile } from './progress.js';

/** Bytes per second, overall and of a file that is worked on. */
export interface Pace {
  readonly bytesPerSecond: number;
  readonly ofFile: (file: RunningFile) => number;
}

const BAR_COLUMNS = 20;
/** `100%  1023 MiB  1023 MiB/s  59 m 59 s left`, so that the columns of all lines stand below each other. */
const FIGURES_COLUMNS = 44;
const NAME_COLUMNS_MIN = 8;

/** A line for each running file and one for all. */
export function picture(
  view: ProgressView,
  pace: Pace,
  size: { readonly columns: number; readonly filesMax: number },
): string[] {
  const shown = view.running.slice(0, Math.max(0, size.filesMax));
  const more = view.running.length - shown.length;
  return [
    ...shown.map((file) => fileLine(file, pace.ofFile(file), size.columns)),
    ...(more === 0 ? [] : [`  … and ${more} more`]),
    overallLine(view, pace.bytesPerSecond),
  ].map((line) => Array.from(line).slice(0, size.columns).join(''));
}

/** `12 of 100 files  1.20 GiB of 4.00 GiB (30%)  120 MiB/s  24.1 s left` */
export function overallLine(view: ProgressView, bytesPerSecond: number): string {
  const { filesDone, filesTotal, bytesDone, bytesTotal } = view;
  const files =
    filesTotal === undefined
      ? formatCount(filesDone, 'file')
      : `${filesDone} of ${formatCount(filesTotal, 'file')}`;
  const bytes =
    bytesTotal === undefined
      ? formatBytes(bytesDone)
      : `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)} (${percent(bytesDone, bytesTotal)})`;
  const left = bytesTotal === undefined ? '' : leftOf(bytesTotal - bytesDone, bytesPerSecond);
  return [files, bytes, `${formatBytes(Math.round(bytesPerSecond))}/s`, left].filter(Boolean).join('  ');
}

function fileLine(file: RunningFile, bytesPerSecond: number, columns: number): string {
  const { name, bytesDone, size } = file;
  const filled = size === 0 ? BAR_COLUMNS : Math.floor((BAR_COLUMNS * Math.min(bytesDone, size)) / size);
  const figures = [
    percent(bytesDone, size).padStart(4),
    formatBytes(size).padStart(9),
    `${formatBytes(Math.round(bytesPerSecond))}/s`.padStart(11),
    leftOf(size - bytesDone, bytesPerSecond),
  ].join(' ');
  const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_COLUMNS - filled)}]`;
  const nameColumns = Math.max(NAME_COLUMNS_MIN, columns - BAR_COLUMNS - 3 - FIGURES_COLUMNS);
  return `${shorten(printable(name), nameColumns)} ${bar} ${figures}`;
}

/** The end of a path tells more than its beginning. */
function shorten(name: string, columns: number): string {
  const characters = Array.from(name);
  if (characters.length <= columns) return name.padEnd(columns + name.length - characters.length);
  return `…${characters.slice(characters.length - columns + 1).join('')}`;
}

function percent(done: number, total: number): string {
  return `${total === 0 ? 100 : Math.min(100, Math.floor((100 * done) / total))}%`;
}

/** '' when nobody can tell. */
function leftOf(bytes: number, bytesPerSecond: number): string {
  if (bytes <= 0 || bytesPerSecond < 1) return '';
  return `${formatDuration((bytes / bytesPerSecond) * 1000)} left`;
}
