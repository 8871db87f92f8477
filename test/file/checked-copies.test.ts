/** From the embedded server's checksums to the next open: local copies over the real client, in real files. */
import t from 'tap';
import type { Test } from 'tap';
import type { Content } from '../../src/file/content.js';
import { nativeAddonIfAny } from '../../src/native.js';
import { createLogger } from '../../src/observability/logger.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import { systemClock } from '../../src/runtime/clock.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { fillPattern, findPatternMismatch } from '../../src/runtime/pattern.js';
import { FaultyObjectStore } from '../support/faulty-object-store.js';
import type { ControlCall, FaultScript } from '../support/faulty-object-store.js';
import { eventually } from '../support/processes.js';
import {
  BUCKET,
  currentVersion,
  useFolder,
  useServer,
  useServerCredentials,
  useStore,
} from '../support/s3-fixture.js';
import { createStores } from '../support/store-harness.js';
import { openCache } from '../cache/cache-rig.js';

const MIB = 1024 * 1024;
const SIZE = 5 * MIB + 4321;
const SEED = 9;
const ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME'] as const;

useServerCredentials(t);
const server = await useServer(t);
for (const checksumAlgorithm of [...ALGORITHMS, 'SHA256', undefined] as const) {
  const bytes = fillPattern(new Uint8Array(SIZE), SEED, 0);
  await server.putObject(BUCKET, checksumAlgorithm ?? 'plain', bytes, { checksumAlgorithm });
}

interface SetUpOptions {
  readonly transferThreads?: number;
  readonly script?: FaultScript;
}

async function setUp(t: Test, { transferThreads = 1, script = {} }: SetUpOptions = {}) {
  const folder = await useFolder(t);
  const objectStore = new FaultyObjectStore(await useStore(t, server, { transferThreads }), script);
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  const cache = await openCache(folder);
  const { stores } = createStores(objectStore, {
    clock: systemClock,
    logger: createLogger('warn', { write }),
    checksums: { functions: checksumFunctions(nativeAddonIfAny()) },
    partBytesMax: 2 * MIB,
    copies: cache,
  });
  t.teardown(async () => {
    await stores.close();
    cache.close();
  });
  const open = async (key: string) => stores.open(await currentVersion(objectStore, key));
  const checksumOf = ({ storeId }: Content) =>
    stores.status(100).stores.find(({ id }) => id === storeId)?.checksum;
  const copiesKept = () => cache.list().length;
  return { stores, copiesKept, lines, open, checksumOf };
}

/** The offset of the first wrong byte, or -1. */
async function readAll(content: Content): Promise<number> {
  const bytes = new Uint8Array(SIZE);
  await content.read(bytes, 0);
  return findPatternMismatch(bytes, SEED, 0);
}

/** How bytes come to the file: by JavaScript, which sums none of them, or by a thread that does. */
const TRANSPORTS = [
  ['by JavaScript', 0],
  ['by a thread', 1],
] as const;
const WAYS = TRANSPORTS.flatMap((transport) =>
  ALGORITHMS.map((algorithm) => [algorithm, ...transport] as const),
);

for (const [algorithm, way, transferThreads] of WAYS) {
  t.test(`a copy of an object with ${algorithm}, fetched ${way}, is compared with it`, async (t) => {
    const { open, checksumOf, lines } = await setUp(t, { transferThreads });
    const content = await open(algorithm);
    t.equal(checksumOf(content), 'unknown');
    t.equal(await readAll(content), -1);
    const able = algorithm !== 'CRC64NVME' || nativeAddonIfAny() !== undefined;
    t.ok(!able || (await eventually(() => checksumOf(content) === 'matches')), 'it matches');
    content.close();
    t.same(lines, []);
  });

  t.test(
    `a byte that was flipped on its way is noticed by ${algorithm}, fetched ${way}, and the next open fetches again`,
    async (t) => {
      const { stores, copiesKept, open, checksumOf, lines } = await setUp(t, { transferThreads });
      const fault = { kind: 'flipped-byte', atByte: 3 * MIB + 7, of: 'object' } as const;
      t.teardown(
        server.faults.add({
          operation: 'GetObject',
          key: algorithm,
          attempts: 1,
          rangeContains: fault.atByte,
          fault,
        }),
      );
      const first = await open(algorithm);
      t.equal(await readAll(first), fault.atByte);
      t.ok(await eventually(() => checksumOf(first) === 'differs'));
      t.match(lines, [{ level: 50, key: algorithm, store: first.storeId, kind: algorithm.toLowerCase() }]);
      t.match(lines[0], { expected: /^[0-9a-f]+$/, got: /^[0-9a-f]+$/ });
      t.not(lines[0]?.['expected'], lines[0]?.['got']);

      const second = await open(algorithm);
      t.not(second.storeId, first.storeId);
      t.same([first.replacesCorrupt, second.replacesCorrupt], [false, true]);
      t.equal(await readAll(second), -1, 'every byte is right');
      t.ok(await eventually(() => checksumOf(second) === 'matches'));
      await t.rejects(readAll(first), { code: 'corrupt' }, 'nobody gets a byte of the first copy any more');
      first.close();
      second.close();
      t.ok(await eventually(() => stores.restingCount === 0));
      t.same([stores.openCount, copiesKept()], [0, 1], 'the bad copy is gone');
      const third = await open(algorithm);
      t.equal(await readAll(third), -1);
      t.ok(third.complete, 'the good one is kept');
      third.close();
      t.equal(lines.length, 1);
    },
  );
}

t.test('a bad copy that nobody has open any more is not kept', async (t) => {
  const asked = new Deferred<void>();
  const control = ({ operation }: ControlCall) =>
    operation === 'checksum' ? { before: asked.promise } : undefined;
  const { stores, copiesKept, open } = await setUp(t, { script: { control } });
  const fault = { kind: 'flipped-byte', atByte: 10, of: 'object' } as const;
  t.teardown(
    server.faults.add({ operation: 'GetObject', key: 'CRC32C', attempts: 1, rangeContains: 10, fault }),
  );
  const content = await open('CRC32C');
  t.equal(await readAll(content), 10);
  content.close();
  t.equal(stores.restingCount, 1);
  asked.resolve();
  t.ok(await eventually(() => stores.restingCount === 0));
  t.equal(copiesKept(), 0);
  const again = await open('CRC32C');
  t.equal(await readAll(again), -1);
  again.close();
});

t.test('an object without a CRC of the whole is asked for once, and that is all', async (t) => {
  const { open, checksumOf, lines } = await setUp(t);
  for (const key of ['plain', 'SHA256']) {
    const content = await open(key);
    const heads = () => server.counters.operation('HeadObject').requests;
    const before = heads();
    t.equal(await readAll(content), -1);
    t.ok(await eventually(() => checksumOf(content) === 'none'));
    t.equal(heads() - before, 1);
    content.close();
  }
  t.same(lines, []);
});
