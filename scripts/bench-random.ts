/**
 * Reads here and there of a large cold object at a round trip's distance: how long one takes, how many sixteen threads
 * bring, and how much is fetched for it. The object is synthetic, so that every byte can be compared.
 */
import { join } from 'node:path';
import { addOrNote, type Bench } from './bench-kinds.js';
import type { Bar, Results, Row } from './bench-results.js';
import { benchProgram, MIB } from './bench-support.js';
import { SLUICE, type SystemName, type World } from './bench-world.js';

export const SPARSE = { key: 'sparse', seed: 3, kind: 'synthetic' } as const;
const KIB = 1024;

interface Kind {
  readonly title: string;
  readonly mode: 'random' | 'gaps' | 'backwards' | 'two';
  readonly blockBytes: number;
  readonly isUnaligned?: boolean;
}

const PLAIN: Kind = { title: 'random 256 KiB, aligned', mode: 'random', blockBytes: 256 * KIB };
const UNALIGNED: Kind = { ...PLAIN, title: 'random 256 KiB, not aligned', isUnaligned: true };
const OTHERS: readonly Kind[] = [
  { title: 'random 4 KiB', mode: 'random', blockBytes: 4 * KIB },
  { title: 'random 64 KiB', mode: 'random', blockBytes: 64 * KIB },
  { title: 'random 1 MiB', mode: 'random', blockBytes: MIB },
  { title: '256 KiB forwards, gaps of 768 KiB', mode: 'gaps', blockBytes: 256 * KIB },
  { title: '256 KiB backwards', mode: 'backwards', blockBytes: 256 * KIB },
  { title: '256 KiB, two sequences on one handle', mode: 'two', blockBytes: 256 * KIB },
];
const KINDS: readonly Kind[] = [PLAIN, UNALIGNED, ...OTHERS];
const THREADS = [1, 16] as const;
/** Sixteen threads do more, so that they overlap for most of the time. */
const MANY = 10;
/** Where nobody but Sluice would end in time. */
const RIVALS_TRY: readonly Kind[] = [PLAIN, UNALIGNED];

const rate = ({ title }: Kind, threads: number): Row => ({ title: `${title}, ${threads} ×`, unit: '/s' });
const latency = ({ title }: Kind): Row => ({ title: `${title}, p50`, unit: 'round trips' });

function access({ scale }: World, kind: Kind, threads: number, path: string, verify: boolean) {
  const count = scale.randomReads * (threads > 1 ? MANY : 1);
  const size = ['--block', kind.blockBytes, '--threads', threads];
  const end = ['--count', count, '--seconds', scale.randomSecondsMax];
  const rest = [
    ...(kind.isUnaligned === true ? ['--unaligned'] : []),
    ...(verify ? ['--verify', SPARSE.seed] : []),
  ];
  return benchProgram('access', [kind.mode, path, ...size, ...end, ...rest]);
}

/** Known to the mount: what it costs to find a name is another row's. */
const statFirst = async ({ root }: { readonly root: string }) => {
  await benchProgram('reader', ['run', 'stat', join(root, SPARSE.key)]);
};

function through(world: World, system: SystemName, kind: Kind, threads: number) {
  return world.throughMount(
    system,
    ({ root }) => access(world, kind, threads, join(root, SPARSE.key), false),
    { before: statFirst, warmBytes: 1024 * MIB },
  );
}

async function measure(world: World, results: Results, system: SystemName, kind: Kind): Promise<void> {
  for (const threads of THREADS) {
    await addOrNote(results, rate(kind, threads), system, async () => {
      const done = await through(world, system, kind, threads);
      if (threads === 1) {
        results.add(latency(kind), system, { value: done.p50Us / 1000 / world.scale.roundTripMs });
      }
      return { ...done, cpu: undefined, value: done.operations / done.seconds };
    });
  }
}

export const random: Bench = {
  name: 'random',
  title: 'Random reads of a cold object of 10 GiB',
  about:
    'Round trips, no cap. Reads per second of one thread and of sixteen, each with a handle of its own; the rivals on the first two kinds.',
  variants: [],
  async prepare(world) {
    await world.server.prepare([{ ...SPARSE, size: world.scale.sparseBytes }]);
    await world.server.network('none');
    for (const kind of KINDS) {
      await world.verify(SLUICE, ({ root }) => access(world, kind, 16, join(root, SPARSE.key), true));
    }
  },
  async round(world, results) {
    await world.server.network('late');
    for (const kind of KINDS) {
      const systems = world.systems.filter((name) => name === SLUICE || RIVALS_TRY.includes(kind));
      for (const system of systems) await measure(world, results, system, kind);
    }
  },
  bars: (results) => [
    ...[PLAIN, UNALIGNED].flatMap((kind): Bar[] => [
      {
        of: `${kind.title}: p50, round trips`,
        value: results.median(latency(kind).title, SLUICE),
        limit: { atMost: 1.15 },
      },
      {
        of: `${kind.title}: 16 threads ÷ one`,
        value: results.median(rate(kind, 16).title, SLUICE) / results.median(rate(kind, 1).title, SLUICE),
        limit: { atLeast: 12 },
      },
    ]),
    ...OTHERS.flatMap((kind) =>
      THREADS.map((threads): Bar => {
        const plain = results.median(rate(PLAIN, threads).title, SLUICE);
        const value = results.median(rate(kind, threads).title, SLUICE) / plain;
        return { of: `${kind.title}, ${threads} ×: ÷ plain random`, value, limit: { atLeast: 0.5 } };
      }),
    ),
    ...KINDS.flatMap((kind) =>
      THREADS.map((threads): Bar => {
        const { title } = rate(kind, threads);
        const value = results.figure('amplification', title, SLUICE);
        return { of: `${title}: fetched ÷ read`, value, limit: { atMost: 1.2 } };
      }),
    ),
  ],
};
