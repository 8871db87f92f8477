/** Open files and the objects that replace theirs: versions, staleness and the races between. */
import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { FilesystemRig, TTL_MS } from './filesystem-rig.js';

const STALE = { code: 'stale' };

t.test('opens, reads across the end, and closes', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('a', 'hello world');
  const handle = await rig.open('a');
  t.equal(await rig.read(handle), 'hello world');
  t.equal(await rig.read(handle, 6, 3), 'wor');
  t.equal(await rig.read(handle, 11), '');
  t.equal(await rig.read(handle, 1_000_000), '');
  t.equal(rig.filesystem.getHandleAttributes(handle).attributes.size, 11);
  t.equal(rig.filesystem.stats().handles, 1);
  rig.filesystem.release(handle);
  rig.filesystem.release(handle);
  t.equal(rig.filesystem.stats().handles, 0);
  t.equal(rig.content.contentsOpen.size, 0);
  await t.rejects(rig.read(handle), { code: 'bad_handle' });
  t.throws(() => rig.filesystem.getHandleAttributes(handle), { code: 'bad_handle' });
});

t.test('opens are refused with the reason', async (t) => {
  const rig = new FilesystemRig({ limits: { openHandlesMax: 2 } });
  rig.objects.put('a', 'x');
  rig.objects.put('cold', 'x', { archived: true });
  const { node } = await rig.find('a');
  const cold = await rig.find('cold');
  const { filesystem } = rig;
  t.throws(() => filesystem.open(node, { write: true }), { code: 'read_only' });
  t.throws(() => filesystem.open(ROOT_NODE, { write: false }), STALE, 'never asked for: look it up');
  await rig.names();
  t.throws(() => filesystem.open(ROOT_NODE, { write: false }), { code: 'is_directory' });
  t.throws(() => filesystem.open(cold.node, { write: false }), {
    code: 'access_denied',
    message: /archive.*restore/,
  });
  t.throws(() => filesystem.open(4711, { write: false }), STALE);
  filesystem.open(node, { write: false });
  const second = filesystem.open(node, { write: false });
  t.throws(() => filesystem.open(node, { write: false }), { code: 'too_many_open_files' });
  filesystem.release(second);
  t.not(filesystem.open(node, { write: false }), second, 'a number is not used again soon');
  await t.rejects(rig.read(1, -1), { code: 'invalid_argument' });
  await t.rejects(rig.read(1, 0.5), { code: 'invalid_argument' });
});

t.test('opening the newer version ends every read of the older one', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 0 });
  const { etag } = rig.objects.put('a', 'old bytes');
  const old = await rig.open('a');
  const gate = new Deferred<void>();
  rig.content.beforeRead = (version) => (version.etag === etag ? gate.promise : undefined);
  const waiting = rig.read(old);
  const refused = t.rejects(waiting, STALE, 'also one under way, though its bytes never come');

  rig.objects.put('a', 'new bytes');
  const { node } = await rig.find('a');
  const handle = rig.filesystem.open(node, { write: false });
  await rig.filesystem.readsOfOlderVersionsEnded(handle);
  await refused;
  t.equal(await rig.read(handle), 'new bytes');
  await t.rejects(rig.read(old), STALE);
  await t.rejects(rig.read(old, 1_000_000), STALE, 'behind the end as well');
  t.throws(() => rig.filesystem.getHandleAttributes(old), STALE);
});

t.test('bytes that come in the moment of the newer open are not given out', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 0 });
  rig.objects.put('a', 'old bytes');
  const old = await rig.open('a');
  const answer = new Deferred<number>();
  // A content that does not care for being closed, and answers with data in the end.
  for (const content of rig.content.contentsOpen) content.read = () => answer.promise;
  const refused = t.rejects(rig.read(old), STALE);
  rig.objects.put('a', 'new bytes');
  const handle = await rig.open('a');
  let isOver = false;
  const ended = rig.filesystem.readsOfOlderVersionsEnded(handle).then(() => (isOver = true));
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(isOver, 'the reply to OPEN waits for it');
  answer.resolve(9);
  await ended;
  await refused;
});

