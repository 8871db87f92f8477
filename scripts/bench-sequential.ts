/**
 * Cold reads of whole objects, by read and by mmap, beside curl: with nothing between, over TLS, and over a network of
 * round trips and capped connections; then four shards, two at a time.
 */
import { join } from 'node:path';
import { benchProgram, benchReader, MIB } from './bench-support.js';
import type { Bar } from './bench-results.js';
import { addOrNote, type Bench } from './bench-kinds.js';
import type { Mounted } from './bench-systems.js';
import { SLUICE, type BenchServer, type SystemName, type World } from './bench-world.js';

const BIG = { key: 'big', seed: 1, kind: 'file' } as const;
const WAYS = ['read', 'mmap'] as const;
type Way = (typeof WAYS)[number];
type Root = Pick<Mounted, 'root'>;

export const CURL = 'curl -o';
export const SIXTEEN_CURLS = '16 curls';
/** Of an object over a capped connection, this much says how fast one is. */
const ONE_CURL_BYTES = 256 * MIB;

export const SHARDS = [0, 1, 2, 3] as const;

export function shardObjects({ scale }: World) {
  return SHARDS.map((at) => {
    const place = { key: `shard${at}.safetensors`, size: scale.shardBytes, seed: 10 + at };
    return { ...place, kind: 'safetensors' } as const;
  });
}

/** The file's pages, those of the mount and those of the local file. */
const warmBytes = (size: number) => 2 * size + 256 * MIB;

/** `dd` is what people measure with; a mapping is touched by a program of ours. */
function readWhole(way: Way, path: string, size: number) {
  return way === 'mmap'
    ? benchReader(['mmap', path])
    : benchReader(['run', 'dd', `if=${path}`, 'of=/dev/null', 'bs=1M', 'status=none']).then((reading) => {
        return { ...reading, bytes: size };
      });
}

async function whole(world: World, system: SystemName, way: Way, server?: BenchServer) {
  const size = world.scale.bigBytes;
  const work = (mount: Root) => readWhole(way, join(mount.root, BIG.key), size);
  const done = await world.throughMount(system, work, { warmBytes: warmBytes(size), server });
  return { ...done, value: size / 1e6 / done.seconds };
}

/** Every byte of the object, by both ways through one mount each. @throws when one is wrong */
async function verifyBig(world: World, server?: BenchServer): Promise<void> {
  const systems: readonly SystemName[] = server === undefined ? world.systems : [SLUICE];
  for (const way of WAYS) {
    const work = ({ root }: Root) => benchReader([way, join(root, BIG.key), '--verify', BIG.seed]);
    for (const system of systems) await world.verify(system, work, server);
  }
}

const row = (way: Way) => ({ title: way, unit: 'MB/s' }) as const;

export const cold: Bench = {
  name: 'cold',
  title: 'Cold sequential read, no network added',
  about:
    'One object, from open to its last byte, through a fresh mount; beside `curl -o` of the same object.',
  variants: [CURL],
  base: CURL,
  async prepare(world) {
    await world.server.prepare([{ ...BIG, size: world.scale.bigBytes }]);
    await world.server.network('none');
    await verifyBig(world);
  },
  async round(world, results) {
    await world.server.network('none');
    const value = await world.curl([BIG.key], world.scale.bigBytes, 1);
    for (const way of WAYS) {
      results.add(row(way), CURL, { value });
      for (const system of world.systems)
        await addOrNote(results, row(way), system, () => whole(world, system, way));
    }
  },
  bars: (results) => [
    { of: 'read: time ÷ curl', value: results.ratio('read', CURL, SLUICE), limit: { atMost: 0.9 } },
    { of: 'read: daemon CPU, s/GiB', value: results.cpu('read', SLUICE), limit: { atMost: 1.2 } },
    { of: 'mmap: time ÷ curl', value: results.ratio('mmap', CURL, SLUICE), limit: { atMost: 1.1 } },
    ...WAYS.map((way): Bar => {
      const value = results.figure('amplification', way, SLUICE);
      return { of: `${way}: fetched ÷ read`, value, limit: { atMost: 1.02 } };
    }),
  ],
};

