/** Names, freshness and requests: what a lookup asks, what it remembers and for how long. */
import t from 'tap';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import type { ObjectStoreErrorCode } from '../../src/object-store/errors.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { FilesystemRig, MOUNTED_MS, TTL_MS } from './filesystem-rig.js';

const NOT_FOUND = { code: 'not_found' };

function storeError(code: ObjectStoreErrorCode): ObjectStoreError {
  return new ObjectStoreError(code, code, { operation: 'test' });
}

t.test('a file is found by a HEAD and a listing at once, and remembered for the TTL', async (t) => {
  const rig = new FilesystemRig({ prefix: 'p/' });
  rig.objects.put('p/a', '12345', { lastModifiedMs: 1_700_000_000_987 });
  const entry = await rig.find('a');
  t.match(entry, {
    validMs: TTL_MS,
    attributes: {
      kind: 'file',
      size: 5,
      blocks: 1,
      permissions: 0o444,
      uid: 1,
      gid: 2,
      links: 1,
      modifiedMs: 1_700_000_000_000,
    },
  });
  t.same(rig.takeRequests(), ['head p/a', 'list p/a/']);
  rig.clock.advance(TTL_MS - 1);
  t.equal((await rig.find('a')).node, entry.node);
  t.equal((await rig.find('a')).validMs, 1);
  t.same(rig.takeRequests(), []);
  rig.clock.advance(1);
  t.equal((await rig.find('a')).node, entry.node, 'the same version keeps its node');
  t.same(rig.takeRequests(), ['head p/a', 'list p/a/']);
});

t.test('a directory wins over an object of its name, and its listing comes with the lookup', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('d', 'hidden');
  rig.objects.put('d/', 'marker of some size', { lastModifiedMs: 5000 });
  rig.objects.put('d/a', 'x');
  t.match(await rig.find('d'), { attributes: { kind: 'directory', links: 2, modifiedMs: 5000, size: 0 } });
  rig.takeRequests();
  t.same(await rig.names('d'), ['a']);
  t.equal((await rig.find('d/a')).attributes.size, 1);
  await t.rejects(rig.find('d/b'), NOT_FOUND);
  t.same(rig.takeRequests(), [], 'all of that from the one page');
});

t.test('directories without a marker are as old as the mount', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('d/a', 'x');
  t.equal((await rig.find('d')).attributes.modifiedMs, MOUNTED_MS);
});

t.test('a fresh listing answers for every name, there or not', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('a', 'x');
  t.same(await rig.names(), ['a']);
  t.same(rig.takeRequests(), ['list ']);
  await rig.find('a');
  await t.rejects(rig.find('b'), NOT_FOUND);
  t.same(rig.takeRequests(), []);
  rig.objects.put('b', 'x');
  rig.clock.advance(TTL_MS);
  await rig.find('b');
  t.same(rig.takeRequests(), ['head b', 'list b/'], 'an old one does not');
});

t.test('an absent name is remembered for the TTL, no longer', async (t) => {
  const rig = new FilesystemRig();
  await t.rejects(rig.find('a'), NOT_FOUND);
  rig.objects.put('a', 'x');
  rig.clock.advance(TTL_MS - 1);
  await t.rejects(rig.find('a'), NOT_FOUND);
  t.same(rig.takeRequests(), ['head a', 'list a/']);
  rig.clock.advance(1);
  await rig.find('a');
});

t.test('with a TTL of 0 each lookup asks, and ls -l is right all the same', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 0 });
  rig.objects.put('a', 'x');
  for (const expected of [1, 22, 333]) {
    rig.objects.put('a', 'y'.repeat(expected));
    t.same(await rig.names(), ['a']);
    t.equal((await rig.find('a')).attributes.size, expected);
    t.same(rig.takeRequests(), ['head a', 'list ', 'list a/']);
  }
  rig.objects.delete('a');
  await t.rejects(rig.find('a'), NOT_FOUND);
  rig.objects.put('a', 'x');
  await rig.find('a');
});

t.test('lookups of one name at the same time share the requests', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('a', 'x');
  const entries = await Promise.all([rig.find('a'), rig.find('a'), rig.find('a')]);
  t.equal(new Set(entries.map((entry) => entry.node)).size, 1);
  t.same(rig.takeRequests(), ['head a', 'list a/']);
});

t.test('a lookup does not join one that began too long ago', async (t) => {
  const rig = new FilesystemRig();
  const gate = new Deferred<void>();
  rig.fault = () => ({ before: gate.promise });
  const first = rig.find('a');
  rig.clock.advance(TTL_MS);
  rig.fault = () => undefined;
  rig.objects.put('a', 'x');
  const second = await rig.find('a');
  gate.resolve();
  t.equal((await first).node, second.node, 'and the later answer stands');
});

