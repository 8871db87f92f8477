/**
 * The benchmarks of cold reads: all of them or those that are named, in interleaved runs. Prints their tables and what
 * was wanted; with --write (all of them) docs/PERFORMANCE.md. Ends with 1 when a bar was missed or Sluice failed.
 *
 *   node dist/scripts/bench-reads.js [--short] [--write] [--json FILE] [--from FILE] [NAME...]
 *
 * --short is a trial of the benchmark itself: tiny sizes, one run, bars without meaning and therefore not judged. --json
 * keeps the samples after each round; --from takes them from there and measures nothing. Environment: RUNS, SIZE_MIB,
 * ROUND_TRIP_MS, CONNECTION_MIB; OPTIONS for `sluice mount`; RIVALS=none leaves s3fs and rclone out.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { circumstances, installedRivals } from './bench-circumstances.js';
import { documentOf, type Measured } from './bench-document.js';
import { first } from './bench-first.js';
import type { Bench } from './bench-kinds.js';
import { demand, loader, share, streams } from './bench-loads.js';
import { random } from './bench-random.js';
import { judge, Results, type SavedResults } from './bench-results.js';
import { chooseScale } from './bench-scale.js';
import { cold, shards, tls, wan } from './bench-sequential.js';
import { print, progress, runBenchmark } from './bench-support.js';
import type { Cleanup } from './bench-support.js';
import { RCLONE, S3FS, SLUICE, World } from './bench-world.js';

const BENCHES: readonly Bench[] = [cold, tls, wan, shards, first, random, demand, loader, streams, share];
const DOCUMENT = 'docs/PERFORMANCE.md';

const { values: flags, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    json: { type: 'string' },
    from: { type: 'string' },
  },
});

await runBenchmark(main);

async function main(cleanup: Cleanup): Promise<number> {
  const unknown = names.filter((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown.length > 0) {
    throw new Error(`no benchmark is called ${unknown[0]}: ${BENCHES.map(({ name }) => name).join(', ')}`);
  }
  const chosen = BENCHES.filter(({ name }) => names.length === 0 || names.includes(name));
  if (flags.write && chosen.length < BENCHES.length) throw new Error('--write needs all of them');
  const scale = chooseScale(flags.short);
  const measured = flags.from === undefined ? await measure(chosen, cleanup) : restore(chosen, flags.from);
  const text = documentOf(measured, await circumstances(scale));
  print(text);
  if (flags.write) writeFileSync(DOCUMENT, text);
  const hasFailed = measured.some(({ results }) =>
    results.rows.some(({ title }) => results.noteOf(title, SLUICE) !== undefined),
  );
  if (flags.short) return hasFailed ? 1 : 0;
  const bars = measured.flatMap(({ bench, results }) =>
    bench.bars(results).map((bar) => ({ ...bar, of: `${bench.name}: ${bar.of}` })),
  );
  return Math.max(judge(bars, print), hasFailed ? 1 : 0);
}

async function measure(benches: readonly Bench[], cleanup: Cleanup): Promise<readonly Measured[]> {
  const scale = chooseScale(flags.short);
  const world = await World.start(cleanup, scale, await installedRivals());
  const measured = benches.map((bench) => {
    return { bench, results: new Results([...bench.variants, SLUICE, S3FS, RCLONE]) };
  });
  for (const { bench } of measured) {
    progress(`preparing and verifying: ${bench.name}`);
    await bench.prepare(world);
  }
  for (let round = 0; round < scale.runs; round += 1) {
    for (const { bench, results } of measured) {
      progress(`round ${round + 1} of ${scale.runs}: ${bench.name}`);
      await bench.round(world, results);
    }
    if (flags.json !== undefined) save(measured, flags.json);
  }
  return measured;
}

function save(measured: readonly Measured[], path: string): void {
  const entries = measured.map(({ bench, results }) => [bench.name, results.saved()]);
  writeFileSync(path, JSON.stringify(Object.fromEntries(entries)));
}

function restore(benches: readonly Bench[], path: string): Measured[] {
  const saved = JSON.parse(readFileSync(path, 'utf8')) as Record<string, SavedResults>;
  return benches.flatMap((bench) => {
    const results = saved[bench.name];
    return results === undefined ? [] : [{ bench, results: Results.restored(results) }];
  });
}
