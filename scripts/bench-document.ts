/**
 * The results of the cold benchmarks as text: a table for each, what was wanted beside what was reached, and where
 * Sluice is not ahead the reason. Printed at the end of a run, and written to docs/PERFORMANCE.md by bench-reads.ts.
 */
import type { Bench } from './bench-kinds.js';
import type { Bar, Results, Row, Sample } from './bench-results.js';
import { median } from './bench-support.js';
import { RCLONE, S3FS, SLUICE } from './bench-world.js';

export interface Measured {
  readonly bench: Bench;
  readonly results: Results;
}

/** Where and with what it was measured. */
export interface Circumstances {
  /** ISO date. */
  readonly date: string;
  readonly runs: number;
  readonly cores: number;
  readonly processor: string;
  readonly kernel: string;
  readonly memoryGib: number;
  readonly roundTripMs: number;
  readonly connectionMib: number;
  /** Program and version; undefined: not installed. */
  readonly versions: Readonly<Record<string, string | undefined>>;
  /** Why we are not ahead, by the name of the benchmark and the title of the row or of the bar. */
  readonly reasons: Readonly<Record<string, string>>;
}

const SYSTEMS = [SLUICE, S3FS, RCLONE];
/** Where less is better. */
const LOWER: readonly Row['unit'][] = ['round trips', 'µs', '×'];
/** Differences below this mean nothing on a shared machine. */
const AHEAD_BY = 0.95;

export function documentOf(measured: readonly Measured[], of: Circumstances): string {
  return `${[head(of), summary(measured), ...measured.map((one) => section(one, of))].join('\n\n')}\n`;
}

function head(of: Circumstances): string {
  const versions = Object.entries(of.versions).map(([name, text]) => `${name} ${text ?? '(not installed)'}`);
  return `# Performance

Written by \`make bench BENCH=table\`; do not edit. How fast objects come that are not on the disk yet, beside \`curl\`, s3fs and rclone
(both with their disk cache). Reads of what is local are another benchmark: \`make bench BENCH=warm\`.

- **When, where**: ${of.date}; ${of.cores} cores (${of.processor}), ${of.memoryGib} GiB of memory, Linux ${of.kernel}. Server, daemon and reader share the
  cores.
- **With**: ${versions.join(', ')}. As root, with the native driver.
- **How**: ${of.runs} interleaved runs, each with a fresh mount and an empty cache, memory touched before the clock starts. Medians, with the
  lowest and the highest. Ratios are medians of the ratios of each run. Every way of reading has its bytes compared once. Other work on the
  machine falsifies it all; differences below 20 % mean little.
- **The network** is simulated by the server: ${of.roundTripMs} ms for a round trip (one more for a new connection that was not opened ahead), and where a
  cap is named ${of.connectionMib} MiB/s for each connection.
- **CPU** is that of the daemon per GiB read; **memory** the highest anonymous memory of the daemon; **connections** how many
  carried a request at once at most; **fetched** what the server sent ÷ what was read, at the end or 2 s later, whichever is more.`;
}

/** All that was wanted, in one table. */
function summary(measured: readonly Measured[]): string {
  const lines = measured.flatMap(({ bench, results }) =>
    bench.bars(results).map((bar) => {
      const verdict = Number.isNaN(bar.value) ? 'not measured' : isMet(bar) ? 'met' : '**missed**';
      return `| ${bench.title}: ${bar.of} | ${wanted(bar)} | ${figure(bar.value)} | ${verdict} |`;
    }),
  );
  return ['## What was wanted', '', '| | wanted | measured | |', '|---|--:|--:|---|', ...lines].join('\n');
}

export function isMet({ value, limit }: Bar): boolean {
  return 'atLeast' in limit ? value >= limit.atLeast : value <= limit.atMost;
}

function wanted({ limit }: Bar): string {
  return 'atLeast' in limit ? `≥ ${limit.atLeast}` : `≤ ${limit.atMost}`;
}

function section({ bench, results }: Measured, of: Circumstances): string {
  const base = bench.base === undefined ? '' : `÷ ${bench.base}`;
  const heads = [
    '',
    '',
    'median',
    'lowest … highest',
    base,
    'CPU s/GiB',
    'memory MiB',
    'connections',
    'fetched',
  ];
  const rows = results.rows.flatMap((row) => lines(row, bench, results, of));
  const reasons = notAhead(bench, results).map((what) => {
    return `- ${what}: ${of.reasons[`${bench.name}: ${what}`] ?? 'no reason is known yet.'}`;
  });
  return [
    `## ${bench.title}`,
    '',
    bench.about,
    '',
    cells(heads),
    `|---|---|${'--:|'.repeat(heads.length - 2)}`,
    ...rows,
    ...(reasons.length === 0 ? [] : ['', 'Where Sluice is not ahead:', '', ...reasons]),
  ].join('\n');
}

/** One line for each variant; a rival that could not run says why in place of figures. */
function lines(row: Row, bench: Bench, results: Results, of: Circumstances): string[] {
  const shown = [...bench.variants, ...SYSTEMS].flatMap((variant) => {
    if (results.samples(row.title, variant).length > 0) {
      return [[variant, ...figures(row, variant, bench, results)]];
    }
    const isAbsent = variant in of.versions && of.versions[variant] === undefined;
    const note = isAbsent ? 'not installed' : results.noteOf(row.title, variant);
    return note === undefined ? [] : [[variant, note, '', '', '', '', '', '']];
  });
  return shown.map((texts, at) => cells([at === 0 ? `${row.title}, ${row.unit}` : '', ...texts]));
}

function figures(row: Row, variant: string, bench: Bench, results: Results): string[] {
  const samples = results.samples(row.title, variant);
  const values = samples.map(({ value }) => value);
  const of = (pick: (sample: Sample) => number | undefined) =>
    figure(median(samples.flatMap((sample) => pick(sample) ?? [])));
  return [
    figure(median(values)),
    `${figure(Math.min(...values))} … ${figure(Math.max(...values))}`,
    bench.base === undefined ? '' : figure(results.ratio(row.title, variant, bench.base)),
    of(({ cpu }) => cpu),
    of(({ peakMib }) => peakMib),
    of(({ connections }) => connections),
    of(({ amplification }) => amplification),
  ];
}

/** The bars that were missed, and the rows in which a rival is better. */
export function notAhead(bench: Bench, results: Results): string[] {
  const missed = bench.bars(results).filter((bar) => !Number.isNaN(bar.value) && !isMet(bar));
  const behind = results.rows.filter(({ title, unit }) =>
    [S3FS, RCLONE].some((rival) => {
      const ratio = results.median(title, SLUICE) / results.median(title, rival);
      return LOWER.includes(unit) ? 1 / ratio < AHEAD_BY : ratio < AHEAD_BY;
    }),
  );
  return [...new Set([...missed.map((bar) => bar.of), ...behind.map(({ title }) => title)])];
}

function cells(texts: readonly string[]): string {
  return `| ${texts.join(' | ')} |`;
}

/** Three digits; empty for what was not measured. */
function figure(value: number): string {
  if (Number.isNaN(value)) return '';
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}
