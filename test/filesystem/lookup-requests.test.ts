/** How few requests lookups need: what a first page tells, and how often a walk down a path waits. */
import t from 'tap';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { settle } from '../support/store-harness.js';
import { FilesystemRig, TTL_MS } from './filesystem-rig.js';

const NOT_FOUND = { code: 'not_found' };

t.test('the first page of a large directory answers for the names it covers, and no others', async (t) => {
  const rig = new FilesystemRig();
  for (let at = 0; at < 1500; at++) rig.objects.put(`d/${at}`, 'x');
  await rig.find('d');
  rig.takeRequests();
  t.equal((await rig.find('d/1499')).attributes.size, 1);
  await t.rejects(rig.find('d/14999'), NOT_FOUND);
  t.same(rig.takeRequests(), []);
  t.equal((await rig.find('d/999')).attributes.size, 1);
  t.same(rig.takeRequests(), ['head d/999', 'list d/999/']);
  t.equal((await rig.names('d')).length, 1500, 'it is not taken for the directory');
  t.same(rig.takeRequests(), ['list d/', 'list d/']);
  rig.objects.put('d/14999', 'x');
  rig.clock.advance(TTL_MS);
  await rig.find('d');
  await rig.find('d/14999');
  t.same(rig.takeRequests(), ['head d', 'list d/'], 'a later first page is newer evidence');
});

t.test('a whole listing that is fresh is not given up for a first page', async (t) => {
  const rig = new FilesystemRig();
  for (let at = 0; at < 1500; at++) rig.objects.put(`d/${at}`, 'x');
  const gate = new Deferred<void>();
  rig.fault = ({ operation }) => (operation === 'list' ? { before: gate.promise } : undefined);
  const lookup = rig.find('d');
  rig.fault = () => undefined;
  await rig.filesystem.readDirectory(ROOT_NODE);
  await rig.names('d');
  gate.resolve();
  await lookup;
  rig.takeRequests();
  await rig.find('d/999');
  t.equal((await rig.names('d')).length, 1500);
  t.same(rig.takeRequests(), []);
});

t.test('a file at the edge of a page may be a directory behind it', async (t) => {
  const rig = new FilesystemRig();
  for (let at = 0; at < 999; at++) rig.objects.put(`d/${String(at).padStart(3, '0')}`, 'x');
  rig.objects.put('d/m', 'shadowed');
  rig.objects.put('d/m/x', 'x');
  await rig.find('d');
  rig.takeRequests();
  t.equal((await rig.find('d/m')).attributes.kind, 'directory');
  t.same(rig.takeRequests(), ['head d/m', 'list d/m/']);
});

/** How often a walk down `path` waits: whatever was asked is answered only when nothing more is asked. */
async function countRounds(rig: FilesystemRig, path: string): Promise<number> {
  let round = new Deferred<void>();
  let asked = 0;
  rig.fault = () => {
    asked += 1;
    return { before: round.promise };
  };
  let isFound = false;
  const found = rig.find(path).then(() => (isFound = true));
  let rounds = 0;
  for (await settle(); !isFound; await settle()) {
    if (asked === 0) throw new Error('it waits for nothing');
    asked = 0;
    rounds += 1;
    round.resolve();
    round = new Deferred();
  }
  await found;
  return rounds;
}

t.test('a cold walk waits once for the first two names, and at most once for each further one', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('models/x.bin', 'x');
  rig.objects.put('a/b/c/d/e/x.bin', 'x');
  t.equal(await countRounds(rig, 'models/x.bin'), 1);
  t.same(rig.takeRequests(), ['head models', 'list models/']);
  t.equal(await countRounds(rig, 'a/b/c/d/e/x.bin'), 3, 'every other level comes with the one above it');
  t.same(rig.takeRequests(), [
    'head a',
    'head a/b/c',
    'head a/b/c/d/e',
    'list a/',
    'list a/b/c/',
    'list a/b/c/d/e/',
  ]);
});

t.test('what lies at the top is foreseen for some seconds, so that first lookups ask nothing', async (t) => {
  const rig = new FilesystemRig({ prefix: 'p/' });
  for (const key of ['p/a', 'p/models/x.bin', 'p/z/y/x']) rig.objects.put(key, 'x');
  rig.filesystem.foresee();
  await settle();
  t.same(rig.takeRequests(), ['list p/', 'list p/models/', 'list p/z/', 'list p/z/y/']);
  for (const path of ['a', 'models', 'models/x.bin', 'z', 'z/y', 'z/y/x']) {
    const { validMs } = await rig.find(path);
    t.equal(validMs, 5000, path);
  }
  t.same(rig.takeRequests(), []);
  rig.clock.advance(5000);
  await rig.find('models/x.bin');
  t.same(rig.takeRequests(), ['head p/models', 'list p/models/']);
});

t.test('foresight never says that something is not there', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('models/x.bin', 'x');
  rig.filesystem.foresee();
  await settle();
  rig.objects.put('models/new', 'x');
  rig.objects.put('new', 'x');
  await rig.find('models/new');
  await rig.find('new');
  t.same(await rig.names('models'), ['new', 'x.bin']);
});

t.test(
  'foresight is of seven directories and a hundred names in each, and of what lookups have not asked',
  async (t) => {
    const rig = new FilesystemRig();
    for (let at = 0; at < 200; at++) rig.objects.put(`d${at % 8}/${String(at).padStart(4, '0')}`, 'x');
    for (let at = 0; at < 200; at++) rig.objects.put(`d0/more-${String(at).padStart(4, '0')}`, 'x');
    await t.rejects(rig.find('d1/0002'), NOT_FOUND);
    rig.objects.put('d1/0002', 'x');
    rig.takeRequests();
    rig.filesystem.foresee();
    await settle();
    t.equal(rig.takeRequests().length, 8);
    await rig.find('d0/more-0000');
    await t.rejects(rig.find('d1/0002'), NOT_FOUND);
    t.same(rig.takeRequests(), []);
    await rig.find('d0/more-0199');
    t.same(rig.takeRequests(), ['head d0/more-0199', 'list d0/more-0199/']);
  },
);

t.test("foresight is no older than names may be, and its failure is nobody's", async (t) => {
  for (const metadataTtlMs of [0, 1000]) {
    const rig = new FilesystemRig({ metadataTtlMs });
    rig.objects.put('a', 'x');
    rig.filesystem.foresee();
    await settle();
    rig.takeRequests();
    t.equal((await rig.find('a')).validMs, metadataTtlMs);
    rig.clock.advance(metadataTtlMs);
    await rig.find('a');
    t.equal(rig.takeRequests().length, metadataTtlMs === 0 ? 4 : 2);
  }
  const rig = new FilesystemRig();
  rig.objects.put('a/b', 'x');
  rig.fault = ({ key }) =>
    key === ''
      ? undefined
      : { error: new ObjectStoreError('access_denied', 'denied', { operation: 'test' }) };
  rig.filesystem.foresee();
  await settle();
  t.same(rig.takeRequests(), ['list ', 'list a/']);
});
