/** How many connections are used for what, and how soon, on a simulated network. */
import t from 'tap';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { HoleFile } from '../support/memory-file.js';
import { SimulatedNetwork } from '../support/simulated-network.js';
import type { SimulatedNetworkOptions } from '../support/simulated-network.js';
import { createStores } from '../support/store-harness.js';
import type { HarnessOptions } from '../support/store-harness.js';

const KIB = 1024;
const MIB = 1024 * KIB;
/** A region nearby, and connections as they are common there. */
const FAR = { roundTripMs: 20, connectionRate: 60 };

function world(network: SimulatedNetworkOptions, options: HarnessOptions = {}) {
  const net = new SimulatedNetwork(network);
  const harness = createStores(net.objectStore, {
    clock: net.clock,
    connectionsMax: 24,
    partBytesMax: 16 * MIB,
    cacheBytesMax: 4096 * MIB,
    createFile: () => new HoleFile(),
    ...options,
  });
  const put = (key: string, size: number) => net.objects.put(key, { size, seed: 1 });
  /** Reads the whole object in order. */
  const readAll = async (version: ObjectVersion, bytes = MIB) => {
    const content = harness.stores.open(version);
    for (let at = 0; at < version.size; at += bytes) await content.read(new Uint8Array(bytes), at);
    return content;
  };
  return { net, ...harness, put, readAll };
}

for (const [how, readBytes] of [
  ['by 1 MiB', MIB],
  ['by page faults of 128 KiB', 128 * KIB],
] as const) {
  t.test(
    `one reader in order, ${how}, soon has all connections that prefetch may use, to the end`,
    async (t) => {
      const { net, scheduler, put, readAll } = world(FAR);
      const size = 1024 * MIB;
      const read = readAll(put('model', size), readBytes);
      await net.pass(150);
      t.equal(scheduler.limits.prefetch, 18);
      t.ok(net.running >= 18, `${net.running} requests after 150 ms`);
      await net.pass(900);
      t.ok(
        net.bytes >= 0.85 * size,
        `${net.bytes / MIB} MiB in 1050 ms; 18 connections bring ${1.05 * 18 * 60}`,
      );
      await net.run(read);
      t.equal(net.bytes, size, 'each byte once');
      t.ok(net.requests.length < 160, `${net.requests.length} requests`);
    },
  );
}

t.test('next door, where more connections bring nothing, a few are used', async (t) => {
  const { net, scheduler, put, readAll } = world({ roundTripMs: 1, connectionRate: 400, wireRate: 1200 });
  await net.run(readAll(put('model', 1024 * MIB)));
  t.equal(scheduler.limits.prefetch, 6);
  const large = net.requests.filter(({ start, end }) => end - start >= 8 * MIB);
  t.ok(large.length >= 48, `${large.length} of ${net.requests.length} requests are large`);
});

t.test('sixteen readers of sixteen objects share the wire and end together', async (t) => {
  const { net, stores, put, readAll } = world(FAR);
  const versions = Array.from({ length: 16 }, (_, at) => put(`model${at}`, 128 * MIB));
  const reads = versions.map((version) => readAll(version));
  await net.run(Promise.race(reads));
  const arrived = stores.status(16).stores.map(({ arrivedBytes }) => arrivedBytes);
  t.ok(
    Math.min(...arrived) >= 64 * MIB,
    `the slowest has ${Math.min(...arrived) / MIB} MiB when one is done`,
  );
  await net.run(Promise.all(reads));
  t.equal(net.bytes, 16 * 128 * MIB, 'each byte once');
});
