import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Test } from 'tap';
import { Database } from '../../src/cache/index/database.js';
import { BLOCK_BYTES } from '../../src/runtime/block-checksums.js';
import { AnsweringChild } from '../support/child-process.js';
import type { ChildAnswer, ChildCommand } from './cache-child.js';
import { bring, contentOf, fill, firstLie, flip, openCache, version } from './cache-rig.js';

const a = version('a');
const script = fileURLToPath(new URL('cache-child.js', import.meta.url));

async function startChild(t: Test, directory: string): Promise<AnsweringChild<ChildCommand, ChildAnswer>> {
  const child = new AnsweringChild<ChildCommand, ChildAnswer>(script, []);
  t.teardown(() => child.kill('SIGKILL'));
  t.same(await child.ask({ do: 'open', directory }), {});
  return child;
}

t.test('one fills, the other follows, and sees what arrives', async (t) => {
  const directory = t.testdir({});
  const [filler, reader] = [await openCache(directory), await openCache(directory)];
  const owner = filler.acquire(a);
  const follower = reader.acquire(a);
  t.match(follower, { role: 'follower', ownerId: filler.ownerId, exists: true });
  t.equal(follower.path, owner.path);
  bring(owner, a, BLOCK_BYTES, 2 * BLOCK_BYTES);
  t.ok(follower.memory.availability.has({ start: BLOCK_BYTES, end: 2 * BLOCK_BYTES }));
  t.type(follower.memory.checksums.crc32c(1), 'number');
  t.equal(firstLie(follower, a), undefined);
  t.equal(follower.takeOver(), 'follower', 'while the owner lives');
  fill(owner, a);
  t.equal(follower.path, owner.path, 'renamed by the other');
  t.equal(follower.takeOver(), 'complete');
  t.equal(follower.role, 'owner');
  owner.release();
  t.same(reader.evict({}), [], 'one has it open');
  follower.release();
  t.equal(reader.acquire(a).trust, 'complete');
  filler.close();
  reader.close();
});

t.test('a follower takes over from an owner that left, and believes what is there', async (t) => {
  const directory = t.testdir({});
  const [filler, reader] = [await openCache(directory), await openCache(directory)];
  const owner = filler.acquire(a);
  bring(owner, a, 0, BLOCK_BYTES);
  const follower = reader.acquire(a);
  filler.close();
  t.equal(follower.takeOver(), 'owner');
  t.equal(follower.role, 'owner');
  t.ok(follower.reservedBytes >= BLOCK_BYTES);
  t.equal(follower.memory.availability.contiguousBytes, BLOCK_BYTES);
  t.equal(follower.takeOver(), 'gone', 'there is nobody to follow');
  fill(follower, a);
  reader.close();
  const later = await openCache(directory);
  t.equal(later.acquire(a).trust, 'complete');
  later.close();
});

t.test('whole files that the index was not told of are found by who takes them over', async (t) => {
  const directory = t.testdir({});
  const [filler, reader] = [await openCache(directory), await openCache(directory)];
  const owner = filler.acquire(a);
  const follower = reader.acquire(a);
  bring(owner, a, 0, a.size);
  const database = new Database(join(directory, 'index.sqlite'));
  database.exec('ALTER TABLE copies RENAME TO elsewhere');
  owner.filled('matches');
  filler.close();
  database.exec('ALTER TABLE elsewhere RENAME TO copies');
  database.close();
  t.equal(follower.takeOver(), 'owner');
  t.equal(firstLie(follower, a), undefined, 'its bytes can be read');
  t.ok(follower.memory.availability.complete);
  follower.filled('matches');
  follower.release();
  t.equal(reader.acquire(a).trust, 'complete');
  reader.close();
});

t.test(
  'a killed owner is replaced at once: by a follower, who believes, or by another, who does not',
  async (t) => {
    const directory = t.testdir({});
    const child = await startChild(t, directory);
    await child.ask({ do: 'bring', key: 'a', end: 2 * BLOCK_BYTES });
    await child.ask({ do: 'bring', key: 'b', end: 2 * BLOCK_BYTES });
    const cache = await openCache(directory);
    const follower = cache.acquire(a);
    t.equal(follower.role, 'follower');
    t.equal(follower.takeOver(), 'follower');
    child.kill('SIGKILL');
    await child.exit;
    t.equal(follower.takeOver(), 'owner');
    t.equal(follower.memory.availability.contiguousBytes, 2 * BLOCK_BYTES);
    t.equal(firstLie(follower, a), undefined);
    const other = cache.acquire(version('b'));
    t.match(other, { role: 'owner', trust: 'unverified' });
    t.equal(other.memory.availability.arrivedBytes, 0);
    t.type(other.memory.checksums.crc32c(1), 'number');
    t.same(
      readdirSync(join(directory, 'owners')).filter((name) => !name.startsWith(cache.ownerId)),
      [],
    );
    cache.close();
  },
);

