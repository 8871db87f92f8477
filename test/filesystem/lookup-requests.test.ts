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

t.test('a rehearsal asks as a lookup does, and nobody hears how it went', async (t) => {
  const rig = new FilesystemRig();
  rig.filesystem.rehearse();
  await settle();
  t.match(rig.takeRequests(), [/^head /, /^list /]);
  rig.clock.advance(TTL_MS);
  rig.fault = () => ({ error: new ObjectStoreError('access_denied', 'denied', { operation: 'test' }) });
  rig.filesystem.rehearse();
  await settle();
  t.equal(rig.takeRequests().length, 2);
});
