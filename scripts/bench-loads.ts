/**
 * Many readers at once: safetensors loaders that fault tensors in, sixteen streams, eight readers of one object, and
 * random reads on demand while eight streams run.
 */
import { join } from 'node:path';
import { addOrNote, type Bench } from './bench-kinds.js';
import { SPARSE } from './bench-random.js';
import type { Row } from './bench-results.js';
import { shardObjects, SHARDS, SIXTEEN_CURLS } from './bench-sequential.js';
import { benchAccessDuring, benchProgram, MIB } from './bench-support.js';
import { SLUICE, type SystemName, type World } from './bench-world.js';

interface LoaderKind {
  readonly row: Row;
  readonly processes: number;
  readonly threads: number;
}

const LOADERS: readonly LoaderKind[] = [
  { row: { title: 'one process', unit: 'MB/s' }, processes: 1, threads: 1 },
  { row: { title: 'one process, four threads', unit: 'MB/s' }, processes: 1, threads: 4 },
  { row: { title: 'four processes', unit: 'MB/s' }, processes: 4, threads: 1 },
];

function loadAll(world: World, root: string, { processes, threads }: LoaderKind, verify = false) {
  const objects = shardObjects(world);
  const files = objects.map(({ key }) => join(root, key));
  const seed = verify ? ['--verify', objects[0]?.seed ?? 0] : [];
  return benchProgram('loader', [...files, '--processes', processes, '--threads', threads, ...seed]);
}

async function load(world: World, system: SystemName, kind: LoaderKind) {
  const size = SHARDS.length * world.scale.shardBytes;
  const done = await world.throughMount(
    system,
    async ({ root }) => ({ ...(await loadAll(world, root, kind)), uniqueBytes: size }),
    { warmBytes: 2 * size + 256 * MIB },
  );
  return { ...done, value: size / 1e6 / done.seconds };
}

export const loader: Bench = {
  name: 'loader',
  title: 'Loading four safetensors files over a network',
  about:
    'Every tensor of four files, copied out of a mapping tensor by tensor as loaders do, by page faults; beside sixteen curls of the same bytes.',
  variants: [SIXTEEN_CURLS],
  base: SIXTEEN_CURLS,
  async prepare(world) {
    await world.server.prepare(shardObjects(world));
    await world.server.network('none');
    for (const kind of LOADERS) {
      await world.verify(SLUICE, ({ root }) => loadAll(world, root, kind, true));
    }
  },
  async round(world, results) {
    const keys = shardObjects(world).map(({ key }) => key);
    await world.server.network('far');
    const value = await world.curl(keys, world.scale.shardBytes, 16);
    for (const kind of LOADERS) {
      results.add(kind.row, SIXTEEN_CURLS, { value });
      for (const system of world.systems) {
        await addOrNote(results, kind.row, system, () => load(world, system, kind));
      }
    }
  },
  bars: (results) =>
    LOADERS.flatMap(({ row: { title } }) => [
      {
        of: `${title}: time ÷ 16 curls`,
        value: results.ratio(title, SIXTEEN_CURLS, SLUICE),
        limit: { atMost: 1.3 },
      },
      {
        of: `${title}: fetched ÷ size`,
        value: results.figure('amplification', title, SLUICE),
        limit: { atMost: 1.02 },
      },
    ]),
};

const STREAM_SEED = 100;
const STREAM_COUNT = 16;

function streamObjects({ scale }: World) {
  return Array.from({ length: STREAM_COUNT }, (_, at) => {
    return { key: `stream${at}`, size: scale.streamBytes, seed: STREAM_SEED + at, kind: 'file' } as const;
  });
}

const STREAMS: Row = { title: 'all together', unit: 'MB/s' };
const SPREAD: Row = { title: 'the slowest ÷ the fastest', unit: '×' };

function readStreams(world: World, root: string, threads: number, ...options: readonly (string | number)[]) {
  const files = streamObjects(world).map(({ key }) => join(root, key));
  return benchProgram('access', ['whole', ...files, '--threads', threads, ...options]);
}

