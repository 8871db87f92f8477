import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import fc from 'fast-check';
import t from 'tap';
import {
  CacheIndex,
  checkIndex,
  isDamagedIndex,
  setAsideIndex,
} from '../../../src/cache/index/cache-index.js';
import { copyRow } from '../../../src/cache/index/copy-row.js';
import { Database } from '../../../src/cache/index/database.js';
import { NewerSchemaError, SCHEMA_VERSION } from '../../../src/cache/index/schema.js';
import type { ObjectVersion } from '../../../src/object-store/object-store.js';
import { IndexModel } from './index-model.js';

const BYTES_MAX = 1000;

function version(number: number): ObjectVersion {
  return { endpoint: 'e', bucket: 'b', key: `k${number >> 1}`, etag: `"${number}"`, size: 100 };
}

function openIndex(folder: string, id: string, isAlive: (owner: string) => boolean = () => true): CacheIndex {
  const me = { id, pid: 1, started: '', shares: true };
  return new CacheIndex(join(folder, 'index.sqlite'), me, {
    isAlive: (owner) => isAlive(owner.id),
    wallTimeMs: () => 0,
  });
}

type Operation = readonly [name: string, owner: number, copy: number, bytes: number];

/** The real index and the model, side by side; each operation is done on both and must answer the same. */
class Pair {
  readonly model = new IndexModel();
  readonly indexes = new Map<string, CacheIndex>();
  readonly rows: Database;
  readonly #folder: string;
  #names = 0;
  #started = 0;

  constructor(folder: string) {
    this.#folder = folder;
    this.rows = new Database(join(folder, 'index.sqlite'));
  }

