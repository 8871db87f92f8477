/**
 * How long the first byte takes, in round trips: of names that were looked up before, and of names never seen, one
 * directory below the root and deeper, a new mount each time.
 */
import { join } from 'node:path';
import { addOrNote, type Bench } from './bench-kinds.js';
import type { Row } from './bench-results.js';
import { benchProgram, MIB } from './bench-support.js';
import { SLUICE, type SystemName, type World } from './bench-world.js';

const SEED = 50;
const SIZE = 32 * MIB;
const LEVELS = [1, 2, 3] as const;

const KNOWN: Row = { title: 'a name stat’ed before', unit: 'round trips' };
const unknown = (level: number): Row => ({
  title: `a name never seen, ${level} ${level === 1 ? 'directory' : 'directories'} below the root`,
  unit: 'round trips',
});

const folderOf = (level: number) => Array.from({ length: level }, (_, at) => `level${at + 1}`).join('/');
const key = (level: number, at: number) => `${folderOf(level)}/first${at}`;

function objects({ scale }: World) {
  return LEVELS.flatMap((level) =>
    Array.from({ length: level === 1 ? scale.names : 1 }, (_, at) => {
      return { key: key(level, at), size: SIZE, seed: SEED + at, kind: 'synthetic' } as const;
    }),
  );
}

async function measure(world: World, system: SystemName, paths: readonly string[], isKnown: boolean) {
  const done = await world.throughMount(
    system,
    ({ root }) => {
      const args = ['first', ...paths.map((path) => join(root, path)), '--verify', SEED];
      return benchProgram('access', isKnown ? [...args, '--known'] : args);
    },
    { warmBytes: 256 * MIB },
  );
  // Bytes fetched ahead are what a reader of the whole file would want: amplification says nothing here.
  const { connections } = done;
  return { connections, value: done.p50Us / 1000 / world.scale.roundTripMs };
}

export const first: Bench = {
  name: 'first',
  title: 'First byte',
  about:
    'Open and the first 4 KiB, in round trips, the mount having rested for 0.3 s. Of names stat’ed before, the median over as many names in one mount; else one name in a new mount.',
  variants: [],
  prepare: (world) => world.server.prepare(objects(world)),
  async round(world, results) {
    await world.server.network('far');
    const known = Array.from({ length: world.scale.names }, (_, at) => key(1, at));
    for (const system of world.systems) {
      await addOrNote(results, KNOWN, system, () => measure(world, system, known, true));
    }
    for (const level of LEVELS) {
      for (const system of world.systems) {
        await addOrNote(results, unknown(level), system, () =>
          measure(world, system, [key(level, 0)], false),
        );
      }
    }
  },
  bars: (results) => {
    const at = (level: number) => results.median(unknown(level).title, SLUICE);
    return [
      { of: KNOWN.title, value: results.median(KNOWN.title, SLUICE), limit: { atMost: 1.15 } },
      { of: unknown(1).title, value: at(1), limit: { atMost: 2.2 } },
      ...[2, 3].map((level) => {
        return {
          of: `what directory ${level} adds`,
          value: at(level) - at(level - 1),
          limit: { atMost: 1 },
        };
      }),
    ];
  },
};
