/** What was fetched serves the next mount: without a byte from the server, at once by passthrough, and never wrong. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import {
  dataFiles,
  firstWrongByte,
  flipByte,
  kill,
  MIB,
  startCacheWorld,
  unmount,
} from '../support/cache-world.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, read } from '../support/mount-harness.js';

const SIZE = 9 * MIB + 4321;

/** A process that keeps the file open until the test ends. */
async function holdOpen(t: Test, path: string): Promise<void> {
  const holder = spawn('bash', ['-c', 'exec 3<"$1"; echo open; exec sleep 60', '-', path]);
  t.teardown(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
}

onEachDriver('read, unmount, mount, read: the second time nothing is fetched', async (t, driver) => {
  const world = await startCacheWorld(t, { driver });
  for (const [seed, key] of ['a', 'b/c'].entries()) {
    await world.server.putSynthetic(BUCKET, key, { size: SIZE, seed });
  }
  const first = await world.mountCached();
  for (const [seed, key] of ['a', 'b/c'].entries()) {
    t.equal(await firstWrongByte(join(first.mountpoint, key), SIZE, seed), -1);
  }
  await unmount(world, first);
  t.equal(world.fetched(), 2 * SIZE);
  const second = await world.mountCached();
  for (const [seed, key] of ['a', 'b/c'].entries()) {
    t.equal(await firstWrongByte(join(second.mountpoint, key), SIZE, seed), -1);
  }
  t.equal(world.fetched(), 2 * SIZE, 'all of it was there');
});

t.test('a complete file is passed through by the mount after, from its first open on', async (t) => {
  const world = await startCacheWorld(t, { driver: 'native' });
  await world.server.putObject(BUCKET, 'file', Buffer.alloc(SIZE, 'x'), { checksumAlgorithm: 'CRC64NVME' });
  const first = await world.mountCached();
  const { passthrough } = (await world.status(first.mountpoint)).driver;
  if (!passthrough) {
    t.pass('passthrough needs root and Linux 6.9', { skip: true });
    return;
  }
  t.equal((await read(join(first.mountpoint, 'file'), 0, SIZE)).stdout.length, SIZE);
  await unmount(world, first);
  const { mountpoint } = await world.mountCached();
  await holdOpen(t, join(mountpoint, 'file'));
  t.ok((await read(join(mountpoint, 'file'), 0, SIZE)).stdout.every((byte) => byte === 120));
  t.match((await world.status(mountpoint)).driver, {
    handlesPassthrough: 1,
    handlesCached: 0,
    readRequests: 0,
  });
  t.equal(world.fetched(), SIZE);
});

onEachDriver('what was read of a file serves the next mount; only the rest is fetched', async (t, driver) => {
  const world = await startCacheWorld(t, { driver });
  const size = 32 * MIB;
  await world.server.putSynthetic(BUCKET, 'file', { size, seed: 3 });
  const options = ['--part-size-max=1MiB', '--prefetch-max=1MiB', '--hedge=off'];
  const first = await world.mountCached(options);
  t.equal((await read(join(first.mountpoint, 'file'), 20 * MIB, 4096)).stdout.length, 4096);
  await unmount(world, first);
  const before = world.fetched();
  t.ok(before > 0 && before < size / 2, `${before} bytes`);
  const second = await world.mountCached(options);
  t.equal(await firstWrongByte(join(second.mountpoint, 'file'), size, 3), -1);
  t.equal(world.fetched(), size, 'no byte twice');
});

for (const end of ['unmount', 'kill'] as const) {
  t.test(
    `one flipped byte in each of 20 cached files: all are fetched again, none is served (${end})`,
    async (t) => {
      const world = await startCacheWorld(t);
      const size = 2 * MIB + 1234;
      const keys = Array.from({ length: 20 }, (_, i) => `file-${i}`);
      for (const [seed, key] of keys.entries()) {
        await world.server.putSynthetic(BUCKET, key, { size, seed });
      }
      const first = await world.mountCached();
      for (const [seed, key] of keys.entries()) {
        t.equal(await firstWrongByte(join(first.mountpoint, key), size, seed), -1);
      }
      await (end === 'unmount' ? unmount(world, first) : kill(first));
      const files = dataFiles(world.cacheDir).filter((path) => statSync(path).size === size);
      t.equal(files.length, keys.length);
      const places = files.map((_, i) => Math.floor(((size - 1) * i) / (files.length - 1)));
      for (const [i, path] of files.entries()) {
        const { atime, mtime } = statSync(path);
        flipByte(path, places[i] ?? 0);
        // As a failing disk would: nothing tells of it but the bytes.
        utimesSync(path, atime, mtime);
      }
      const before = world.fetched();
      const { mountpoint } = await world.mountCached();
      for (const [seed, key] of keys.entries()) {
        t.equal(await firstWrongByte(join(mountpoint, key), size, seed), -1, key);
      }
      const again = world.fetched() - before;
      const bad = places.reduce((sum, place) => sum + (place < 2 * MIB ? MIB : 1234), 0);
      t.ok(again >= bad, 'of each file the block with the bad byte');
      // A part may reach into the block behind, when that was not looked at yet.
      t.ok(again < 2 * bad, `${again} bytes, not the files`);
    },
  );
}
