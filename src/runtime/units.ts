/**
 * Sizes, durations and permission bits as people write them. Used by config/ to read options and by cli/ to print
 * what happens. Parsers return undefined for what they do not understand: the caller knows what to expect there.
 */

/** Suffix → bytes. As in GNU tools, `K` and `KiB` count in 1024, `KB` in 1000; case does not matter. */
const SIZE_UNITS: ReadonlyMap<string, number> = new Map(
  ['K', 'M', 'G', 'T', 'P'].flatMap((letter, at): [string, number][] => [
    [letter.toLowerCase(), 1024 ** (at + 1)],
    [`${letter.toLowerCase()}ib`, 1024 ** (at + 1)],
    [`${letter.toLowerCase()}b`, 1000 ** (at + 1)],
  ]),
).set('b', 1);

/** Suffix → milliseconds. */
const DURATION_UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

const QUANTITY = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i;

/** `20GiB`, `1.5G`, `4096` → bytes, rounded to a whole one; undefined when malformed or beyond 2^53. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text, SIZE_UNITS, 1);
}

/** `500ms`, `1.5s`, `2m` → milliseconds, rounded; a number without a unit counts seconds. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text, DURATION_UNITS, 1000);
}

/** `0444`, `444`, `0o444` → 0o444; undefined when it is not octal. */
export function parseMode(text: string): number | undefined {
  const digits = /^(?:0o)?([0-7]{1,4})$/.exec(text.trim())?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

function parseQuantity(text: string, units: ReadonlyMap<string, number>, bare: number): number | undefined {
  const [, digits, suffix] = QUANTITY.exec(text.trim()) ?? [];
  if (digits === undefined || suffix === undefined) return undefined;
  const unit = suffix === '' ? bare : units.get(suffix.toLowerCase());
  if (unit === undefined) return undefined;
  const value = Math.round(Number(digits) * unit);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Bytes for people: `512 B`, `1.50 GiB`; three significant digits. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let at = 0;
  // From 999.5 on, three digits would print 1000 of a unit.
  while (value >= 999.5 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${at === 0 ? value : threeDigits(value)} ${units[at]}`;
}

/** Milliseconds for people: `850 ms`, `12.3 s`, `4 m 05 s`, `3 h 02 m`, `2 d 04 h`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${threeDigits(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${twoDigits(seconds % 60)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${twoDigits(minutes % 60)} m`;
  return `${Math.floor(minutes / 1440)} d ${twoDigits(Math.floor((minutes % 1440) / 60))} h`;
}

/** `1 file`, `2 files`, `0 files`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** 0o444 → `0444`, which `parseMode` reads back. */
export function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function threeDigits(value: number): string {
  return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
