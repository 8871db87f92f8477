/** Several daemons on one cache directory: each object is fetched once, whatever becomes of the daemon that fetches it. */
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { BUCKET, read, startWorld } from '../support/mount-harness.js';
import type { Daemon, World } from '../support/mount-harness.js';
import { eventually } from '../support/processes.js';
import type { Finished } from '../support/processes.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Three quarters of them are for bytes. */
const CONNECTIONS = 8;
const PART_MIB = 4;
/** What a killed daemon had asked for and not published: a buffer of each connection, and one part. */
const IN_FLIGHT_MAX = (CONNECTIONS + PART_MIB) * MIB;

interface SharedWorld extends World {
  readonly daemons: readonly Daemon[];
  readonly mountOne: () => Promise<Daemon>;
  /** Body bytes that were sent of an object. */
  readonly fetched: (key: string) => number;
}

/** So many daemons on one cache directory, and a network that gives them time. */
async function shareWorld(t: Test, count: number, extra: readonly string[] = []): Promise<SharedWorld> {
  const world = await startWorld(t);
  const options = [
    `--cache-dir=${join(world.scratch, 'shared')}`,
    `--connections-max=${CONNECTIONS}`,
    `--part-size-max=${PART_MIB}MiB`,
    '--hedge=off',
    ...extra,
  ];
  const mountOne = () => world.mount(options);
  const daemons: Daemon[] = [];
  for (let number = 0; number < count; number += 1) daemons.push(await mountOne());
  world.server.faults.roundTripMs = 5;
  world.server.faults.connectionBytesPerSecond = 8 * MIB;
  // One that was stopped cannot be taken down.
  t.teardown(() => daemons.forEach(({ process }) => process.kill('SIGCONT')));
  const fetched = (key: string) => world.server.counters.key(BUCKET, key).bytesSent;
  return { ...world, daemons, mountOne, fetched };
}

function assertBytes(t: Test, got: Finished, seed: number, offset: number, length: number, what: string) {
  t.equal(got.code, 0, `${what}: ${got.stderr}`);
  t.equal(got.stdout.length, length, `${what}: as long as asked`);
  t.equal(findPatternMismatch(got.stdout, seed, offset), -1, `${what}: every byte is right`);
}

t.test('what several daemons read at once is fetched once', async (t) => {
  const { server, daemons, fetched } = await shareWorld(t, 3);
  const size = 40 * MIB + 77;
  await server.putSynthetic(BUCKET, 'a', { size, seed: 1 });
  const reads = daemons.map(({ mountpoint }, number) =>
    read(join(mountpoint, 'a'), 0, size, number === 1 ? 'mmap' : 'read'),
  );
  for (const got of await Promise.all(reads)) assertBytes(t, got, 1, 0, size, 'read');
  t.equal(fetched('a'), size);
});

t.test('a follower reads anywhere, and is waited for by nobody', async (t) => {
  const { server, daemons, fetched } = await shareWorld(t, 2);
  const size = 64 * MIB;
  await server.putSynthetic(BUCKET, 'a', { size, seed: 1 });
  const [owner, follower] = daemons.map(({ mountpoint }) => join(mountpoint, 'a')) as [string, string];
  assertBytes(t, await read(owner, 0, 4096), 1, 0, 4096, 'the owner');
  for (const offset of [60 * MIB, 17 * MIB + 5, 33 * MIB]) {
    assertBytes(t, await read(follower, offset, 100_000), 1, offset, 100_000, `from ${offset}`);
    assertBytes(t, await read(follower, offset, 100_000, 'mmap'), 1, offset, 100_000, `mmap from ${offset}`);
  }
  const before = fetched('a');
  assertBytes(t, await read(owner, 60 * MIB, 100_000), 1, 60 * MIB, 100_000, 'the owner has it too');
  t.equal(fetched('a'), before, 'what one fetched is there for the other');
});

