/** Which requests come of the ways in which objects are read, on a simulated network. */
import t from 'tap';
import type { FormatProbe } from '../../src/formats/load-plan.js';
import type { PartOutcome } from '../../src/object-store/object-store.js';
import type { ByteRange } from '../../src/runtime/range.js';
import { HoleFile } from '../support/memory-file.js';
import { SimulatedNetwork } from '../support/simulated-network.js';
import type { SimulatedNetworkOptions } from '../support/simulated-network.js';
import { createStores } from '../support/store-harness.js';
import type { HarnessOptions } from '../support/store-harness.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

function world(size: number, options: HarnessOptions = {}, network: Partial<SimulatedNetworkOptions> = {}) {
  const net = new SimulatedNetwork({ roundTripMs: 20, connectionRate: 60, ...network });
  const harness = createStores(net.objectStore, {
    clock: net.clock,
    connectionsMax: 24,
    partBytesMax: 16 * MIB,
    createFile: () => new HoleFile(),
    ...options,
  });
  const version = net.objects.put('model', { size, seed: 1 });
  const content = harness.stores.open(version);
  const read = (start: number, bytes: number) => content.read(new Uint8Array(bytes), start);
  return { net, ...harness, version, content, read };
}

/** Offsets all over the object, far from each other. */
const scattered = Array.from({ length: 40 }, (_, at) => ((at * 7919) % 40) * 250 * MIB + 5 * MIB);

for (const bytes of [4 * KIB, 64 * KIB, 256 * KIB, MIB]) {
  for (const [how, shift] of [
    ['aligned', 0],
    ['unaligned', 1234],
  ] as const) {
    t.test(`random reads of ${bytes / KIB} KiB, ${how}: one request each, of their pages`, async (t) => {
      const { net, read, content } = world(10 * GIB);
      for (const offset of scattered) await net.run(read(offset + shift, bytes));
      await net.pass(2000);
      t.equal(net.requests.length, scattered.length);
      t.equal(net.bytes, scattered.length * (bytes + (shift > 0 ? 4 * KIB : 0)));
      content.close();
    });
  }
}

t.test('one read that comes as several requests of the kernel is one request to the server', async (t) => {
  const { net, read, content } = world(10 * GIB);
  const at = 3 * GIB;
  await net.run(Promise.all([read(at, MIB), read(at + MIB, 4 * KIB)]));
  await net.pass(1000);
  t.same(
    net.requests.map(({ start, end }) => [start, end]),
    [[at, at + MIB + 4 * KIB]],
  );
  content.close();
});

for (const [how, offsets] of [
  ['backwards', scattered.map((_, at) => 5 * GIB - at * 256 * KIB)],
  ['forwards with gaps', scattered.map((_, at) => 5 * GIB + at * MIB)],
] as const) {
  t.test(`reading ${how} costs no more than reading at random`, async (t) => {
    const { net, read, content } = world(10 * GIB);
    for (const offset of offsets) await net.run(read(offset, 256 * KIB));
    await net.pass(2000);
    t.ok(net.bytes <= 1.2 * offsets.length * 256 * KIB, `${net.bytes / offsets.length / KIB} KiB a read`);
    t.ok(net.requests.length <= offsets.length);
    content.close();
  });
}

t.test('two readers in order on one handle each have their window', async (t) => {
  const { net, read, content } = world(10 * GIB);
  const both = async () => {
    for (let at = 0; at < 20; at += 1) {
      await read(GIB + at * MIB, MIB);
      await read(5 * GIB + at * MIB, MIB);
    }
  };
  const tookMs = await net.run(both());
  const oneByOneMs = 40 * (20 + 1000 / 60);
  t.ok(tookMs < oneByOneMs / 2, `${tookMs} ms; ${oneByOneMs} ms if each read waited for its request`);
  content.close();
});

