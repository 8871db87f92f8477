/** What the index says to people and commands: which copies there are, what they take, which are pinned. */
import type { ObjectVersion } from '../../object-store/object-store.js';
import { copyRow, number, stateOf, text } from './copy-row.js';
import type { CopyRow, CopyState } from './copy-row.js';
import type { Claims } from './claims.js';
import type { Database, SqlValue } from './database.js';
import { IDLE } from './evictions.js';

/** Which copies; everything that is given must hold. */
export interface CopyFilter {
  readonly endpoint?: string | undefined;
  readonly bucket?: string | undefined;
  /** What the key begins with. */
  readonly prefix?: string | undefined;
  readonly key?: string | undefined;
  readonly pinned?: boolean | undefined;
  readonly state?: 'filling' | 'complete' | undefined;
}

export interface CatalogueTotals {
  /** Copies that may be opened, of those the complete and the pinned ones, those that somebody has open. */
  readonly copies: number;
  readonly complete: number;
  readonly pinned: number;
  readonly open: number;
  /** What all may take on disk, those that are being evicted included; of those the pinned ones. */
  readonly bytes: number;
  readonly pinnedBytes: number;
}

export interface NamedCopy {
  readonly id: number;
  readonly state: CopyState;
  readonly bytes: number;
}

export class Catalogue {
  readonly #database: Database;
  readonly #claims: Claims;

  constructor(database: Database, claims: Claims) {
    this.#database = database;
    this.#claims = claims;
  }

  /** By key; not those that are being evicted. `open`: by how many daemons. */
  list(filter: CopyFilter): readonly { readonly row: CopyRow; readonly open: number }[] {
    const { where, values } = condition(filter);
    const rows = this.#database.all(
      `SELECT *, (SELECT count(*) FROM uses WHERE uses.copy = copies.id) AS open FROM copies
       WHERE state <> 'evicting' ${where} ORDER BY endpoint, bucket, key, id`,
      ...values,
    );
    return rows.map((row) => ({ row: copyRow(row), open: number(row, 'open') }));
  }

  /** By the name of its files, every copy whatever its state. */
  names(): ReadonlyMap<string, NamedCopy> {
    const rows = this.#database.all('SELECT name, id, state, bytes FROM copies');
    return new Map(
      rows.map((row) => [
        text(row, 'name'),
        { id: number(row, 'id'), state: stateOf(row), bytes: number(row, 'bytes') },
      ]),
    );
  }

  /** What all may take on disk, looked up: at any number of copies in the same time. */
  bytes(): number {
    const row = this.#database.get('SELECT bytes FROM totals');
    return row === undefined ? 0 : number(row, 'bytes');
  }

  /** Counts all copies: for people. */
  totals(): CatalogueTotals {
    const row = this.#database.get(
      `SELECT count(*) AS copies, coalesce(sum(state = 'complete'), 0) AS complete, coalesce(sum(pinned), 0) AS pinned,
        (SELECT count(DISTINCT copy) FROM uses) AS open,
        coalesce(sum(pinned * bytes), 0) AS pinned_bytes
       FROM copies WHERE state <> 'evicting'`,
    );
    const value = (column: string) => (row === undefined ? 0 : number(row, column));
    return {
      copies: value('copies'),
      complete: value('complete'),
      pinned: value('pinned'),
      open: value('open'),
      bytes: this.bytes(),
      pinnedBytes: value('pinned_bytes'),
    };
  }

  /** Never evicted from now on, nor made room of; a version that is not here yet is expected. */
  pin(version: ObjectVersion, name: string): void {
    this.#database.change(() => {
      const { id } = this.#claims.find(version) ?? this.#claims.insert(version, name);
      this.#database.run('UPDATE copies SET pinned = 1 WHERE id = ?', id);
    });
  }

  unpin(id: number): boolean {
    return this.#database.change(() => {
      const unpinned = this.#database.run('UPDATE copies SET pinned = 0 WHERE id = ? AND pinned = 1', id);
      // It was expected, and never came.
      this.#database.run(`DELETE FROM copies WHERE id = ? AND bytes = 0 AND use_count = 0 AND ${IDLE}`, id);
      return unpinned === 1;
    });
  }
}

function condition(filter: CopyFilter): { readonly where: string; readonly values: readonly SqlValue[] } {
  const parts: string[] = [];
  const values: SqlValue[] = [];
  const add = (part: string, ...given: readonly SqlValue[]) => {
    parts.push(`AND ${part}`);
    values.push(...given);
  };
  const { endpoint, bucket, prefix, key, pinned, state } = filter;
  if (endpoint !== undefined) add('endpoint = ?', endpoint);
  if (bucket !== undefined) add('bucket = ?', bucket);
  // Not LIKE, to which case and % mean something else.
  if (prefix !== undefined) add('substr(key, 1, length(?)) = ?', prefix, prefix);
  if (key !== undefined) add('key = ?', key);
  if (pinned !== undefined) add('pinned = ?', pinned ? 1 : 0);
  if (state !== undefined) add('state = ?', state);
  return { where: parts.join(' '), values };
}
