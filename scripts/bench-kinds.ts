/** What one benchmark of cold reads is, and what they do alike. The list of them is in bench-reads.ts. */
import type { Bar, Results, Row, Sample } from './bench-results.js';
import type { World } from './bench-world.js';

export interface Bench {
  /** As on the command line. */
  readonly name: string;
  readonly title: string;
  /** One or two sentences: what is done, how, beside what. */
  readonly about: string;
  /** Besides the systems. */
  readonly variants: readonly string[];
  /** What the ratios of the table are to, if anything. */
  readonly base?: string;
  /** Makes the objects, and has every byte compared once. @throws when one is wrong */
  readonly prepare: (world: World) => Promise<void>;
  /** Adds one sample of each row and variant. */
  readonly round: (world: World, results: Results) => Promise<void>;
  /** What Sluice is to reach. */
  readonly bars: (results: Results) => readonly Bar[];
}

/** A system that cannot do it stays without a figure in that round, with the reason. */
export async function addOrNote(
  results: Results,
  row: Row,
  system: string,
  measure: () => Promise<Sample>,
): Promise<void> {
  try {
    results.add(row, system, await measure());
  } catch (error) {
    const [text = ''] = String(error).split('\n');
    results.note(row, system, `failed: ${text.slice(0, 120)}`);
  }
}