t.test('while a follower has it open, whoever comes next believes what is there', async (t) => {
  const directory = t.testdir({});
  const child = await startChild(t, directory);
  await child.ask({ do: 'bring', key: 'a', end: BLOCK_BYTES });
  await child.ask({ do: 'acquire', key: 'b' });
  const [reader, newcomer] = [await openCache(directory), await openCache(directory)];
  const follower = reader.acquire(a);
  const followerOfNothing = reader.acquire(version('b'));
  child.kill('SIGKILL');
  await child.exit;
  const claimed = newcomer.acquire(a);
  t.match(claimed, { role: 'owner', trust: 'partial' });
  t.equal(claimed.memory.availability.contiguousBytes, BLOCK_BYTES);
  t.equal(follower.takeOver(), 'follower');
  t.equal(follower.ownerId, newcomer.ownerId);
  const begun = newcomer.acquire(version('b'));
  t.match(begun, { role: 'owner', trust: 'partial', exists: true });
  bring(begun, version('b'), 0, BLOCK_BYTES);
  t.equal(followerOfNothing.memory.availability.contiguousBytes, BLOCK_BYTES, 'it is the same map');
  t.equal(firstLie(followerOfNothing, version('b')), undefined);
  reader.close();
  newcomer.close();
});

t.test('a complete file that was changed while another reads it is left to that one', async (t) => {
  const directory = t.testdir({});
  const [reader, newcomer] = [await openCache(directory), await openCache(directory)];
  const old = reader.acquire(a);
  fill(old, a);
  flip(old.path, 17);
  const fresh = newcomer.acquire(a);
  t.match(fresh, { role: 'owner', trust: 'fresh' });
  t.not(fresh.path, old.path);
  t.ok(existsSync(old.path));
  old.release();
  t.notOk(existsSync(old.path), 'deleted by who was the last to read it');
  fill(fresh, a);
  t.same(readFileSync(fresh.path), Buffer.from(contentOf(a, 0, a.size)));
  reader.close();
  newcomer.close();
});

t.test('an owner that leaves without a byte leaves the copy to those that follow it', async (t) => {
  const directory = t.testdir({});
  const [filler, reader, third] = [
    await openCache(directory),
    await openCache(directory),
    await openCache(directory),
  ];
  const owner = filler.acquire(a);
  t.ok(owner.reserve(BLOCK_BYTES));
  const [follower, idler] = [reader.acquire(a), third.acquire(a)];
  owner.release();
  t.equal(filler.stats().bytes, 0, 'nothing is counted for it');
  t.equal(follower.takeOver(), 'owner');
  t.equal(idler.takeOver(), 'follower');
  fill(follower, a);
  follower.release();
  t.equal(idler.takeOver(), 'complete');
  idler.release();
  t.equal(filler.acquire(a).trust, 'complete');
  for (const cache of [filler, reader, third]) cache.close();
});

t.test('a copy without a byte goes with the last one that has it open, whoever that is', async (t) => {
  const directory = t.testdir({});
  const [filler, reader] = [await openCache(directory), await openCache(directory)];
  filler.pin(version('pinned'));
  for (const object of [a, version('pinned')]) {
    const owner = filler.acquire(object);
    const follower = reader.acquire(object);
    owner.release();
    follower.release();
  }
  t.match(reader.list(), [{ version: { key: 'pinned' }, pinned: true, useCount: 0 }]);
  t.equal(reader.list().length, 1);
  t.same(
    readdirSync(join(directory, 'data'), { recursive: true }).filter((name) => String(name).includes('/')),
    [],
  );
  filler.close();
  reader.close();
});

t.test('a copy that one condemns goes when the last one has closed it', async (t) => {
  const directory = t.testdir({});
  const [filler, reader] = [await openCache(directory), await openCache(directory)];
  const owner = filler.acquire(a);
  bring(owner, a, 0, BLOCK_BYTES);
  const follower = reader.acquire(a);
  follower.condemn();
  owner.filled('matches');
  t.equal(owner.role, 'private', 'it was not his to complete any more');
  t.same(reader.list(), []);
  owner.release();
  t.ok(existsSync(follower.path));
  const { path } = follower;
  follower.release();
  t.notOk(existsSync(path));
  t.equal(reader.stats().bytes, 0);
  filler.close();
  reader.close();
});

t.test('a detached copy is alone once the last other one has closed it, and stays so', async (t) => {
  const directory = t.testdir({});
  const [filler, reader] = [await openCache(directory), await openCache(directory)];
  const owner = filler.acquire(a);
  bring(owner, a, 0, BLOCK_BYTES);
  t.notOk(owner.isAlone(), 'others may come at any moment');
  const follower = reader.acquire(a);
  owner.detach();
  t.notOk(owner.isAlone(), 'another has it open');
  follower.release();
  t.ok(owner.isAlone());
  const next = reader.acquire(a);
  t.not(next.path, owner.path, 'who comes later gets another');
  t.ok(owner.isAlone());
  filler.close();
  reader.close();
});

t.test('what a killed daemon had open may be evicted, and what it was evicting goes', async (t) => {
  const directory = t.testdir({});
  const child = await startChild(t, directory);
  await child.ask({ do: 'fill', key: 'a' });
  await child.ask({ do: 'fill', key: 'b' });
  const cache = await openCache(directory);
  const copy = cache.acquire(version('b'));
  t.same(cache.evict({}), [], 'both are open');
  copy.condemn();
  copy.release();
  t.ok(existsSync(copy.path), 'the other reads it');
  child.kill('SIGKILL');
  await child.exit;
  t.equal(cache.evict({}).length, 1);
  t.notOk(existsSync(copy.path));
  t.equal(cache.stats().bytes, 0);
  t.same(
    readdirSync(join(directory, 'data'), { recursive: true }).filter((name) => String(name).includes('/')),
    [],
  );
  cache.close();
});