export const streams: Bench = {
  name: 'streams',
  title: 'Sixteen streams over a network',
  about: 'Sixteen objects, read by 1 MiB, all at once; beside sixteen curls of the same objects.',
  variants: [SIXTEEN_CURLS],
  base: SIXTEEN_CURLS,
  async prepare(world) {
    await world.server.prepare(streamObjects(world));
    await world.server.network('none');
    await world.verify(SLUICE, ({ root }) => readStreams(world, root, STREAM_COUNT, '--verify', STREAM_SEED));
  },
  async round(world, results) {
    const keys = streamObjects(world).map(({ key }) => key);
    const size = world.scale.streamBytes;
    await world.server.network('far');
    results.add(STREAMS, SIXTEEN_CURLS, { value: await world.curl(keys, size, STREAM_COUNT) });
    for (const system of world.systems) {
      await addOrNote(results, STREAMS, system, async () => {
        const done = await world.throughMount(system, ({ root }) => readStreams(world, root, STREAM_COUNT), {
          warmBytes: 2 * STREAM_COUNT * size + 256 * MIB,
        });
        results.add(SPREAD, system, { value: done.lastByFirst });
        return { ...done, value: done.bytes / 1e6 / done.seconds };
      });
    }
  },
  bars: (results) => [
    {
      of: 'speed ÷ 16 curls',
      value: results.ratio(STREAMS.title, SLUICE, SIXTEEN_CURLS),
      limit: { atLeast: 1 },
    },
    {
      of: 'peak of anonymous memory, MiB',
      value: results.figure('peakMib', STREAMS.title, SLUICE),
      limit: { atMost: 200 },
    },
    { of: SPREAD.title, value: results.median(SPREAD.title, SLUICE), limit: { atMost: 2 } },
    {
      of: 'fetched ÷ read',
      value: results.figure('amplification', STREAMS.title, SLUICE),
      limit: { atMost: 1.02 },
    },
  ],
};

const SHARE: Row = { title: 'eight readers of one object', unit: 'MB/s' };
const SHARERS = 8;

export const share: Bench = {
  name: 'share',
  title: 'Eight readers of one object',
  about:
    'All at once, each all of it. Fetched ÷ read is to the size of the object: 1 when it is fetched once.',
  variants: [],
  prepare: (world) => world.server.prepare(streamObjects(world)),
  async round(world, results) {
    const size = world.scale.streamBytes;
    await world.server.network('far');
    for (const system of world.systems) {
      await addOrNote(results, SHARE, system, async () => {
        const done = await world.throughMount(
          system,
          async ({ root }) => {
            const reading = await benchProgram('reader', [
              'read',
              join(root, 'stream0'),
              '--readers',
              SHARERS,
            ]);
            return { ...reading, uniqueBytes: size };
          },
          { warmBytes: 2 * size + 256 * MIB },
        );
        return { ...done, value: done.bytes / 1e6 / done.seconds };
      });
    }
  },
  bars: (results) => [
    {
      of: 'fetched ÷ size',
      value: results.figure('amplification', SHARE.title, SLUICE),
      limit: { atMost: 1.02 },
    },
  ],
};

const DEMAND: Row = { title: 'p99 of 64 KiB on demand', unit: 'round trips' };
const DEMAND_P50: Row = { title: 'p50 of 64 KiB on demand', unit: 'round trips' };
const MEANWHILE: Row = { title: 'the streams meanwhile', unit: 'MB/s' };
const DEMAND_STREAMS = 8;

export const demand: Bench = {
  name: 'demand',
  title: 'Reads on demand beside eight streams',
  about:
    'Eight streams at full speed (round trips, no cap), two of the sixteen objects each; until the last ends, one thread reads 64 KiB here and there of another object.',
  variants: [],
  async prepare(world) {
    await world.server.prepare([...streamObjects(world), { ...SPARSE, size: world.scale.sparseBytes }]);
  },
  async round(world, results) {
    await world.server.network('late');
    for (const system of world.systems) {
      await addOrNote(results, DEMAND, system, async () => {
        const done = await world.throughMount(
          system,
          async ({ root }) => {
            const running = readStreams(world, root, DEMAND_STREAMS);
            const block = ['--block', 64 * 1024, '--count', 1_000_000, '--verify', SPARSE.seed];
            const reading = await benchAccessDuring(['random', join(root, SPARSE.key), ...block], running);
            const { bytes, seconds } = await running;
            results.add(MEANWHILE, system, { value: bytes / 1e6 / seconds });
            return { ...reading, bytes: reading.bytes + bytes };
          },
          {
            before: async ({ root }) => {
              await benchProgram('reader', ['run', 'stat', join(root, SPARSE.key)]);
            },
            warmBytes: 2 * STREAM_COUNT * world.scale.streamBytes + 256 * MIB,
          },
        );
        const roundTrips = (us: number) => us / 1000 / world.scale.roundTripMs;
        results.add(DEMAND_P50, system, { value: roundTrips(done.p50Us) });
        return { ...done, value: roundTrips(done.p99Us) };
      });
    }
  },
  bars: (results) => [
    { of: DEMAND.title, value: results.median(DEMAND.title, SLUICE), limit: { atMost: 3 } },
  ],
};
