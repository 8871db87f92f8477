/** Listings: paging, change while paging, hidden keys, memory. */
import fc from 'fast-check';
import t from 'tap';
import { createLogger } from '../../src/observability/logger.js';
import { FilesystemRig, TTL_MS } from './filesystem-rig.js';

const LETTERS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];

t.test('files and directories in byte order, page by page', async (t) => {
  const rig = new FilesystemRig({ prefix: 'p/' });
  const names = Array.from({ length: 2500 }, (_, at) => `n${String(at).padStart(4, '0')}`);
  for (const name of names) rig.objects.put(`p/${name}`, name);
  rig.objects.put('p/n0000-', 'sorts between n0000 and n0000/');
  rig.objects.put('p/zz/deep/er', 'x');
  rig.objects.put('q', 'outside');
  t.same(await rig.names(), ['n0000', 'n0000-', ...names.slice(1), 'zz']);
  t.same(rig.takeRequests(), ['list p/', 'list p/', 'list p/']);
  t.equal(rig.filesystem.stats().directoriesListed, 1);
});

t.test('who lists while a listing is under way shares it', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('a', 'x');
  t.same(await Promise.all([rig.names(), rig.names(), rig.names()]), [['a'], ['a'], ['a']]);
  t.same(rig.takeRequests(), ['list ']);
});

t.test('a listing that fails is an error for all who wait, and forgotten', async (t) => {
  const rig = new FilesystemRig();
  const error = new Error('bug');
  rig.fault = () => ({ error });
  await Promise.all([t.rejects(rig.names(), error), t.rejects(rig.names(), error)]);
  rig.fault = () => undefined;
  t.same(await rig.names(), []);
});

t.test(
  'every key that is there throughout is listed once, whatever else changes between pages',
  async (t) => {
    const key = fc.constantFrom(...LETTERS).chain((letter) => fc.nat(249).map((at) => `${letter}${at}`));
    const change = fc.record({
      put: fc.boolean(),
      key: fc.oneof(
        key,
        key.map((text) => `${text}/x`),
      ),
    });
    const property = fc.asyncProperty(fc.array(fc.array(change, { maxLength: 50 })), async (changes) => {
      const rig = new FilesystemRig();
      const stays = new Set<string>();
      for (const letter of LETTERS) {
        for (let at = 0; at < 250; at++) {
          rig.objects.put(`${letter}${at}`, 'x');
          stays.add(`${letter}${at}`);
        }
      }
      const touched = new Set(changes.flat().map((each) => each.key.split('/')[0]));
      rig.fault = () => {
        for (const { put, key } of changes.shift() ?? []) {
          if (put) rig.objects.put(key, 'y');
          else rig.objects.delete(key);
        }
        return undefined;
      };
      const names = await rig.names();
      const seen = new Set(names);
      if (seen.size !== names.length) throw new Error('a name came twice');
      for (const name of stays)
        if (!touched.has(name) && !seen.has(name)) throw new Error(`${name} is missing`);
      for (const name of names)
        if (!stays.has(name) && !touched.has(name)) throw new Error(`${name} is invented`);
    });
    await fc.assert(property, { numRuns: 10 });
    t.pass('for all changes');
  },
);

t.test('a continuation that repeats ends the listing with an error', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.list = async () => ({ objects: [], prefixes: [], continuation: 'again' });
  await t.rejects(rig.names(), { code: 'unreachable', message: /does not end/ });
});

t.test('a directory beyond the limit fails instead of filling the memory', async (t) => {
  const rig = new FilesystemRig({ limits: { directoryEntriesMax: 10 } });
  for (let at = 0; at < 11; at++) rig.objects.put(`k${at}`, 'x');
  await t.rejects(rig.names(), { code: 'unreachable', message: /over 10 entries/ });
});

t.test('an empty directory exists by its marker alone', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('d/', '');
  t.same(await rig.names('d'), []);
  const { node } = await rig.find('d');
  rig.objects.delete('d/');
  rig.clock.advance(TTL_MS);
  await t.rejects(rig.filesystem.readDirectory(node), { code: 'not_found' });
  t.same(await rig.names(), [], 'the root exists always');
});

t.test('a new listing takes away what is gone and shows what was replaced', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('a', 'x');
  rig.objects.put('b', 'x');
  await rig.names();
  const before = await rig.find('a');
  rig.objects.put('a', 'other');
  rig.objects.delete('b');
  rig.clock.advance(TTL_MS);
  t.same(await rig.names(), ['a']);
  const after = await rig.find('a');
  t.not(after.node, before.node);
  t.equal(after.attributes.inode, before.attributes.inode, 'one inode number for the path');
  t.equal(rig.filesystem.getAttributes(before.node), undefined, 'nobody has the old version open');
  await t.rejects(rig.find('b'), { code: 'not_found' });
});

t.test('a lookup that finds another version is seen in the listing that is still fresh', async (t) => {
  const rig = new FilesystemRig();
  rig.objects.put('a', 'x');
  rig.objects.put('b', 'x');
  await rig.names();
  const handle = await rig.open('a');
  rig.objects.put('a', 'other');
  await t.rejects(rig.read(handle), { code: 'stale' });
  await rig.find('a');
  const [a] = await rig.filesystem.readDirectory(1);
  t.equal(a?.attributes.size, 5);
});

t.test('hidden keys are counted by the latest listing, and logged once for each reason', async (t) => {
  const lines: { key: string; reason: string }[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]);
  const rig = new FilesystemRig({}, createLogger('info', { write }));
  for (const key of ['/a', 'd//b', 'd/../c', 'd/./c', 'x', 'x/y', 'ok', '.fuse_hidden1']) {
    rig.objects.put(key, 'x');
  }
  t.same(await rig.names(), ['d', 'ok', 'x']);
  t.same(await rig.names('d'), []);
  t.equal(rig.filesystem.stats().keysHidden, 6);
  t.same(
    new Map(lines.map(({ key, reason }) => [reason, key])),
    new Map([
      ['empty_part', '/'],
      ['reserved', '.fuse_hidden1'],
      ['dot_part', 'd/../'],
      ['shadowed', 'x'],
    ]),
  );
  rig.objects.delete('x');
  rig.clock.advance(TTL_MS);
  await rig.names();
  t.equal(rig.filesystem.stats().keysHidden, 5);
  t.equal(lines.length, 4);
  await t.rejects(rig.find('d/..'), { code: 'not_found' });
});

t.test('cached listings are bounded: larger ones are given out and dropped', async (t) => {
  const rig = new FilesystemRig({ limits: { cachedEntriesMax: 10, unpinnedNodesMax: 5 } });
  for (let at = 0; at < 20; at++) rig.objects.put(`large/${at}`, 'x');
  for (let at = 0; at < 8; at++) rig.objects.put(`small/${at}`, 'x');
  t.equal((await rig.names('large')).length, 20);
  t.equal((await rig.names('small')).length, 8);
  t.ok(rig.filesystem.stats().nodes <= 1 + 8 + 5, 'root, cached listing, unpinned ones');
  rig.takeRequests();
  await rig.names('small');
  t.same(rig.takeRequests(), []);
  rig.filesystem.close();
  t.ok(rig.filesystem.stats().nodes <= 1 + 5, 'nothing is pinned any more');
});