t.test('an older answer that comes later changes nothing', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 1000 });
  const gate = new Deferred<void>();
  rig.fault = ({ operation }) => (operation === 'list' ? { before: gate.promise } : undefined);
  rig.objects.put('a', 'old');
  // Its HEAD is answered now, its listing holds it up until the object is gone and another lookup has said so.
  const first = rig.find('a');
  await new Promise((resolve) => setImmediate(resolve));
  rig.clock.advance(1000);
  rig.fault = () => undefined;
  rig.objects.put('a', 'newer');
  const second = await rig.find('a');
  gate.resolve();
  await first;
  t.equal((await rig.find('a')).node, second.node);
  t.equal((await rig.find('a')).attributes.size, 5);
});

t.test('a request that fails is an error, never an absent name', async (t) => {
  for (const [store, expected] of [
    ['access_denied', 'access_denied'],
    ['unreachable', 'unreachable'],
    ['throttled', 'unreachable'],
  ] as const) {
    for (const operation of ['head', 'list'] as const) {
      const rig = new FilesystemRig();
      rig.fault = (call) => (call.operation === operation ? { error: storeError(store) } : undefined);
      await t.rejects(rig.find('a'), { code: expected }, `${operation} ${store}`);
      rig.fault = () => undefined;
      rig.objects.put('a', 'x');
      await rig.find('a');
    }
  }
});

t.test('a directory that was found wins over a HEAD that is denied', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('d/a', 'x');
  rig.fault = ({ operation }) => (operation === 'head' ? { error: storeError('access_denied') } : undefined);
  t.equal((await rig.find('d')).attributes.kind, 'directory');
});

t.test('a directory does not wait for the HEAD of its name', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('d/a', 'x');
  rig.fault = ({ operation }) => (operation === 'head' ? { before: new Promise(() => {}) } : undefined);
  t.equal((await rig.find('d')).attributes.kind, 'directory');
});

t.test('names that cannot exist are answered without a request', async (t) => {
  const rig = new FilesystemRig({ platform: 'darwin', prefix: `${'p'.repeat(900)}/` });
  await t.rejects(rig.find('x'.repeat(256)), { code: 'name_too_long' });
  for (const name of ['.fuse_hidden0001', '.DS_Store', '._a', 'x'.repeat(200)]) {
    await t.rejects(rig.find(name), NOT_FOUND, name);
  }
  t.same(rig.takeRequests(), []);
});

t.test('a key of the greatest length is a file, for a directory there is no room', async (t) => {
  const rig = new FilesystemRig({ prefix: 'p/'.repeat(412) });
  const name = 'x'.repeat(200);
  rig.objects.put(`${'p/'.repeat(412)}${name}`, 'x');
  t.equal((await rig.find(name)).attributes.size, 1);
  t.same(rig.takeRequests(), [`head ${'p/'.repeat(412)}${name}`]);
});

t.test('what is below a file is no directory; an unknown node must be looked up again', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('a', 'x');
  await t.rejects(rig.find('a/b'), { code: 'not_directory' });
  await t.rejects(rig.filesystem.readDirectory((await rig.find('a')).node), { code: 'not_directory' });
  await t.rejects(rig.filesystem.lookup(4711, 'a'), { code: 'stale' });
  t.equal(rig.filesystem.getAttributes(4711), undefined);
});

t.test('nodes that nothing refers to are forgotten, least recently used first', async (t) => {
  const rig = new FilesystemRig({ limits: { unpinnedNodesMax: 2 } });
  for (const key of ['a', 'b', 'c']) rig.objects.put(key, key);
  const a = await rig.find('a');
  const handle = rig.filesystem.open(a.node, { write: false });
  const b = await rig.find('b');
  await rig.find('c');
  rig.filesystem.getAttributes(b.node);
  await rig.find('d').catch(() => {});
  t.ok(rig.filesystem.getAttributes(a.node), 'an open one stays');
  rig.filesystem.release(handle);
  t.equal(rig.filesystem.stats().nodes, 3, 'the root and two');
  t.ok(rig.filesystem.getAttributes(a.node));
  t.equal((await rig.find('b')).attributes.inode, b.attributes.inode, 'found again it has its number');
});

t.test('closing ends the requests under way', async (t) => {
  const rig = new FilesystemRig();
  rig.fault = () => ({ before: new Promise(() => {}) });
  const refused = [
    t.rejects(rig.find('a'), { code: 'interrupted' }),
    t.rejects(rig.names(), { code: 'interrupted' }),
  ];
  rig.filesystem.close();
  await Promise.all(refused);
  t.equal(rig.filesystem.getAttributes(ROOT_NODE)?.attributes.inode, 1);
});