  start(): void {
    if (this.indexes.size === 3) return;
    this.#started += 1;
    const id = `o${String(this.#started).padStart(4, '0')}`;
    this.indexes.set(
      id,
      openIndex(this.#folder, id, (other) => this.model.alive.has(other)),
    );
    this.model.start(id);
  }

  do([operation, ownerNumber, copyNumber, bytes]: Operation): readonly [real: unknown, model: unknown] {
    const me = [...this.indexes.keys()][ownerNumber % this.indexes.size] ?? '';
    const index = this.indexes.get(me);
    const { model } = this;
    if (index === undefined) return this.#none(() => this.start());
    const { claims, evictions, catalogue } = index;
    const used = model.copies.filter(({ users }) => users.has(me));
    const id = used[copyNumber % used.length]?.id ?? 0;
    const any = model.copies[copyNumber % model.copies.length]?.id ?? 0;
    const left = bytes % 2 === 0 ? { stamp: `s${bytes}`, bytes: bytes % 4 === 0 ? 0 : bytes } : undefined;
    switch (operation) {
      case 'start':
        return this.#none(() => this.start());
      case 'kill':
        model.alive.delete(me);
        // The database of a killed process is just gone; the index is not told.
        this.indexes.delete(me);
        return [0, 0];
      case 'close':
        if (used.length > 0) return [0, 0];
        index.close();
        this.indexes.delete(me);
        model.alive.delete(me);
        return this.#none(() => model.bury(me, me));
      case 'acquire': {
        let claimed = '';
        const isWhole = bytes % 3 > 0;
        const got = claims.acquire(version(copyNumber), this.#name(), {
          isWhole: () => isWhole,
          claimed: (row, how) => (claimed = ` ${how} ${row.stamp}`),
        });
        const owner = got.kind === 'following' ? ` ${got.owner}` : '';
        return [got.kind + claimed + owner, model.acquire(me, copyNumber, isWhole)];
      }
      case 'takeOver': {
        const got = claims.takeOver(id);
        const expected = model.takeOver(me, id);
        return [got.kind === 'following' ? `following ${got.owner}` : got.kind, expected];
      }
      case 'charge':
        return [claims.charge(id, bytes, BYTES_MAX), model.charge(id, bytes, BYTES_MAX)];
      case 'complete': {
        const end = { stamp: 'c', bytes, verdict: 'none', checksum: undefined } as const;
        return [claims.complete(id, end), model.complete(me, id, 'c', bytes)];
      }
      case 'hide':
        return [claims.hide(version(copyNumber), this.#name()).state, model.hide(me, copyNumber)];
      case 'condemn':
        return [claims.condemn(id, this.#name()), model.condemn(me, id)];
      case 'release':
        return [claims.release(id, this.#name(), left), model.release(me, id, left)];
      case 'evict':
        return [evictions.begin(bytes).reduce((sum, each) => sum + each, 0), model.beginEviction(me, bytes)];
      case 'take': {
        const pinned = bytes % 2 === 0;
        return [evictions.take(any, { pinned }), model.take(me, any, pinned)];
      }
      case 'sweep': {
        const doomed = evictions.mayBeDoomed ? evictions.doomed().map((row) => row.id) : [];
        const expected = model.doomed(me);
        for (const gone of doomed) evictions.end(gone);
        for (const gone of expected) model.end(gone);
        return [doomed, expected];
      }
      case 'pin':
        return [catalogue.pin(version(copyNumber), this.#name()), model.pin(copyNumber)];
      default:
        return [catalogue.unpin(any), model.unpin(any)];
    }
  }

  /** Of all rows, as anybody sees them. */
  compare(): void {
    const [index] = this.indexes.values();
    if (index === undefined) return;
    const rows = this.rows
      .all('SELECT * FROM copies')
      .map(copyRow)
      .map(({ id, etag, state, owner, bytes, pinned, stamp, useCount }) => ({
        id,
        version: Number(etag.replaceAll('"', '')),
        state,
        owner,
        bytes,
        pinned,
        stamp,
        useCount,
      }));
    const expected = this.model.copies.map(({ users: _users, used: _used, ...copy }) => copy);
    const byId = (a: { id: number }, b: { id: number }) => a.id - b.id;
    assert.deepEqual(rows.sort(byId), expected.sort(byId));
    const totals = index.catalogue.totals();
    assert.equal(totals.bytes, this.model.bytes);
    assert.equal(index.catalogue.bytes(), this.model.bytes);
    assert.equal(totals.open, this.model.copies.filter(({ users }) => users.size > 0).length);
  }

  close(): void {
    for (const index of this.indexes.values()) index.close();
    this.rows.close();
  }

  #none(work: () => void): readonly [unknown, unknown] {
    work();
    return [0, 0];
  }

  #name(): string {
    this.#names += 1;
    return `n${this.#names}`;
  }
}

t.test(
  'the index answers as a simple model does, whatever several owners do and wherever they die',
  async (t) => {
    const names = (
      'acquire acquire acquire acquire release release release complete complete charge sweep takeOver ' +
      'start start kill close hide condemn evict take pin unpin'
    ).split(' ');
    const operation = fc.tuple(
      fc.constantFrom(...names),
      fc.nat(2),
      fc.nat(5),
      fc.integer({ min: 0, max: 500 }),
    );
    let runs = 0;
    const root = t.testdir({});
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80, size: 'max' }), (operations) => {
        runs += 1;
        const folder = join(root, `run${runs}`);
        mkdirSync(folder);
        const pair = new Pair(folder);
        pair.start();
        for (const [at, each] of operations.entries()) {
          const [real, model] = pair.do(each);
          assert.deepEqual(real ?? 0, model ?? 0, `operation ${at}: ${each.join(' ')}`);
          pair.compare();
        }
        pair.close();
      }),
      { numRuns: 100 },
    );
    t.ok(runs >= 100);
  },
);

t.test('processes that want the same at the same time lose no claim', async (t) => {
  const folder = t.testdir({ count0: '0', count1: '0' });
  const script = new URL('claiming-child.js', import.meta.url);
  openIndex(folder, 'first').close();
  const held = await Promise.all(
    ['a', 'b'].map(async (id) => {
      const child = fork(script, [folder, id, '3000', '2'], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      const exit = once(child, 'exit');
      const [counts] = (await once(child, 'message')) as [number[]];
      t.same(await exit, [0, null]);
      return counts;
    }),
  );
  for (const copy of [0, 1]) {
    const sum = held.reduce((total, counts) => total + (counts[copy] ?? 0), 0);
    t.equal(Number(readFileSync(join(folder, `count${copy}`), 'utf8')), sum);
    t.ok(sum > 1000, `copy ${copy} was claimed ${sum} times`);
  }
  const index = openIndex(folder, 'c');
  const [first] = index.catalogue.list({});
  t.match(first, { open: 0, row: { useCount: 3000, owner: undefined } });
  index.close();
});

t.test('an index of a newer version is refused with advice, and left alone', async (t) => {
  const folder = t.testdir({});
  const path = join(folder, 'index.sqlite');
  openIndex(folder, 'a').close();
  const database = new Database(path);
  t.equal(database.get('PRAGMA user_version')?.['user_version'], SCHEMA_VERSION);
  database.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
  database.close();
  t.throws(() => openIndex(folder, 'b'), NewerSchemaError);
  t.throws(() => openIndex(folder, 'b'), /use the newer Sluice that wrote it/);
});

t.test('a damaged index is recognised, and begun anew', async (t) => {
  const folder = t.testdir({});
  const path = join(folder, 'index.sqlite');
  writeFileSync(path, 'no database, by any means. '.repeat(500));
  for (const open of [() => checkIndex(path), () => openIndex(folder, 'a')]) {
    const error = thrown(open);
    t.ok(isDamagedIndex(error), String(error));
  }
  const aside = setAsideIndex(path);
  t.ok(existsSync(aside));
  checkIndex(path);
  const index = openIndex(folder, 'a');
  t.same(index.catalogue.list({}), []);
  index.close();
});

t.test('an index that contradicts itself is noticed when it is looked at', async (t) => {
  const folder = t.testdir({});
  const path = join(folder, 'index.sqlite');
  const index = openIndex(folder, 'a');
  for (let number = 0; number < 500; number++) index.catalogue.pin(version(number), `n${number}`);
  index.close();
  checkIndex(path);
  const database = new Database(path);
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  database.close();
  const bytes = readFileSync(path);
  bytes.fill(0x55, bytes.length >> 1);
  writeFileSync(path, bytes);
  const error = thrown(() => checkIndex(path));
  t.ok(isDamagedIndex(error), String(error));
});

t.test('what cannot be a damaged index is not taken for one', async (t) => {
  const folder = t.testdir({});
  openIndex(folder, 'a').close();
  const database = new Database(join(folder, 'index.sqlite'));
  const error = thrown(() => database.exec('SELECT * FROM nowhere'));
  t.ok(error instanceof Error);
  t.notOk(isDamagedIndex(error));
  database.close();
});

t.test('lists by what is asked, literally', async (t) => {
  const index = openIndex(t.testdir({}), 'a');
  const keys = ['a%b/1', 'a%b/2', 'aXb/3', 'A%b/4'];
  for (const [at, key] of keys.entries()) {
    index.catalogue.pin({ endpoint: 'e', bucket: at < 3 ? 'b' : 'c', key, etag: '"1"', size: at }, `n${at}`);
  }
  const listed = (filter: object) => index.catalogue.list(filter).map(({ row }) => row.key);
  t.same(listed({ prefix: 'a%b/' }), ['a%b/1', 'a%b/2']);
  t.same(listed({ bucket: 'c' }), ['A%b/4']);
  t.same(listed({ key: 'aXb/3', pinned: true, state: 'filling' }), ['aXb/3']);
  t.same(listed({ pinned: false }), []);
  t.equal(index.catalogue.totals().pinned, 4);
  index.close();
});

function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}
