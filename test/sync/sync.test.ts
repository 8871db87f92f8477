import { mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { BUCKET, contentOf, leftIn, MIB, ofKind, pattern, useSyncWorld } from './sync-rig.js';

const MODIFIED_MS = Date.UTC(2024, 1, 3, 4, 5, 6);

t.test('a prefix becomes a directory, with contents, times and empty files', async (t) => {
  const world = await useSyncWorld(t);
  const large = pattern(5 * MIB + 123, 1);
  await world.server.putObject(BUCKET, 'm/large.bin', large, {
    lastModifiedMs: MODIFIED_MS,
    checksumAlgorithm: 'CRC64NVME',
  });
  await world.put('m/deep/er/small.txt', 'small', 'CRC32C');
  await world.put('m/plain', 'no checksum', null);
  await world.put('m/empty', '');
  await world.put('m/folder/', '');
  await world.put('other', 'not below the prefix');
  const { summary, events } = await world.sync({ prefix: 'm/' });
  t.strictSame(contentOf(world.dir), {
    'deep/er/small.txt': 'small',
    empty: '',
    'large.bin': large.toString('latin1'),
    plain: 'no checksum',
  });
  t.ok(statSync(world.path('folder')).isDirectory());
  t.equal(statSync(world.path('large.bin')).mtimeMs, MODIFIED_MS);
  t.equal(statSync(world.path('plain')).mode & 0o777, 0o666 & ~process.umask());
  t.match(summary, {
    succeeded: 4,
    skipped: 0,
    retried: 0,
    failed: 0,
    deleted: 0,
    refused: 0,
    stopped: false,
  });
  t.equal(summary.bytes, large.length + 'small'.length + 'no checksum'.length);
  t.equal(summary.bytesFetched, summary.bytes);
  t.strictSame(Object.fromEntries(ofKind(events, 'fetched').map(({ name, checksum }) => [name, checksum])), {
    'deep/er/small.txt': 'matches',
    empty: 'none',
    'large.bin': 'matches',
    plain: 'none',
  });
  t.strictSame(leftIn(world.dir), [], 'nothing but the state is left');
});

t.test('all connections have a part of a large object', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('large', pattern(24 * MIB, 1));
  // Of eight connections two are for listings and HEADs.
  await world.sync({ connectionsMax: 8, partBytesMax: 16 * MIB });
  const parts = world.server.counters.gets(BUCKET, 'large').map(({ start, end }) => (end - start) / MIB);
  t.strictSame(parts, [4, 4, 4, 4, 4, 4]);
});

t.test('what is good is skipped without a request for it', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a', 'a');
  await world.put('b', 'bb', null);
  await world.sync();
  world.server.counters.reset();
  const { summary, events } = await world.sync();
  t.match(summary, { succeeded: 0, skipped: 2, bytesFetched: 0 });
  t.strictSame(
    ofKind(events, 'skipped').map(({ reason }) => reason),
    ['stamp', 'stamp'],
  );
  t.equal(world.server.counters.operation('HeadObject').requests, 0);
  t.equal(world.server.counters.operation('GetObject').requests, 0);
});

t.test(
  'a file that was touched is compared by checksum, and fetched again only when it differs',
  async (t) => {
    const world = await useSyncWorld(t);
    const body = pattern(3 * MIB, 2);
    for (const key of ['same', 'wrong', 'cut']) await world.put(key, body);
    await world.put('unknown', 'no checksum', null);
    await world.sync();
    for (const name of ['same', 'unknown']) utimesSync(world.path(name), 1, 1);
    writeFileSync(world.path('wrong'), Buffer.concat([body.subarray(0, -1), Buffer.from([0x55])]));
    writeFileSync(world.path('cut'), body.subarray(1));
    world.server.counters.reset();
    const { summary, events } = await world.sync();
    t.match(summary, { succeeded: 3, skipped: 1 });
    t.strictSame(ofKind(events, 'skipped'), [{ event: 'skipped', name: 'same', reason: 'checksum' }]);
    t.equal(world.sent('same'), 0);
    for (const name of ['same', 'wrong', 'cut']) t.ok(readFileSync(world.path(name)).equals(body), name);
    t.match((await world.sync()).summary, { succeeded: 0, skipped: 4 });
  },
);

t.test('without a state, files that are there already are adopted by their checksum', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('there', 'by other means');
  await world.put('other', 'same length');
  mkdirSync(world.dir);
  writeFileSync(world.path('there'), 'by other means');
  writeFileSync(world.path('other'), 'xame length');
  const { summary, events } = await world.sync();
  t.match(summary, { succeeded: 1, skipped: 1 });
  t.strictSame(ofKind(events, 'skipped'), [{ event: 'skipped', name: 'there', reason: 'checksum' }]);
  t.strictSame(contentOf(world.dir), { other: 'same length', there: 'by other means' });
});

t.test(
  'check by checksum reads what is there: a byte that changed under the same stamp is found',
  async (t) => {
    const world = await useSyncWorld(t);
    const body = pattern(2 * MIB, 3);
    await world.put('with', body);
    await world.put('without', body, null);
    await world.sync();
    for (const name of ['with', 'without']) {
      const before = statSync(world.path(name), { bigint: true });
      const bytes = Buffer.from(body);
      bytes[MIB] = bytes[MIB]! ^ 1;
      writeFileSync(world.path(name), bytes);
      utimesSync(world.path(name), Number(before.mtimeMs) / 1000, Number(before.mtimeMs) / 1000);
    }
    t.match((await world.sync()).summary, { succeeded: 0, skipped: 2 }, 'stamps cannot tell');
    t.match((await world.sync({ check: 'checksum' })).summary, { succeeded: 2, skipped: 0 });
    t.ok(readFileSync(world.path('with')).equals(body));
    t.ok(readFileSync(world.path('without')).equals(body), 'by the CRC32C of when it was fetched');
    const again = await world.sync({ check: 'checksum' });
    t.strictSame(
      ofKind(again.events, 'skipped').map(({ reason }) => reason),
      ['checksum', 'checksum'],
    );
  },
);

t.test('an object that was replaced since is replaced, and readers of the old file keep it', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a', 'old');
  await world.sync();
  const before = statSync(world.path('a')).ino;
  await world.put('a', 'new');
  t.match((await world.sync()).summary, { succeeded: 1, skipped: 0 });
  t.equal(readFileSync(world.path('a'), 'utf8'), 'new');
  t.not(statSync(world.path('a')).ino, before, 'another file under the same name');
});

t.test('a dry run says what would be done, and does nothing', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a', 'a');
  await world.put('b', 'bb');
  const first = await world.sync({ dryRun: true });
  t.match(first.summary, { succeeded: 2, bytes: 3, bytesFetched: 0, dryRun: true });
  t.throws(() => statSync(world.dir), { code: 'ENOENT' });
  await world.sync();
  writeFileSync(world.path('stray'), '');
  await world.put('c', 'ccc');
  const { summary, events } = await world.sync({ dryRun: true, deletes: 'strays' });
  t.match(summary, { succeeded: 1, skipped: 2, deleted: 1, bytesFetched: 0 });
  t.strictSame(ofKind(events, 'would-fetch'), [{ event: 'would-fetch', name: 'c', bytes: 3 }]);
  t.strictSame(ofKind(events, 'would-delete'), [{ event: 'would-delete', name: 'stray' }]);
  t.strictSame(Object.keys(contentOf(world.dir)), ['a', 'b', 'stray']);
});
