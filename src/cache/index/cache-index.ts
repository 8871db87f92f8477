/**
 * The index of a cache directory as one daemon has it open: a SQLite database of copies, their owners and users. Made by
 * cache-directory.ts; the parts say what they promise. One that is damaged (`checkIndex`) is set aside
 * before anybody has it open.
 */
import { renameSync, rmSync, statSync } from 'node:fs';
import { Catalogue } from './catalogue.js';
import { Claims } from './claims.js';
import type { OwnerRow } from './copy-row.js';
import { Database, isDamaged, isRefused } from './database.js';
import { Evictions } from './evictions.js';
import { Owners } from './owners.js';
import { migrate } from './schema.js';

export interface CacheIndexDeps {
  /** Of another owner than this one. Must neither wait nor use the index. */
  readonly isAlive: (owner: OwnerRow) => boolean;
  readonly wallTimeMs: () => number;
}

export class CacheIndex {
  readonly claims: Claims;
  readonly evictions: Evictions;
  readonly catalogue: Catalogue;
  readonly #database: Database;
  readonly #owners: Owners;

  /** @throws NewerSchemaError, or what SQLite says: see isDamaged */
  constructor(path: string, me: OwnerRow, { isAlive, wallTimeMs }: CacheIndexDeps) {
    const database = new Database(path);
    this.#database = database;
    try {
      migrate(database);
      const owners = (this.#owners = new Owners(me.id, { database, isAlive }));
      const evictions = (this.evictions = new Evictions(database, owners));
      this.claims = new Claims({ database, owners, evictions, wallTimeMs });
      this.catalogue = new Catalogue(database, this.claims);
      database.change(() => {
        owners.add(me);
        // The dead are buried, and what they were deleting is ours to delete.
        owners.others();
        owners.adoptOrphans();
      });
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** This daemon has nothing open any more: it is forgotten. Idempotent. */
  close(): void {
    try {
      this.#database.change(() => this.#owners.bury(this.#owners.me));
    } finally {
      this.#database.close();
    }
  }
}

/** What lies there is no file; or SQLite reads it, and finds that it contradicts itself. */
export class DamagedIndexError extends Error {
  override readonly name = 'DamagedIndexError';
}

export function isDamagedIndex(error: unknown): boolean {
  return error instanceof DamagedIndexError || isDamaged(error);
}

/**
 * Looks through the whole file, about 10 ms per 10,000 copies, while no other daemon has it open.
 * @throws DamagedIndexError, or what SQLite says
 */
export function checkIndex(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false)
    throw new DamagedIndexError('it is no file');
  const database = new Database(path);
  try {
    // Not prepared: a connection lives on as long as a statement of it does, and when it ends removes the WAL by its
    // name, which may be that of the next index by then.
    database.exec(`
      CREATE TEMP TABLE answers (answer TEXT CHECK (answer = 'ok'));
      INSERT INTO answers SELECT * FROM pragma_quick_check;
    `);
  } catch (error) {
    if (!isRefused(error)) throw error;
    throw new DamagedIndexError('it contradicts itself', { cause: error });
  } finally {
    database.close();
  }
}

/** Renames a damaged index, for a look at it; the one before it goes. To be called while nobody has it open. */
export function setAsideIndex(path: string): string {
  const aside = `${path}.damaged`;
  rmSync(aside, { force: true, recursive: true });
  renameSync(path, aside);
  for (const suffix of ['-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
  return aside;
}
