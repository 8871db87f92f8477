/** What the kernel was told: nodes that stay known until it forgets them, and names that it is to drop. */
import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import { FilesystemError } from '../../src/filesystem/errors.js';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import type { ReadOnlyFilesystemOptions } from '../../src/filesystem/read-only-filesystem.js';
import { FilesystemRig, TTL_MS } from './filesystem-rig.js';

const APART = { versionsApart: true } as const;
const STALE = new ContentError('stale', 'it was replaced');

/** A rig whose outdated names are collected, as `PARENT/NAME` with the parent's node id. */
function collecting(options: Partial<ReadOnlyFilesystemOptions> = {}) {
  const rig = new FilesystemRig({ ...APART, ...options });
  const outdated: string[] = [];
  rig.filesystem.onNameOutdated((parent, name) => outdated.push(`${parent}/${name}`));
  const tell = async (path: string) => {
    const { node } = await rig.find(path);
    rig.filesystem.retain(node);
    return node;
  };
  return { rig, filesystem: rig.filesystem, tell, take: () => outdated.splice(0) };
}

t.test('a node stays known until the kernel forgot it as often as it was told', async (t) => {
  const { rig, filesystem } = collecting({ limits: { unpinnedNodesMax: 1 } });
  for (const key of ['a', 'b', 'c']) rig.objects.put(key, key);
  const { node } = await rig.find('a');
  t.ok(filesystem.retain(node));
  t.ok(filesystem.retain(node));
  filesystem.forget(node, 1);
  await rig.find('b');
  await rig.find('c');
  t.ok(filesystem.getAttributes(node));
  filesystem.forget(node, 1);
  await rig.find('b');
  t.equal(filesystem.getAttributes(node), undefined, 'now as any other that was not used lately');
  t.notOk(filesystem.retain(node));
});

t.test('forgetting too much, or what is unknown, takes nothing from handles and listings', async (t) => {
  const { rig, filesystem } = collecting({ limits: { unpinnedNodesMax: 1 } });
  for (const key of ['a', 'b', 'c']) rig.objects.put(key, key);
  const handle = await rig.open('a');
  const { node } = filesystem.getHandleAttributes(handle);
  filesystem.retain(node);
  filesystem.forget(node, 1000);
  filesystem.forget(node, 1);
  filesystem.forget(4711, 1);
  filesystem.forget(ROOT_NODE, 5);
  await rig.find('b');
  await rig.find('c');
  t.ok(filesystem.getAttributes(node), 'it is open');
  t.ok(filesystem.getAttributes(ROOT_NODE));
  t.ok(filesystem.retain(ROOT_NODE));
  filesystem.release(handle);
});

t.test(
  'a version that was replaced answers for itself while the kernel knows it, and is told to nobody',
  async (t) => {
    const { rig, filesystem, tell } = collecting();
    rig.objects.put('a', 'old');
    const old = await tell('a');
    rig.objects.put('a', 'newer');
    rig.clock.advance(TTL_MS);
    const { node, attributes } = await rig.find('a');
    t.not(node, old);
    t.match(filesystem.getAttributes(old)?.attributes, { size: 3, inode: attributes.inode });
    t.notOk(filesystem.retain(old));
    filesystem.forget(old, 1);
    t.equal(filesystem.getAttributes(old), undefined);
  },
);

t.test('a name is told when its object is found replaced or removed, by a lookup or a listing', async (t) => {
  for (const found of ['lookup', 'listing'] as const) {
    const { rig, tell, take } = collecting();
    rig.objects.put('d/a', 'old');
    rig.objects.put('d/b', 'x');
    const directory = await tell('d');
    await rig.names('d');
    await tell('d/a');
    await tell('d/b');
    const find = async (path: string) => {
      rig.clock.advance(TTL_MS);
      if (found === 'listing') await rig.names('d');
      else await rig.find(path).catch(() => {});
    };
    rig.objects.put('d/a', 'newer');
    await find('d/a');
    t.same(take(), [`${directory}/a`], `replaced, seen by a ${found}`);
    await find('d/a');
    t.same(take(), [], 'the new version was not told');
    rig.objects.delete('d/b');
    await find('d/b');
    t.same(take(), [`${directory}/b`], `removed, seen by a ${found}`);
    await find('d/b');
    t.same(take(), []);
  }
});

