/**
 * The cache over restarts, kills, its budget, a full disk and flipped bytes, each with large objects; every byte is
 * verified, and what must hold is judged.
 *
 *   SIZE_MIB=1024 RUNS=5 KILLS=50 node dist/scripts/bench-cache.js [restart] [kill] [budget] [full] [flip]
 *
 * Without a name all of them. Takes up to 13 times SIZE_MIB on the disk of the temporary folder, and root for passthrough
 * and the small disk.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startCacheWorld } from '../test/support/cache-world.js';
import * as items from './bench-cache-items.js';
import type { Item } from './bench-cache-items.js';
import { judge } from './bench-results.js';
import type { Bar } from './bench-results.js';
import * as bench from './bench-support.js';
import type { Cleanup } from './bench-support.js';

const ITEMS: Readonly<Record<string, Item>> = { ...items };
const sizeBytes = bench.parameter('SIZE_MIB', 1024) * bench.MIB;
const runs = bench.parameter('RUNS', 5);

await bench.runBenchmark(main);

async function main(cleanup: Cleanup): Promise<number> {
  const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(ITEMS);
  const bars: Bar[] = [];
  for (const name of names) {
    const item = ITEMS[name];
    if (item === undefined) throw new Error(`no item is called ${name}: ${Object.keys(ITEMS).join(', ')}`);
    bench.progress(name);
    bars.push(...(await measure(item, cleanup)));
  }
  bench.print(`The cache, with ${sizeBytes / bench.MIB} MiB`);
  return judge(bars, bench.print);
}

/** In a world of its own, taken down before the next. */
async function measure(item: Item, outer: Cleanup): Promise<Bar[]> {
  const cleanup: Cleanup = [];
  const undo = async () => {
    for (const step of cleanup.splice(0).toReversed()) await step();
  };
  outer.push(undo);
  const world = await startCacheWorld({
    teardown: (end: () => unknown) => cleanup.push(async () => void (await end())),
  });
  const folder = join(world.scratch, 'item');
  mkdirSync(folder);
  try {
    return await item({ world, folder, cleanup, sizeBytes, runs });
  } finally {
    await undo();
  }
}
