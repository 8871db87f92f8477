import { lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { planNames } from '../../src/sync/names.js';
import type { NameRules } from '../../src/sync/names.js';
import { contentOf, ofKind, useSyncWorld } from './sync-rig.js';

function plan(keys: readonly string[], rules: Partial<NameRules> = {}) {
  const info = { size: 1, etag: '"e"', lastModifiedMs: 0, archived: false };
  const objects = keys.map((key) => ({ ...info, key, size: key.endsWith('/') ? 0 : 1 }));
  const { files, markers, refused } = planNames(objects, {
    prefix: '',
    platform: 'linux',
    isWanted: () => true,
    ...rules,
  });
  return {
    files: files.map(({ name }) => name),
    markers,
    refused: Object.fromEntries(refused.map(({ key, reason }) => [key, reason])),
  };
}

t.test('keys become names relative to the prefix', async (t) => {
  t.strictSame(plan(['p/', 'p/a', 'p/b/', 'p/b/c'], { prefix: 'p/' }), {
    files: ['a', 'b/c'],
    markers: ['b'],
    refused: {},
  });
});

t.test('keys that cannot be files, or would lead elsewhere, are refused', async (t) => {
  const long = 'x'.repeat(256);
  const hostile = {
    '../up': 'a part of the key is "." or ".."',
    'a/../../up': 'a part of the key is "." or ".."',
    './here': 'a part of the key is "." or ".."',
    '/etc/passwd': 'a part of the key is empty',
    'a//b': 'a part of the key is empty',
    [long]: 'a part of the key is longer than 255 bytes',
    'nul\0': 'the key contains a NUL character',
    '.sluice-sync/state': 'the name is reserved for Sluice',
    '.Sluice-Sync/state': 'the name is reserved for Sluice',
  };
  t.strictSame(plan([...Object.keys(hostile), 'good']), { files: ['good'], markers: [], refused: hostile });
});

t.test('of a key that is a file and a directory the directory counts', async (t) => {
  const reason = 'there is a directory of the same name';
  t.strictSame(plan(['x', 'x-1', 'x/y']), { files: ['x-1', 'x/y'], markers: [], refused: { x: reason } });
  t.strictSame(plan(['x', 'x/']), { files: [], markers: ['x'], refused: { x: reason } });
  const marker = planNames([{ key: 'd/', size: 5, etag: '"e"', lastModifiedMs: 0, archived: false }], {
    prefix: '',
    platform: 'linux',
    isWanted: () => true,
  });
  t.match(marker, { files: [], refused: [{ key: 'd/', reason: 'it names a directory, but has content' }] });
});

t.test('where case does not count, the second of two names is refused', async (t) => {
  const keys = ['A', 'a', 'e\u0301', '\u00e9', 'dir/x', 'DIR'];
  t.strictSame(plan(keys).files, keys);
  const reason = 'the file system takes its name for that of another key';
  t.strictSame(plan(keys, { platform: 'darwin' }), {
    files: ['A', 'e\u0301', 'dir/x'],
    markers: [],
    refused: { a: reason, '\u00e9': reason, DIR: reason },
  });
});

t.test('what the user does not want is neither fetched nor mentioned', async (t) => {
  const isWanted = (name: string) => !name.endsWith('.bin');
  t.strictSame(plan(['a.bin', 'a.txt', '../b.bin', 'a.txt.bin/x'], { isWanted }), {
    files: ['a.txt', 'a.txt.bin/x'],
    markers: [],
    refused: {},
  });
});

t.test('hostile keys on a real server: the rest arrives, nothing lies outside', async (t) => {
  const world = await useSyncWorld(t);
  for (const key of ['../evil', '/abs', 'a//b', 'x', 'x/y', 'new\nline', 'déjà/vu', ' space ']) {
    await world.put(key, key);
  }
  const { summary, events } = await world.sync();
  t.match(summary, { succeeded: 4, refused: 4, failed: 0 });
  t.strictSame(
    ofKind(events, 'refused')
      .map(({ key }) => key)
      .toSorted(),
    ['../evil', '/abs', 'a//b', 'x'],
  );
  t.strictSame(Object.keys(contentOf(world.dir)), [' space ', 'déjà/vu', 'new\nline', 'x/y']);
  t.throws(() => lstatSync(join(world.scratch, 'evil')), { code: 'ENOENT' });
});

t.test('symbolic links are never followed, and what is in the way is named', async (t) => {
  const world = await useSyncWorld(t);
  const outside = join(world.scratch, 'outside');
  mkdirSync(outside);
  mkdirSync(world.dir);
  writeFileSync(join(outside, 'file'), 'mine');
  symlinkSync(outside, world.path('linked'));
  symlinkSync(join(outside, 'file'), world.path('link'));
  mkdirSync(world.path('directory'));
  writeFileSync(world.path('file'), 'in the way');
  for (const key of ['linked/file', 'linked/new', 'link', 'directory', 'file/below', 'fine'])
    await world.put(key, key);
  const { summary, events } = await world.sync();
  t.match(summary, { succeeded: 2, failed: 4 });
  t.strictSame(
    Object.fromEntries(
      ofKind(events, 'failed').map(({ name, code, message }) => [
        name,
        `${code}: ${message.replace(world.dir, '')}`,
      ]),
    ),
    {
      'linked/file': 'blocked: /linked is a symbolic link, which is not followed: remove it',
      'linked/new': 'blocked: /linked is a symbolic link, which is not followed: remove it',
      directory: 'blocked: /directory is a directory, where a file is to be: remove it',
      'file/below': 'blocked: /file is a file, where a directory is to be: remove it',
    },
  );
  t.strictSame(contentOf(outside), { file: 'mine' });
  t.notOk(lstatSync(world.path('link')).isSymbolicLink(), 'a link at the name of a file is replaced');
  t.equal(readFileSync(world.path('link'), 'utf8'), 'link');
  t.equal(readFileSync(world.path('fine'), 'utf8'), 'fine');
});

t.test('Sluice’s own folder is no symbolic link either', async (t) => {
  const world = await useSyncWorld(t);
  mkdirSync(world.dir);
  mkdirSync(join(world.scratch, 'outside'));
  symlinkSync(join(world.scratch, 'outside'), world.path('.sluice-sync'));
  await t.rejects(world.sync(), { name: 'SyncFolderError', message: /is not a directory/ });
});
