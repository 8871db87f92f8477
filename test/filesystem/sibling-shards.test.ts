/** A shard that is being loaded makes the next one expected: when, which, and at the cost of which requests. */
import t from 'tap';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import { ReadOnlyFilesystem } from '../../src/filesystem/read-only-filesystem.js';
import { silentLogger } from '../../src/observability/logger.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { createStores, settle } from '../support/store-harness.js';
import { FILESYSTEM_OPTIONS, FilesystemRig, TTL_MS } from './filesystem-rig.js';

const MIB = 1024 * 1024;

function shard(number: number): string {
  return `m/model-0000${number}-of-00003.safetensors`;
}

/** Three shards and their index, the first one open. */
async function openedRig(): Promise<FilesystemRig> {
  const rig = new FilesystemRig();
  for (const number of [1, 2, 3]) rig.objects.put(shard(number), `shard ${number}`);
  rig.objects.put('m/model.safetensors.index.json', '{}');
  await rig.open(shard(1));
  rig.takeRequests();
  return rig;
}

async function halfIsHere(rig: FilesystemRig): Promise<string[]> {
  for (const content of rig.content.contentsOpen) content.halfIsHere();
  await settle();
  return rig.content.expected.splice(0).map(({ key }) => key);
}

t.test('half of a shard here: the next one is expected, without a request, once', async (t) => {
  const rig = await openedRig();
  t.same(rig.content.expected, []);
  t.same(await halfIsHere(rig), [shard(2)]);
  t.same(await halfIsHere(rig), []);
  t.same(rig.takeRequests(), [], 'the listing came with the lookup');
});

t.test('the version that is expected is the one that an open will ask for', async (t) => {
  const rig = await openedRig();
  for (const content of rig.content.contentsOpen) content.halfIsHere();
  await settle();
  t.same(rig.content.expected, [rig.objects.version(shard(2))]);
});

t.test('without a fresh listing the directory is listed in the background', async (t) => {
  const rig = await openedRig();
  rig.clock.advance(TTL_MS);
  t.same(await halfIsHere(rig), [shard(2)]);
  t.same(rig.takeRequests(), ['list m/']);
  const failing = await openedRig();
  failing.clock.advance(TTL_MS);
  failing.fault = () => ({ error: new ObjectStoreError('unreachable', 'down', { operation: 'test' }) });
  t.same(await halfIsHere(failing), []);
});

t.test('what has no index, is gone, archived, a directory, or no shard at all is not expected', async (t) => {
  const changes: Readonly<Record<string, (rig: FilesystemRig) => void>> = {
    'no index': (rig) => rig.objects.delete('m/model.safetensors.index.json'),
    gone: (rig) => rig.objects.delete(shard(2)),
    archived: (rig) => void rig.objects.put(shard(2), 'x', { archived: true }),
    'a directory': (rig) => void rig.objects.put(`${shard(2)}/x`, 'x'),
  };
  for (const [what, change] of Object.entries(changes)) {
    const rig = await openedRig();
    change(rig);
    rig.clock.advance(TTL_MS);
    t.same(await halfIsHere(rig), [], what);
  }
});

t.test('nothing is asked for what is no shard', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('m/model.safetensors', 'x');
  await rig.open('m/model.safetensors');
  rig.takeRequests();
  rig.clock.advance(TTL_MS);
  t.same(await halfIsHere(rig), []);
  t.same(rig.takeRequests(), []);
});

t.test('a loader of three shards finds the second and third here, one fetched ahead at a time', async (t) => {
  const objects = new MemoryObjectStore();
  const size = 8 * MIB;
  for (const number of [1, 2, 3]) objects.put(shard(number), { seed: number, size });
  objects.put('m/model.safetensors.index.json', '{}');
  const clock = new SimulatedClock();
  const { stores } = createStores(objects, { clock });
  const filesystem = new ReadOnlyFilesystem(
    { objectStore: objects, content: stores, clock, logger: silentLogger },
    FILESYSTEM_OPTIONS,
  );
  const open = async (number: number) => {
    const directory = await filesystem.lookup(ROOT_NODE, 'm');
    const { node } = await filesystem.lookup(directory.node, shard(number).slice(2));
    return filesystem.open(node, { write: false });
  };
  const arrived = async (number: number) => {
    while (objects.bytesFetched(shard(number)) < size) await settle(1);
  };
  for (const number of [1, 2, 3]) {
    const before = objects.requests.length;
    const handle = await open(number);
    if (number > 1) t.equal(objects.bytesFetched(shard(number)), size, 'it is here before it is opened');
    const target = Buffer.alloc(size);
    await filesystem.read({ handle, offset: 0, target });
    t.ok(target.equals(fillPattern(new Uint8Array(size), number, 0)));
    const requested = objects.requests.slice(before).filter(({ key }) => key === shard(number));
    t.equal(requested.length > 0, number === 1, 'nothing is asked for twice');
    if (number < 3) await arrived(number + 1);
    if (number === 1) t.equal(objects.bytesFetched(shard(3)), 0, 'one at a time');
    filesystem.release(handle);
  }
  filesystem.close();
  await stores.close();
  await settle();
  t.equal(clock.pendingTimers, 0);
});
