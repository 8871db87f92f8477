/**
 * The daemons that use the directory, in the index. A dead one is buried where it is met: what it filled is free to be
 * claimed, what it had open is not open, what it was evicting is evicted by who found it.
 *
 * All methods are called within a transaction: so no two processes ask at once whether an owner is alive.
 */
import { ownerRow } from './copy-row.js';
import type { OwnerRow } from './copy-row.js';
import type { Database } from './database.js';

export interface OwnersDeps {
  readonly database: Database;
  /** Of another owner than this one. Must neither wait nor use the index. */
  readonly isAlive: (owner: OwnerRow) => boolean;
}

export class Owners {
  /** Id of this daemon. */
  readonly me: string;
  /**
   * Copies may be this daemon's to delete. Only what it does itself makes them so, or is undone again: whoever makes a row
   * `evicting` with itself as its owner, or takes such a row over, sets it; who finds none to delete takes it back.
   */
  mayDelete = true;
  readonly #deps: OwnersDeps;

  constructor(me: string, deps: OwnersDeps) {
    this.me = me;
    this.#deps = deps;
  }

  add({ id, pid, started, shares }: OwnerRow): void {
    this.#deps.database.run('INSERT INTO owners VALUES (?, ?, ?, ?)', id, pid, started, shares ? 1 : 0);
  }

  /** Other daemons, as far as they are alive; the dead are buried. */
  others(): OwnerRow[] {
    const rows = this.#deps.database.all('SELECT * FROM owners WHERE id <> ?', this.me).map(ownerRow);
    return rows.filter(({ id }) => !this.buryIfDead(id));
  }

  /** True when the owner is not alive. One without a row was buried by somebody: what it left is taken as well. */
  buryIfDead(id: string): boolean {
    const row = this.#deps.database.get('SELECT * FROM owners WHERE id = ?', id);
    if (row !== undefined && this.#deps.isAlive(ownerRow(row))) return false;
    this.bury(id);
    return true;
  }

  bury(id: string): void {
    const { database } = this.#deps;
    database.run("UPDATE copies SET owner = NULL, stamp = NULL WHERE owner = ? AND state = 'filling'", id);
    // What it evicted, and what was to be deleted by whoever closes it last.
    const adopted = database.run(
      `UPDATE copies SET owner = ?1 WHERE state = 'evicting'
       AND (owner = ?2 OR id IN (SELECT copy FROM uses WHERE owner = ?2))`,
      this.me,
      id,
    );
    if (adopted > 0) this.mayDelete = true;
    database.run('DELETE FROM uses WHERE owner = ?', id);
    database.run('DELETE FROM owners WHERE id = ?', id);
  }

  /** Takes evicting copies that nobody could delete, as an end of their owner left them. */
  adoptOrphans(): void {
    this.#deps.database.run(
      `UPDATE copies SET owner = ? WHERE state = 'evicting' AND owner NOT IN (SELECT id FROM owners)`,
      this.me,
    );
  }

  /** By a living one. */
  isUsedByAnother(copy: number): boolean {
    const users = this.#deps.database.all(
      'SELECT owner FROM uses WHERE copy = ? AND owner <> ?',
      copy,
      this.me,
    );
    return users.some(({ owner }) => !this.buryIfDead(String(owner)));
  }
}
