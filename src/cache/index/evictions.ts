/**
 * Copies on their way out. A copy becomes `evicting` by one conditional update: nobody may open it from then on. It is
 * deleted by one owner, the one in its row, as soon as nobody has it open: the files first (`doomed`), then the row
 * (`end`), so that its bytes count until they are free and no file is ever without a row.
 */
import { copyRow, number } from './copy-row.js';
import type { CopyRow } from './copy-row.js';
import type { Database } from './database.js';
import type { Owners } from './owners.js';

const UNUSED = 'NOT EXISTS (SELECT 1 FROM uses WHERE uses.copy = copies.id)';
/** Nobody has it open: it may be evicted at any moment. */
export const IDLE = `(state <> 'evicting' AND owner IS NULL AND ${UNUSED})`;
const EVICT = "UPDATE copies SET state = 'evicting', owner = ?, stamp = NULL";

/** A transaction stays short, whatever is asked for: who needs more room asks again. */
const TAKEN_AT_ONCE_MAX = 256;

export class Evictions {
  readonly #database: Database;
  readonly #owners: Owners;

  constructor(database: Database, owners: Owners) {
    this.#database = database;
    this.#owners = owners;
  }

  /** Takes what nobody has open, least used first, until it held `bytes`. Returns what each of them held. */
  begin(bytes: number): readonly number[] {
    return this.#database.change(() => {
      const taken = this.#take(bytes);
      const freed = sum(taken);
      if (freed >= bytes) return taken;
      // What the dead had open may go as well.
      this.#owners.others();
      return [...taken, ...this.#take(bytes - freed)];
    });
  }

  /** Takes one copy. False when it is in use, or pinned and `pinned` does not say that it goes nevertheless. */
  take(id: number, { pinned = false }: { readonly pinned?: boolean | undefined } = {}): boolean {
    return this.#database.change(() => {
      // Its last user may have been killed.
      this.#owners.isUsedByAnother(id);
      return this.#evict('id = ? AND pinned <= ?', id, pinned ? 1 : 0) === 1;
    });
  }

  /** False: `doomed` has nothing to say. Known without a look at the database. */
  get mayBeDoomed(): boolean {
    return this.#owners.mayDelete;
  }

  /** What is ours to delete now. */
  doomed(): readonly CopyRow[] {
    const rows = this.#database.all(
      `SELECT * FROM copies WHERE state = 'evicting' AND owner = ? AND ${UNUSED}`,
      this.#owners.me,
    );
    this.#owners.mayDelete = rows.length > 0;
    return rows.map(copyRow);
  }

  /** Its files are gone. */
  end(id: number): void {
    this.#database.change(() =>
      this.#database.run(`DELETE FROM copies WHERE id = ? AND state = 'evicting' AND ${UNUSED}`, id),
    );
  }

  /** Calls `work` while the name is that of no copy, and becomes none. */
  ifUnknown(name: string, work: () => void): void {
    this.#database.change(() => {
      if (this.#database.get('SELECT 1 FROM copies WHERE name = ?', name) === undefined) work();
    });
  }

  // Within a transaction of others:

  /** Nobody may open the copy from now on, whoever has it open. */
  condemn(id: number): boolean {
    return this.#doom(`${EVICT} WHERE id = ? AND state <> 'evicting'`, this.#owners.me, id) === 1;
  }

  /** This owner has closed a copy: who is the last to do so deletes it. */
  closed(id: number): void {
    this.#doom(
      `UPDATE copies SET owner = ? WHERE id = ? AND state = 'evicting' AND ${UNUSED}`,
      this.#owners.me,
      id,
    );
  }

  /** Bytes of this version came from the server: what was there of the object's older versions is of no use. */
  dropOlder({ id, key, bucket, endpoint }: CopyRow): void {
    this.#evict(
      'key = ? AND bucket = ? AND endpoint = ? AND id < ? AND pinned = 0',
      key,
      bucket,
      endpoint,
      id,
    );
  }

  /** The same, of a version that was in use when the newer one came. */
  dropIfOlder({ id, key, bucket, endpoint }: CopyRow): void {
    const newer = this.#database.get(
      "SELECT 1 FROM copies WHERE key = ? AND bucket = ? AND endpoint = ? AND id > ? AND bytes > 0 AND state <> 'evicting'",
      key,
      bucket,
      endpoint,
      id,
    );
    if (newer !== undefined) this.#evict('id = ? AND pinned = 0', id);
  }

  #take(bytes: number): number[] {
    const idle = this.#database.all(
      `SELECT id, bytes FROM copies WHERE ${IDLE} AND pinned = 0 AND bytes > 0 ORDER BY used >> 4, use_count, used LIMIT ?`,
      TAKEN_AT_ONCE_MAX,
    );
    const taken: number[] = [];
    for (const row of idle) {
      if (sum(taken) >= bytes) break;
      taken.push(number(row, 'bytes'));
      this.#evict('id = ?', number(row, 'id'));
    }
    return taken;
  }

  #evict(where: string, ...values: readonly (string | number)[]): number {
    return this.#doom(`${EVICT} WHERE ${IDLE} AND ${where}`, this.#owners.me, ...values);
  }

  /** A change by which copies may become ours to delete. Returns of how many rows. */
  #doom(sql: string, ...values: readonly (string | number)[]): number {
    const doomed = this.#database.run(sql, ...values);
    if (doomed > 0) this.#owners.mayDelete = true;
    return doomed;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