t.test('when the daemon that fetches is killed, another goes on where it was', async (t) => {
  const { server, daemons, fetched, mountOne } = await shareWorld(t, 2);
  const size = 64 * MIB;
  await server.putSynthetic(BUCKET, 'a', { size, seed: 1 });
  const [owner, follower] = daemons as [Daemon, Daemon];
  const ofOwner = read(join(owner.mountpoint, 'a'), 0, size);
  t.ok(await eventually(() => fetched('a') > 0));
  const ofFollower = read(join(follower.mountpoint, 'a'), 0, size);
  t.ok(await eventually(() => fetched('a') > size / 2));
  owner.process.kill('SIGKILL');
  t.not((await ofOwner).code, 0, 'its own readers end');
  assertBytes(t, await ofFollower, 1, 0, size, 'the follower');
  t.ok(fetched('a') <= size + IN_FLIGHT_MAX, `${fetched('a') - size} bytes were fetched again`);

  const before = fetched('a');
  const third = await mountOne();
  assertBytes(t, await read(join(third.mountpoint, 'a'), 0, size), 1, 0, size, 'a daemon that comes later');
  t.equal(fetched('a'), before, 'finds all of it');
});

t.test('when the daemon that fetches unmounts, another goes on where it was', async (t) => {
  const { server, daemons, fetched, sluice } = await shareWorld(t, 2);
  const size = 48 * MIB;
  await server.putSynthetic(BUCKET, 'a', { size, seed: 1 });
  const [owner, follower] = daemons as [Daemon, Daemon];
  assertBytes(t, await read(join(owner.mountpoint, 'a'), 0, size / 2), 1, 0, size / 2, 'the owner');
  const ofFollower = read(join(follower.mountpoint, 'a'), 0, size);
  t.ok(await eventually(() => fetched('a') > (size * 3) / 4));
  t.equal((await sluice(['unmount', owner.mountpoint])).code, 0);
  assertBytes(t, await ofFollower, 1, 0, size, 'the follower');
  t.ok(fetched('a') <= size + IN_FLIGHT_MAX, `${fetched('a') - size} bytes were fetched again`);
});

t.test('when the daemon that fetches hangs, the readers of others do not', async (t) => {
  const { server, daemons } = await shareWorld(t, 2);
  const size = 32 * MIB;
  await server.putSynthetic(BUCKET, 'a', { size, seed: 1 });
  const [owner, follower] = daemons as [Daemon, Daemon];
  assertBytes(t, await read(join(owner.mountpoint, 'a'), 0, 4096), 1, 0, 4096, 'the owner');
  const held = read(join(owner.mountpoint, 'a'), 20 * MIB, 12 * MIB);
  assertBytes(
    t,
    await read(join(follower.mountpoint, 'a'), 10 * MIB, 4096),
    1,
    10 * MIB,
    4096,
    'the follower',
  );
  owner.process.kill('SIGSTOP');
  const got = await read(join(follower.mountpoint, 'a'), 0, size, 'read', 30_000);
  assertBytes(t, got, 1, 0, size, 'the follower of a stopped daemon');
  owner.process.kill('SIGCONT');
  assertBytes(t, await held, 1, 20 * MIB, 12 * MIB, 'who read there meanwhile');
});

t.test('when the daemon that fetches hangs, another can still have all of it in the cache', async (t) => {
  const { server, daemons, fetched, sluice } = await shareWorld(t, 2);
  await server.putSynthetic(BUCKET, 'a', { size: 32 * MIB, seed: 1 });
  const [owner, follower] = daemons as [Daemon, Daemon];
  assertBytes(t, await read(join(owner.mountpoint, 'a'), 0, 4096), 1, 0, 4096, 'the owner');
  const held = read(join(owner.mountpoint, 'a'), 20 * MIB, 12 * MIB);
  // Of what it waits for: the index, which a process that stops in the middle of a change keeps locked, has been told by then.
  t.ok(await eventually(() => fetched('a') > 4 * MIB));
  owner.process.kill('SIGSTOP');
  const warmed = await sluice(['warm', join(follower.mountpoint, 'a')], { timeoutMs: 30_000 });
  t.equal(warmed.code, 0, warmed.stderr);
  owner.process.kill('SIGCONT');
  assertBytes(t, await held, 1, 20 * MIB, 12 * MIB, 'who read there meanwhile');
});