t.test('of two short sequences that alternate on one handle hardly more is fetched than read', async (t) => {
  const { net, read, content } = world(10 * GIB, {}, { connectionRate: Infinity });
  const bytes = 256 * KIB;
  const both = async () => {
    for (let at = 0; at < 20 * bytes; at += bytes) {
      await read(at, bytes);
      await read(5 * GIB + at, bytes);
    }
  };
  await net.run(both());
  content.close();
  await net.pass(2000);
  t.ok(net.bytes <= 1.2 * 40 * bytes, `${net.bytes / MIB} MiB for ${(40 * bytes) / MIB}`);
  t.ok(net.requests.length <= 40, `${net.requests.length} requests`);
});

t.test('many sequences of 5 MiB, side by side, are no load', async (t) => {
  const { net, read, content } = world(10 * GIB, {}, { connectionRate: Infinity });
  const sequence = async (from: number) => {
    for (let at = from; at < from + 5 * MIB; at += MIB) await read(at, MIB);
  };
  await net.run(Promise.all(Array.from({ length: 32 }, (_, index) => sequence((index + 1) * 300 * MIB))));
  await net.pass(2000);
  t.ok(net.bytes <= 1.2 * 32 * 5 * MIB, `${net.bytes / MIB} MiB for ${32 * 5}`);
  content.close();
});

t.test('a sequence inside an object is fetched ahead of once, and twice at most', async (t) => {
  const { net, read, content } = world(10 * GIB, {}, { connectionRate: Infinity });
  const all = async () => {
    for (let at = 0; at < 6 * MIB; at += 256 * KIB) await read(5 * GIB + at, 256 * KIB);
  };
  await net.run(all());
  await net.pass(2000);
  t.ok(net.bytes <= 2 * 6 * MIB, `${net.bytes / MIB} MiB for 6`);
  t.ok(net.requests.length <= 16, `${net.requests.length} requests for 24 reads`);
  content.close();
});

t.test('a slow reader has as much fetched ahead as it needs, and no more', async (t) => {
  const { net, read, content } = world(10 * GIB);
  const slowly = async () => {
    for (let at = 0; at < 20 * MIB; at += 256 * KIB) {
      await read(at, 256 * KIB);
      await new Promise<void>((done) => void net.clock.after(50, done));
    }
  };
  await net.run(slowly());
  t.ok(net.bytes <= 30 * MIB, `${net.bytes / MIB} MiB for 20`);
  content.close();
});

t.test('what a reader waits for is asked for before what lies ahead of it', async (t) => {
  const { net, read, content } = world(256 * MIB);
  await net.run(read(0, 2 * MIB));
  t.ok(net.requests.length > 1);
  t.same(net.requests[0], { key: 'model', start: 0, end: 2 * MIB, number: 0 });
  content.close();
});

t.test('a server that asks to slow down gets fewer requests, and all bytes arrive', async (t) => {
  const refused: PartOutcome = { kind: 'throttled', retryAfterMs: undefined };
  const script = ({ number }: { readonly number: number }) =>
    number >= 20 && number < 40 ? { outcome: refused } : undefined;
  const { net, read, version, scheduler, stores } = world(256 * MIB, {}, { script });
  const all = async () => {
    for (let at = 0; at < version.size; at += MIB) await read(at, MIB);
  };
  let fewest = Number.POSITIVE_INFINITY;
  const reading = all();
  for (let step = 0; step < 100; step += 1) {
    await net.pass(5);
    fewest = Math.min(fewest, scheduler.limits.total);
  }
  t.equal(fewest, 12);
  await net.run(reading);
  t.ok(scheduler.limits.total > 12, 'and more again later');
  t.equal(net.bytes, version.size);
  t.equal(stores.status(1).stores[0]?.state, 'complete');
});

t.test('demand does not wait for eight objects that are fetched ahead at full speed', async (t) => {
  const { net, stores, read } = world(10 * GIB, { fillBytesMax: 20 * GIB });
  const others = Array.from({ length: 8 }, (_, at) => net.objects.put(`m${at}`, { size: GIB, seed: 2 }));
  const loads = others.map(async (version) => {
    const content = stores.open(version);
    for (let at = 0; at < GIB; at += MIB) await content.read(new Uint8Array(MIB), at);
  });
  await net.pass(600);
  const took: number[] = [];
  for (const offset of scattered) took.push(await net.run(read(offset, 64 * KIB)));
  t.ok(Math.max(...took) <= 60, `${Math.max(...took)} ms at most, of round trips of 20`);
  await stores.close();
  await Promise.allSettled(loads);
});

