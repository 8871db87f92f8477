import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BUCKET, contentOf, ofKind, useSyncWorld } from './sync-rig.js';

t.test('what the bucket does not have is deleted only when that is wanted', async (t) => {
  const world = await useSyncWorld(t);
  for (const key of ['a', 'old/b', 'old/deep/c', 'kept/']) await world.put(key, '');
  await world.sync();
  for (const key of ['old/b', 'old/deep/c']) await world.server.deleteObject(BUCKET, key);
  mkdirSync(world.path('mine'));
  writeFileSync(world.path('mine/stray'), '');
  mkdirSync(world.path('empty'));
  t.match((await world.sync()).summary, { deleted: 0 });
  t.strictSame(Object.keys(contentOf(world.dir)), ['a', 'mine/stray', 'old/b', 'old/deep/c']);
  const { summary, events } = await world.sync({ deletes: 'strays' });
  t.match(summary, { deleted: 3, failed: 0 });
  t.strictSame(
    ofKind(events, 'deleted')
      .map(({ name }) => name)
      .toSorted(),
    ['mine/stray', 'old/b', 'old/deep/c'],
  );
  t.strictSame(Object.keys(contentOf(world.dir)), ['a']);
  t.notOk(existsSync(world.path('old')), 'directories that this left empty are gone');
  t.notOk(existsSync(world.path('mine')));
  t.ok(existsSync(world.path('empty')), 'one that was empty before is not');
  t.ok(existsSync(world.path('kept')), 'nor one that the bucket has');
  t.ok(existsSync(world.path('.sluice-sync/state')));
});

t.test('a deleted file that comes back is fetched again', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a', 'a');
  await world.put('b', 'b');
  await world.sync();
  await world.server.deleteObject(BUCKET, 'b');
  await world.sync({ deletes: 'strays' });
  await world.put('b', 'b');
  t.match((await world.sync()).summary, { succeeded: 1, skipped: 1 });
  t.equal(readFileSync(world.path('b'), 'utf8'), 'b');
});

t.test('links are deleted themselves, never what they lead to', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a', 'a');
  await world.sync();
  const outside = join(world.scratch, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'file'), 'mine');
  symlinkSync(outside, world.path('directory'));
  symlinkSync(join(outside, 'file'), world.path('file'));
  t.match((await world.sync({ deletes: 'strays' })).summary, { deleted: 2 });
  t.strictSame(contentOf(outside), { file: 'mine' });
  t.strictSame(Object.keys(contentOf(world.dir)), ['a']);
});

t.test('an empty listing deletes nothing, unless that is wanted twice', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a', 'a');
  await world.sync();
  await world.server.deleteObject(BUCKET, 'a');
  const refused = await world.sync({ deletes: 'strays' });
  t.match(refused.summary, { deleted: 0 });
  t.match(ofKind(refused.events, 'not-deleted'), [{ reason: /shows nothing/ }]);
  t.strictSame(Object.keys(contentOf(world.dir)), ['a']);
  t.match((await world.sync({ deletes: 'even all' })).summary, { deleted: 1 });
  t.strictSame(contentOf(world.dir), {});
});

t.test('nothing is deleted when a file could not be brought', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a', 'a');
  await world.sync();
  writeFileSync(world.path('stray'), '');
  await world.put('b', 'b');
  world.server.faults.add({ operation: 'GetObject', key: 'b', fault: { kind: 'access-denied' } });
  const { summary, events } = await world.sync({ deletes: 'strays' });
  t.match(summary, { failed: 1, deleted: 0 });
  t.match(ofKind(events, 'not-deleted'), [{ reason: 'not every file could be brought' }]);
  t.ok(existsSync(world.path('stray')));
});

t.test('what the patterns leave out is left alone', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a.txt', 'a');
  await world.put('a.bin', 'a');
  const isWanted = (name: string) => name.endsWith('.txt');
  await world.sync({ isWanted });
  writeFileSync(world.path('mine.bin'), '');
  writeFileSync(world.path('old.txt'), '');
  t.match((await world.sync({ isWanted, deletes: 'strays' })).summary, { deleted: 1 });
  t.strictSame(Object.keys(contentOf(world.dir)), ['a.txt', 'mine.bin']);
});