let tlsServer: BenchServer | undefined;

export const tls: Bench = {
  name: 'tls',
  title: 'The same over TLS',
  about: 'The embedded server with a certificate of a private authority. The rivals are left out.',
  variants: [CURL],
  base: CURL,
  async prepare(world) {
    tlsServer ??= await world.startTls();
    await tlsServer.prepare([{ ...BIG, size: world.scale.bigBytes }]);
    await verifyBig(world, tlsServer);
  },
  async round(world, results) {
    const value = await world.curl([BIG.key], world.scale.bigBytes, 1, tlsServer);
    for (const way of WAYS) {
      results.add(row(way), CURL, { value });
      await addOrNote(results, row(way), SLUICE, () => whole(world, SLUICE, way, tlsServer));
    }
  },
  bars: (results) => [
    { of: 'read: time ÷ curl', value: results.ratio('read', CURL, SLUICE), limit: { atMost: 1.2 } },
  ],
};

const ONE_CURL = '1 curl';

export const wan: Bench = {
  name: 'wan',
  title: 'Sequential read over a network',
  about:
    'Round trips, and a cap for each connection: what one curl brings, and sixteen for ranges of the object.',
  variants: [ONE_CURL, SIXTEEN_CURLS],
  base: SIXTEEN_CURLS,
  async prepare(world) {
    await world.server.prepare([{ ...BIG, size: world.scale.bigBytes }]);
  },
  async round(world, results) {
    const size = world.scale.bigBytes;
    await world.server.network('far');
    const one = await world.curl([BIG.key], Math.min(size, ONE_CURL_BYTES), 1);
    const sixteen = await world.curl([BIG.key], size, 16);
    for (const way of WAYS) {
      results.add(row(way), ONE_CURL, { value: one });
      results.add(row(way), SIXTEEN_CURLS, { value: sixteen });
      for (const system of world.systems)
        await addOrNote(results, row(way), system, () => whole(world, system, way));
    }
  },
  bars: (results) => [
    { of: 'read: speed ÷ 1 curl', value: results.ratio('read', SLUICE, ONE_CURL), limit: { atLeast: 12 } },
    { of: 'mmap: speed ÷ 1 curl', value: results.ratio('mmap', SLUICE, ONE_CURL), limit: { atLeast: 11 } },
    ...WAYS.map((way): Bar => {
      const value = results.figure('amplification', way, SLUICE);
      return { of: `${way}: fetched ÷ read`, value, limit: { atMost: 1.02 } };
    }),
  ],
};

const SHARD_ROW = { title: '4 shards by mmap, two at a time', unit: 'MB/s' } as const;

export const shards: Bench = {
  name: 'shards',
  title: 'Four shards over a network',
  about: 'Mapped and touched, two at a time, as loaders do; beside sixteen curls, four for each shard.',
  variants: [SIXTEEN_CURLS],
  base: SIXTEEN_CURLS,
  prepare: (world) => world.server.prepare(shardObjects(world)),
  async round(world, results) {
    const objects = shardObjects(world);
    const keys = objects.map(({ key }) => key);
    const size = world.scale.shardBytes;
    await world.server.network('far');
    results.add(SHARD_ROW, SIXTEEN_CURLS, { value: await world.curl(keys, size, 16) });
    for (const system of world.systems) {
      await addOrNote(results, SHARD_ROW, system, async () => {
        const done = await world.throughMount(
          system,
          ({ root }) =>
            benchProgram('access', ['mmap', ...keys.map((key) => join(root, key)), '--threads', 2]),
          { warmBytes: warmBytes(SHARDS.length * size) },
        );
        return { ...done, value: done.bytes / 1e6 / done.seconds };
      });
    }
  },
  bars: (results) => [
    {
      of: 'speed ÷ 16 curls',
      value: results.ratio(SHARD_ROW.title, SLUICE, SIXTEEN_CURLS),
      limit: { atLeast: 1 },
    },
    {
      of: 'fetched ÷ read',
      value: results.figure('amplification', SHARD_ROW.title, SLUICE),
      limit: { atMost: 1.02 },
    },
  ],
};