t.test('a driver that keeps versions apart reads both', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 0, versionsApart: true });
  const { etag } = rig.objects.put('a', 'old');
  const old = await rig.open('a');
  const before = rig.filesystem.getHandleAttributes(old);
  const gate = new Deferred<void>();
  rig.content.beforeRead = (version) => (version.etag === etag ? gate.promise : undefined);
  const waiting = t.rejects(rig.read(old), STALE, 'until bytes are asked for that are gone');
  rig.objects.put('a', 'newer');
  const handle = await rig.open('a');
  await rig.filesystem.readsOfOlderVersionsEnded(handle);
  t.same(rig.filesystem.getHandleAttributes(old).attributes, before.attributes);
  t.equal(rig.filesystem.getAttributes(before.node)?.attributes.size, 3, 'the old node lives on');
  gate.resolve();
  await waiting;
  rig.filesystem.release(old);
  t.equal(rig.filesystem.getAttributes(before.node), undefined, 'and goes with its last handle');
});

t.test('another size that was only shown makes older handles stale, the same size does not', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 0 });
  rig.objects.put('a', 'old');
  const old = await rig.open('a');
  rig.objects.put('a', 'new');
  await rig.find('a');
  t.equal(rig.filesystem.getHandleAttributes(old).attributes.size, 3);
  rig.objects.put('a', 'newest');
  await rig.find('a');
  t.throws(() => rig.filesystem.getHandleAttributes(old), STALE);
});

t.test('a read that finds the object changed expires its name and the listing at once', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('d/a', 'old');
  await rig.names('d');
  const handle = await rig.open('d/a');
  const { node } = await rig.find('d/a');
  rig.objects.put('d/a', 'newer');
  rig.takeRequests();
  await rig.find('d/a');
  t.same(rig.takeRequests(), [], 'fresh until then');
  await t.rejects(rig.read(handle), STALE);
  t.throws(() => rig.filesystem.open(node, { write: false }), STALE, 'the old version is not opened again');
  t.equal(await rig.read(await rig.open('d/a')), 'newer');
  t.ok(rig.takeRequests().includes('head d/a'));
  t.equal((await rig.filesystem.readDirectory((await rig.find('d')).node))[0]?.attributes.size, 5);
});

t.test('an answer that was asked for before the change was noticed is not relied on', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('a', 'old');
  const handle = await rig.open('a');
  rig.clock.advance(TTL_MS);
  const gate = new Deferred<void>();
  rig.fault = ({ operation }) => (operation === 'list' ? { before: gate.promise } : undefined);
  // Its HEAD saw the old version; the change is noticed before the listing lets the lookup end.
  const before = rig.find('a');
  await new Promise((resolve) => setImmediate(resolve));
  rig.objects.put('a', 'newer');
  await t.rejects(rig.read(handle), STALE);
  gate.resolve();
  const entry = await before;
  t.throws(() => rig.filesystem.open(entry.node, { write: false }), STALE);
  t.equal((await rig.find('a')).attributes.size, 5);
});

t.test('a change to and fro is three versions', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 0 });
  rig.objects.put('a', 'one');
  const first = await rig.open('a');
  rig.objects.put('a', 'two');
  const second = await rig.open('a');
  rig.objects.put('a', 'one');
  const third = await rig.open('a');
  await t.rejects(rig.read(first), STALE);
  await t.rejects(rig.read(second), STALE);
  t.equal(await rig.read(third), 'one');
});

t.test('failures of a read: released, aborted, closed, denied', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('a', 'bytes');
  rig.content.beforeRead = () => new Promise(() => {});
  const handle = await rig.open('a');
  const released = t.rejects(rig.read(handle), { code: 'interrupted' });
  rig.filesystem.release(handle);
  await released;

  const abort = new AbortController();
  const other = await rig.open('a');
  const request = { handle: other, offset: 0, target: Buffer.alloc(5), signal: abort.signal };
  const aborted = t.rejects(rig.filesystem.read(request), { code: 'interrupted' });
  abort.abort();
  await aborted;

  for (const content of rig.content.contentsOpen) {
    content.read = () => Promise.reject(new ContentError('no_space', 'the disk is full'));
  }
  await t.rejects(rig.read(other), { code: 'no_space', message: 'the disk is full' });

  rig.filesystem.close();
  t.equal(rig.content.contentsOpen.size, 0);
  t.equal(rig.filesystem.stats().handles, 0);
  await t.rejects(rig.read(other), { code: 'interrupted' });
});
