import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { PrivateCopies } from '../../src/cache/private-copy.js';
import { silentLogger } from '../../src/observability/logger.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';

const version: ObjectVersion = { endpoint: 'e', bucket: 'b', key: 'k', etag: '"1"', size: 10_000 };

t.test('each copy is fresh, and gone when it is released', async (t) => {
  const folder = t.testdir({});
  const copies = new PrivateCopies(folder, silentLogger);
  const first = copies.acquire(version);
  const second = copies.acquire(version);
  t.not(first.path, second.path);
  t.match(first, { role: 'private', trust: 'fresh', exists: false, verdict: 'unknown', reservedBytes: 0 });
  t.ok(first.reserve(5000));
  t.equal(first.reservedBytes, 5000);
  writeFileSync(first.path, 'bytes');
  first.memory.availability.publish({ start: 0, end: 4096 });
  first.filled('matches');
  t.equal(first.verdict, 'matches');
  first.release();
  first.release();
  t.notOk(existsSync(first.path));
  t.equal(copies.acquire(version).memory.availability.arrivedBytes, 0, 'nothing is remembered');
  t.equal(second.takeOver(), 'gone');
});

t.test('close releases what is open, and what nobody wrote is no trouble', async (t) => {
  const folder = t.testdir({});
  const copies = new PrivateCopies(folder, silentLogger);
  writeFileSync(copies.acquire(version).path, 'bytes');
  copies.acquire(version);
  copies.close();
  copies.close();
  t.same(readdirSync(folder), []);
});

t.test('threads get the memory itself', async (t) => {
  const copy = new PrivateCopies(t.testdir({}), silentLogger).acquire(version);
  const shared = copy.memory.shared();
  t.equal(shared.kind === 'shared' && shared.availability, copy.memory.availability.memory.buffer);
});
