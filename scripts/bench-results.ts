/** The figures of interleaved runs, by row and variant: medians, spread, ratios within one round, and one table of all. */
import { median } from './bench-support.js';

export interface Sample {
  readonly value: number;
  /** CPU time of the daemon: seconds per GiB, or where operations are counted µs for each. */
  readonly cpu?: number | undefined;
  /** READ requests that reached the daemon. */
  readonly reads?: number | undefined;
  /** Highest anonymous memory of the daemon. */
  readonly peakMib?: number | undefined;
  /** That carried a request at once, at most. */
  readonly connections?: number | undefined;
  /** Bytes that the server sent ÷ bytes that were read. */
  readonly amplification?: number | undefined;
}

export type Figure = keyof Sample;

export interface SavedResults {
  readonly variants: readonly string[];
  readonly rows: readonly {
    readonly row: Row;
    readonly samples: readonly (readonly [string, Sample[]])[];
  }[];
  readonly notes: readonly (readonly [string, string])[];
}

export interface Row {
  readonly title: string;
  readonly unit: 'MB/s' | '/s' | 'µs' | '%' | 'round trips' | '×';
}

const NAME_WIDTH = 18;
const COLUMN_WIDTHS = [10, 22, 15, 16, 8] as const;

export class Results {
  readonly #variants: readonly string[];
  readonly #rows = new Map<string, { readonly row: Row; readonly samples: Map<string, Sample[]> }>();

  readonly #notes = new Map<string, string>();

  /** @param variants in the order of the table; each row has one sample of each round, in the order of the rounds */
  constructor(variants: readonly string[]) {
    this.#variants = variants;
  }

  add(row: Row, variant: string, sample: Sample): void {
    const { samples } = this.#rows.get(row.title) ?? { samples: new Map<string, Sample[]>() };
    this.#rows.set(row.title, { row, samples });
    samples.set(variant, [...(samples.get(variant) ?? []), sample]);
  }

  samples(title: string, variant: string): readonly Sample[] {
    return this.#rows.get(title)?.samples.get(variant) ?? [];
  }

  /** NaN when there is none. */
  median(title: string, variant: string): number {
    return median(this.samples(title, variant).map(({ value }) => value));
  }

  /** Median CPU time; NaN when there is none. */
  cpu(title: string, variant: string): number {
    return this.figure('cpu', title, variant);
  }

  /** Median of what else was measured; NaN when it was not. */
  figure(name: Figure, title: string, variant: string): number {
    return median(this.samples(title, variant).flatMap((sample) => sample[name] ?? []));
  }

  /** In the order in which they came. */
  get rows(): readonly Row[] {
    return [...this.#rows.values()].map(({ row }) => row);
  }

  get variants(): readonly string[] {
    return this.#variants;
  }

  /** What stands in a row instead of figures: why a variant has none. */
  note(row: Row, variant: string, text: string): void {
    const { samples } = this.#rows.get(row.title) ?? { samples: new Map<string, Sample[]>() };
    this.#rows.set(row.title, { row, samples });
    this.#notes.set(`${row.title} ${variant}`, text);
  }

  /** All of it, as JSON keeps it. */
  saved(): SavedResults {
    const rows = [...this.#rows.values()].map(({ row, samples }) => ({ row, samples: [...samples] }));
    return { variants: this.#variants, rows, notes: [...this.#notes] };
  }

  static restored({ variants, rows, notes }: SavedResults): Results {
    const results = new Results(variants);
    for (const { row, samples } of rows) results.#rows.set(row.title, { row, samples: new Map(samples) });
    for (const [place, text] of notes) results.#notes.set(place, text);
    return results;
  }

  noteOf(title: string, variant: string): string | undefined {
    return this.#notes.get(`${title} ${variant}`);
  }

  /** Median of the ratios of each round; NaN when one of the two is missing. */
  ratio(title: string, variant: string, base: string): number {
    const bases = this.samples(title, base);
    const ratios = this.samples(title, variant).map(
      ({ value }, round) => value / (bases[round]?.value ?? NaN),
    );
    return ratios.some(Number.isNaN) ? NaN : median(ratios);
  }

  /** One line for each row and variant, with the ratio to `base`. */
  table(base: string): string[] {
    const heads = ['median', 'lowest … highest', `÷ ${base}`, 'daemon CPU', 'READs'];
    const lines = [`${''.padEnd(NAME_WIDTH)}${columns(heads)}`];
    for (const { row, samples } of this.#rows.values()) {
      lines.push(`${row.title}, ${row.unit}`);
      for (const variant of this.#variants.filter((name) => samples.has(name))) {
        lines.push(`  ${variant.padEnd(NAME_WIDTH - 2)}${this.#line(row, variant, base)}`);
      }
    }
    return lines;
  }

  #line({ title, unit }: Row, variant: string, base: string): string {
    const samples = this.samples(title, variant);
    const values = samples.map(({ value }) => value);
    const cpu = this.cpu(title, variant);
    const reads = samples.flatMap((sample) => sample.reads ?? []);
    const ratio = this.ratio(title, variant, base);
    return columns([
      figure(median(values)),
      `${figure(Math.min(...values))} … ${figure(Math.max(...values))}`,
      Number.isNaN(ratio) ? '' : ratio.toFixed(ratio < 0.1 ? 4 : 2),
      Number.isNaN(cpu) ? '' : unit === 'MB/s' ? `${cpu.toFixed(2)} s/GiB` : `${cpu.toFixed(1)} µs each`,
      reads.length === 0 ? '' : String(reads.reduce((sum, count) => sum + count, 0)),
    ]);
  }
}

function columns(texts: readonly string[]): string {
  return texts.map((text, at) => text.padStart(COLUMN_WIDTHS[at] ?? 0)).join('');
}

function figure(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}

/** What a figure is to reach: at least, or at most. */
export interface Bar {
  readonly of: string;
  readonly value: number;
  readonly limit: { readonly atLeast: number } | { readonly atMost: number };
}

/** Prints each bar with what was reached; one that was not measured (NaN) is said and not missed. Returns the exit code. */
export function judge(bars: readonly Bar[], print: (line: string) => void): number {
  const missed = bars.filter(({ value, limit }) =>
    'atLeast' in limit ? value < limit.atLeast : value > limit.atMost,
  );
  for (const bar of bars) {
    const wanted = 'atLeast' in bar.limit ? `≥ ${bar.limit.atLeast}` : `≤ ${bar.limit.atMost}`;
    const verdict = Number.isNaN(bar.value) ? 'not measured' : missed.includes(bar) ? 'MISSED' : 'met';
    const value = Number.isNaN(bar.value) ? '–' : String(Number(bar.value.toPrecision(3)));
    print(`${bar.of.padEnd(60)} ${value.padStart(8)} ${wanted.padStart(9)}  ${verdict}`);
  }
  return missed.length > 0 ? 1 : 0;
}