/** A format whose header says, once it was looked at, that a directory at the tail is wanted first. */
function probeOf(dataStart: number, first: readonly ByteRange[]): FormatProbe {
  let looked = false;
  return {
    get wants() {
      return looked ? undefined : { start: 0, end: 64 * KIB };
    },
    get plan() {
      return looked ? { format: 'zip' as const, first, dataStart } : undefined;
    },
    look() {
      looked = true;
    },
  };
}

t.test('what a format wants first is fetched as soon as it is known, and nothing else', async (t) => {
  const size = GIB;
  const first = [{ start: size - 2 * MIB, end: size }];
  const { net, read, content } = world(size, { createProbe: () => probeOf(64 * KIB, first) });
  await net.run(read(0, 4 * KIB));
  await net.pass(500);
  t.same(
    net.requests.map(({ start, end }) => [start, end]),
    [
      [0, MIB],
      [size - 2 * MIB, size],
    ],
  );
  await net.run(read(size - MIB, 64 * KIB));
  await net.pass(500);
  t.equal(net.requests.length, 2, 'a look at the directory is no load');
  content.close();
});

t.test('a read of the data of a known format is a load: all of it follows, from there on', async (t) => {
  const size = 256 * MIB;
  const { net, read, content } = world(size, { createProbe: () => probeOf(64 * KIB, []) });
  await net.run(read(0, 4 * KIB));
  await net.pass(200);
  await net.run(read(100 * MIB, 128 * KIB));
  await net.pass(1500);
  t.equal(net.bytes, size, 'each byte once');
  const behind = net.requests.findIndex(({ start }) => start > 0 && start < 100 * MIB);
  const ahead = net.requests.filter(({ start }, index) => start > 100 * MIB && index < behind);
  t.ok(ahead.length > 4, 'what lies behind the reader comes last');
  content.close();
});

t.test('page faults of four threads, each in its own region, are a load', async (t) => {
  const { net, read, content } = world(GIB);
  const thread = async (from: number) => {
    for (let at = 0; at < 12 * MIB; at += 128 * KIB) await read(from + at, 128 * KIB);
  };
  await net.run(Promise.all([0, 256, 512, 768].map((mib) => thread(mib * MIB + 64 * KIB))));
  await net.pass(1500);
  t.equal(net.bytes, GIB, 'each byte once');
  content.close();
});

t.test('a gentle fill brings everything without a reader, in small requests', async (t) => {
  const { net, stores } = world(MIB);
  const size = 100 * MIB;
  stores.expect(net.objects.put('shard', { size, seed: 3 }));
  await net.pass(100);
  t.ok(net.running > 0 && net.running <= 6, 'half of the connections of prefetch at most');
  await net.pass(2000);
  t.equal(net.bytes, size, 'each byte once');
  t.ok(net.requests.every(({ start, end }) => end - start <= 4 * MIB));
  await stores.close();
});

t.test('a gentle fill makes way for readers, and ends with the mount', async (t) => {
  const { net, stores, read, version } = world(256 * MIB);
  stores.expect(net.objects.put('shard', { size: GIB, seed: 3 }));
  await net.pass(50);
  const all = async () => {
    for (let at = 0; at < version.size; at += MIB) await read(at, MIB);
  };
  const reading = all();
  await net.pass(200);
  const before = net.requests.length;
  await net.pass(50);
  t.same(
    net.requests.slice(before).filter(({ key }) => key === 'shard'),
    [],
    'while there is something to fetch ahead of a reader, nothing gentle begins',
  );
  await net.run(reading);
  await stores.close();
  const { bytes } = net;
  await net.pass(500);
  t.equal(net.bytes, bytes);
});