t.test('an object that is replaced is stale for the followers of the old version too', async (t) => {
  const { server, daemons } = await shareWorld(t, 2);
  const size = 64 * MIB;
  await server.putSynthetic(BUCKET, 'a', { size, seed: 1 });
  const [owner, follower] = daemons as [Daemon, Daemon];
  assertBytes(t, await read(join(owner.mountpoint, 'a'), 0, 4096), 1, 0, 4096, 'the owner');
  const ofFollower = read(join(follower.mountpoint, 'a'), 0, size);
  t.ok(await eventually(() => server.counters.key(BUCKET, 'a').bytesSent > size / 8));
  await server.putSynthetic(BUCKET, 'a', { size, seed: 2 });
  const got = await ofFollower;
  t.not(got.code, 0, 'it is told');
  t.equal(findPatternMismatch(got.stdout, 1, 0), -1, 'nothing of the new version came before that');
  t.ok(
    await eventually(async () => {
      const again = await read(join(follower.mountpoint, 'a'), 0, size);
      return again.code === 0 && findPatternMismatch(again.stdout, 2, 0) === -1;
    }),
    'who opens it again reads the new one',
  );
});

t.test('an object larger than the cache is read through whoever fetches it, or past it', async (t) => {
  const { server, daemons } = await shareWorld(t, 2, ['--cache-bytes-max=16MiB']);
  const size = 48 * MIB;
  await server.putSynthetic(BUCKET, 'a', { size, seed: 1 });
  const [owner, follower] = daemons.map(({ mountpoint }) => join(mountpoint, 'a')) as [string, string];
  const reads = [
    read(owner, 0, size),
    read(follower, 0, size),
    read(follower, 30 * MIB, 8 * MIB, 'mmap'),
    read(owner, 40 * MIB, 100_000),
  ];
  const [whole, followed, mapped, tail] = (await Promise.all(reads)) as [
    Finished,
    Finished,
    Finished,
    Finished,
  ];
  assertBytes(t, whole, 1, 0, size, 'the owner');
  assertBytes(t, followed, 1, 0, size, 'the follower');
  assertBytes(t, mapped, 1, 30 * MIB, 8 * MIB, 'a mapping of the follower');
  assertBytes(t, tail, 1, 40 * MIB, 100_000, 'the tail');
});

t.test('four daemons, many objects and readers, two killed on the way', { timeout: 240_000 }, async (t) => {
  const { server, daemons, fetched } = await shareWorld(t, 4);
  server.faults.connectionBytesPerSecond = 0;
  const sizes = Array.from({ length: 32 }, (_, index) =>
    Math.round(KIB * 2 ** (14 * ((index + 1) / 32) ** 0.4)),
  );
  for (const [seed, size] of sizes.entries()) await server.putSynthetic(BUCKET, `o${seed}`, { size, seed });
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const allFetched = () => sizes.reduce((sum, _, seed) => sum + fetched(`o${seed}`), 0);
  const chance = new SimulatedClock({ seed: 6 });
  const killed = new Set<Daemon>();
  const alive = () => daemons.filter((daemon) => !killed.has(daemon));
  const failures: string[] = [];

  const readAll = async (reader: number) => {
    const order = sizes.map((size, seed) => ({ size, seed, at: chance.random() }));
    for (const { size, seed } of order.toSorted((a, b) => a.at - b.at)) {
      for (let done = false; !done;) {
        const daemon = alive()[reader % alive().length]!;
        const { code, stdout, stderr } = await read(join(daemon.mountpoint, `o${seed}`), 0, size);
        const wrong = findPatternMismatch(stdout, seed, 0);
        if (wrong !== -1) failures.push(`o${seed}: a wrong byte at ${wrong}`);
        done = code === 0 && stdout.length === size;
        if (done || killed.has(daemon)) continue;
        failures.push(`o${seed}: ${stdout.length} of ${size} bytes from a daemon that lives: ${stderr}`);
        done = true;
      }
    }
  };
  const reading = Promise.all(Array.from({ length: 8 }, (_, reader) => readAll(reader)));
  for (const [number, daemon] of daemons.slice(0, 2).entries()) {
    t.ok(await eventually(() => allFetched() > (total * (number + 1)) / 3, 60_000));
    killed.add(daemon);
    daemon.process.kill('SIGKILL');
  }
  await reading;
  t.same(failures, []);
  const more = allFetched() - total;
  t.ok(more <= 0.02 * total + killed.size * IN_FLIGHT_MAX, `${more} of ${total} bytes were fetched twice`);
});