t.test('a file that became a directory is told, and the other way round', async (t) => {
  const { rig, tell, take } = collecting({ metadataTtlMs: 0 });
  rig.objects.put('a', 'x');
  await tell('a');
  rig.objects.put('a/b', 'x');
  await tell('a');
  t.same(take(), ['1/a']);
  rig.objects.delete('a/b');
  await tell('a');
  t.same(take(), ['1/a']);
});

t.test('a read that finds the object changed tells its name, once', async (t) => {
  const { rig, filesystem, tell, take } = collecting();
  rig.objects.put('d/a', 'old');
  const directory = await tell('d');
  const node = await tell('d/a');
  const handle = filesystem.open(node, { write: false });
  rig.objects.put('d/a', 'newer');
  await t.rejects(rig.read(handle), { code: 'stale' });
  t.same(take(), [`${directory}/a`]);
  await t.rejects(rig.read(handle), { code: 'stale' });
  t.same(take(), []);
  t.not(await tell('d/a'), node);
  t.same(take(), [], 'the kernel has dropped it already');
});

t.test('a read that failed outside is translated, and expires the name when it is stale', async (t) => {
  const { rig, filesystem, tell, take } = collecting();
  rig.objects.put('a', 'x');
  const node = await tell('a');
  const handle = filesystem.open(node, { write: false });
  const denied = new ContentError('denied', 'no');
  t.match(filesystem.readFailed(handle, denied), { code: 'access_denied', message: 'no', cause: denied });
  const bug = new TypeError('bug');
  t.equal(filesystem.readFailed(handle, bug), bug);
  t.same(take(), []);
  const stale = filesystem.readFailed(handle, STALE);
  t.ok(stale instanceof FilesystemError);
  t.match(stale, { code: 'stale' });
  t.same(take(), ['1/a']);
  t.throws(() => filesystem.open(node, { write: false }), { code: 'stale' }, 'look it up again');
  rig.takeRequests();
  t.equal(await tell('a'), node, 'and find that it is the same after all');
  t.same(rig.takeRequests(), ['head a', 'list a/']);
  filesystem.release(handle);
  t.match(filesystem.readFailed(handle, STALE), { code: 'stale' }, 'the handle may be gone');
  t.same(take(), []);
});

t.test('a directory that is gone is told alone: the kernel drops what is in it', async (t) => {
  const { rig, tell, take } = collecting();
  rig.objects.put('d/e/a', 'x');
  const directory = await tell('d');
  await tell('d/e');
  await tell('d/e/a');
  await rig.names('d/e');
  rig.objects.delete('d/e/a');
  rig.clock.advance(TTL_MS);
  await t.rejects(rig.filesystem.readDirectory(await tell('d').catch(() => directory)), {
    code: 'not_found',
  });
  t.same(take(), ['1/d']);
});

t.test('names that the kernel was not told of, or has forgotten, are not told', async (t) => {
  const { rig, filesystem, tell, take } = collecting({ metadataTtlMs: 0 });
  rig.objects.put('a', '1');
  rig.objects.put('b', '1');
  const a = await tell('a');
  filesystem.forget(a, 1);
  await rig.names();
  rig.objects.put('a', '22');
  rig.objects.put('b', '22');
  await rig.names();
  t.same(take(), []);
});

t.test('what a handle reads from can be had until its release', async (t) => {
  const { rig, filesystem } = collecting();
  rig.objects.put('a', 'x');
  const handle = await rig.open('a');
  t.same([...rig.content.contentsOpen], [filesystem.contentOf(handle)]);
  filesystem.release(handle);
  t.throws(() => filesystem.contentOf(handle), { code: 'bad_handle' });
});
