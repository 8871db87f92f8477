/** Damage from outside to the cache's files, between two mounts: it costs a fetch, and never a wrong byte. */
import { mkdirSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  dataFiles,
  firstWrongByte,
  flipByte,
  kill,
  MIB,
  startCacheWorld,
  unmount,
} from '../support/cache-world.js';
import type { CacheWorld } from '../support/cache-world.js';
import { BUCKET } from '../support/mount-harness.js';

const SIZE = 2 * MIB + 1234;

/** To the file of a copy, and to what is noted of it beside it. */
const DAMAGES: Readonly<Record<string, (data: string, map: string) => void>> = {
  'a shorter file': (data) => truncateSync(data, SIZE - 1),
  'an empty file': (data) => truncateSync(data, 0),
  'a longer file': (data) => truncateSync(data, SIZE + 1),
  'no file': (data) => rmSync(data),
  'a hole where bytes were': (data) => {
    truncateSync(data, MIB);
    truncateSync(data, SIZE);
  },
  'no map': (_data, map) => rmSync(map),
  'an empty map': (_data, map) => truncateSync(map, 0),
  'a shorter map': (_data, map) => truncateSync(map, statSync(map).size - 1),
  'a map of zeros': (_data, map) => writeFileSync(map, Buffer.alloc(statSync(map).size)),
  'a map of ones': (_data, map) => writeFileSync(map, Buffer.alloc(statSync(map).size, 255)),
  'a flipped bit in the head of the map': (_data, map) => flipByte(map, 1),
  'a flipped bit of its pages': (_data, map) => flipByte(map, 4096 + 64),
  neither: (data, map) => {
    rmSync(data);
    rmSync(map);
  },
};

/** One object for each kind of damage, and one more, all of them in the cache when the daemon has ended. */
async function fill(world: CacheWorld, keys: readonly string[], end: 'unmount' | 'kill'): Promise<void> {
  for (const [seed, key] of keys.entries())
    await world.server.putSynthetic(BUCKET, key, { size: SIZE, seed });
  const daemon = await world.mountCached();
  for (const [seed, key] of keys.entries()) await firstWrongByte(join(daemon.mountpoint, key), SIZE, seed);
  await (end === 'unmount' ? unmount(world, daemon) : kill(daemon));
}

for (const end of ['unmount', 'kill'] as const) {
  t.test(`files of copies that were damaged after ${end}`, async (t) => {
    const world = await startCacheWorld(t);
    const keys = [...Object.keys(DAMAGES), 'none'].map((_, i) => `file-${i}`);
    await fill(world, keys, end);
    const files = dataFiles(world.cacheDir).filter((path) => statSync(path).size === SIZE);
    t.equal(files.length, keys.length);
    for (const [i, damage] of Object.values(DAMAGES).entries()) {
      const data = files[i] ?? '';
      damage(data, `${data.replace(/\.part$/, '')}.map`);
    }
    for (const round of ['first', 'second']) {
      const daemon = await world.mountCached();
      const before = world.fetched();
      for (const [seed, key] of keys.entries()) {
        t.equal(await firstWrongByte(join(daemon.mountpoint, key), SIZE, seed), -1, `${key}, ${round} mount`);
      }
      if (round === 'second') t.equal(world.fetched(), before, 'and all is well again');
      await unmount(world, daemon);
    }
  });
}

t.test('a folder where the file of a copy was: the object is read past the cache', async (t) => {
  const world = await startCacheWorld(t);
  await fill(world, ['a'], 'unmount');
  const [file = ''] = dataFiles(world.cacheDir);
  rmSync(file);
  mkdirSync(file);
  const { mountpoint } = await world.mountCached();
  t.equal(await firstWrongByte(join(mountpoint, 'a'), SIZE, 0), -1);
});

t.test('files of two copies that changed places', async (t) => {
  const world = await startCacheWorld(t);
  const keys = ['a', 'b'];
  await fill(world, keys, 'unmount');
  const [one = '', other = ''] = dataFiles(world.cacheDir).filter((path) => statSync(path).size === SIZE);
  renameSync(one, `${one}.aside`);
  renameSync(other, one);
  renameSync(`${one}.aside`, other);
  const { mountpoint } = await world.mountCached();
  for (const [seed, key] of keys.entries()) {
    t.equal(await firstWrongByte(join(mountpoint, key), SIZE, seed), -1);
  }
});

/** To the index, or all that it knows. */
const INDEX_DAMAGES: Readonly<Record<string, (directory: string) => void>> = {
  'no index': (directory) => {
    for (const end of ['', '-wal', '-shm']) rmSync(join(directory, `index.sqlite${end}`), { force: true });
  },
  'an empty index': (directory) => writeFileSync(join(directory, 'index.sqlite'), ''),
  'an index that is none': (directory) => writeFileSync(join(directory, 'index.sqlite'), 'x'.repeat(10_000)),
  'no data': (directory) => rmSync(join(directory, 'data'), { recursive: true }),
};

for (const [title, damage] of Object.entries(INDEX_DAMAGES)) {
  t.test(`${title}: the mount begins anew`, async (t) => {
    const world = await startCacheWorld(t);
    const keys = ['a', 'b'];
    await fill(world, keys, 'unmount');
    damage(world.cacheDir);
    const { mountpoint } = await world.mountCached();
    for (const [seed, key] of keys.entries()) {
      t.equal(await firstWrongByte(join(mountpoint, key), SIZE, seed), -1);
    }
  });
}
