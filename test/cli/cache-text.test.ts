import t from 'tap';
import type { CachedObject, CacheStats } from '../../src/cache/cached-object.js';
import { copyDocument, listLines, statsDocument, statsLines } from '../../src/cli/cache-text.js';

const MIB = 1024 ** 2;

function copy(key: string, changes: Partial<CachedObject> = {}): CachedObject {
  const version = { endpoint: 'http://s3', bucket: 'b', key, etag: '"1"', size: 10 * MIB };
  return {
    id: 1,
    version,
    state: 'complete',
    bytes: 10 * MIB,
    pinned: false,
    openCount: 0,
    useCount: 3,
    usedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    verdict: 'matches',
    checksum: 'crc32c:00000000',
    ...changes,
  };
}

const STATS: CacheStats = {
  directory: '/c',
  copies: 3,
  complete: 2,
  pinned: 1,
  open: 1,
  bytes: 30 * MIB,
  pinnedBytes: 10 * MIB,
  bytesMax: 2 ** 53 - 1,
  freeBytes: 1024 * MIB,
  freeBytesMin: 0,
};

t.test('copies are listed in columns', async (t) => {
  const filling = { state: 'filling', bytes: 512, useCount: 0, usedAtMs: undefined } as const;
  t.strictSame(listLines([copy('a/1', { pinned: true, openCount: 2 }), copy('new', filling)]), [
    '    size   on disk  state     pin     open  uses  last use           object',
    '10.0 MiB  10.0 MiB  complete  pinned  2     3     2026-01-02 03:04Z  s3://b/a/1',
    '10.0 MiB     512 B  filling   -       -     0     never              s3://b/new',
  ]);
  t.strictSame(listLines([]), ['No copies.']);
});

t.test('a key cannot play tricks with the terminal', async (t) => {
  t.match(listLines([copy('\u001b[31mred\n')])[1], String.raw`s3://b/\x1b[31mred\x0a`);
});

t.test('programs get every field, and null where there is nothing', async (t) => {
  t.strictSame(copyDocument(copy('a', { usedAtMs: undefined, checksum: undefined })), {
    endpoint: 'http://s3',
    bucket: 'b',
    key: 'a',
    etag: '"1"',
    versionId: null,
    size: 10 * MIB,
    bytes: 10 * MIB,
    state: 'complete',
    pinned: false,
    openCount: 0,
    useCount: 3,
    usedAt: null,
    verdict: 'matches',
    checksum: null,
  });
});

t.test('the sum of it, and who uses it', async (t) => {
  const users = [{ pid: 7, mountpoint: '/mnt/m', bytesMax: 64 * MIB }];
  t.strictSame(statsLines(STATS, users), [
    'Cache in /c',
    '  copies  3, of which 2 complete, 1 pinned, 1 open',
    '  bytes   30.0 MiB, of which 10.0 MiB pinned',
    '  disk    1.00 GiB free',
    '  user    /mnt/m (pid 7), at most 64.0 MiB',
  ]);
  t.match(statsDocument(STATS, users), { schema: 1, directory: '/c', bytes: 30 * MIB, users });
  t.notOk('bytesMax' in statsDocument(STATS, users), 'it is for those who fill the cache to say');
});
