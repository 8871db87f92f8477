/**
 * Who fills which copy, who has it open, and what it may take on disk: the conditional updates of a copy's life from
 * absent over filling to complete. Each method is one transaction, so that of several processes that want the same one
 * gets it. Called by the Cache; everything throws what SQLite says.
 */
import { versionIdentity } from '../../object-store/object-store.js';
import type { ObjectVersion } from '../../object-store/object-store.js';
import { assert, unreachable } from '../../runtime/assert.js';
import type { CopyVerdict } from '../local-copy.js';
import { copyRow } from './copy-row.js';
import type { CopyRow } from './copy-row.js';
import type { Database, SqlValue } from './database.js';
import type { Evictions } from './evictions.js';
import type { Owners } from './owners.js';

/** What became of the wish to use a copy; `row` is as it was found. */
export type Acquired =
  /** There was none (`isNew`), or nobody filled it: this owner does now. `shared`: another one has it open. */
  | { readonly kind: 'claimed'; readonly row: CopyRow; readonly isNew: boolean; readonly shared: boolean }
  | { readonly kind: 'following'; readonly row: CopyRow; readonly owner: string }
  | { readonly kind: 'complete'; readonly row: CopyRow }
  /** This owner has it open already. */
  | { readonly kind: 'busy' };

export type TakenOver =
  { readonly kind: 'claimed' | 'complete' | 'gone' } | { readonly kind: 'following'; readonly owner: string };

/** What is known of a copy that nobody writes any more. */
export interface Left {
  /** What its files look like: see stamp.ts. */
  readonly stamp: string;
  /** What they take on disk. */
  readonly bytes: number;
}

export interface Completion extends Left {
  readonly verdict: CopyVerdict;
  readonly checksum: string | undefined;
}

export interface ClaimsDeps {
  readonly database: Database;
  readonly owners: Owners;
  readonly evictions: Evictions;
  readonly wallTimeMs: () => number;
}

export class Claims {
  readonly #database: Database;
  readonly #deps: ClaimsDeps;
  readonly #me: string;

  constructor(deps: ClaimsDeps) {
    this.#database = deps.database;
    this.#deps = deps;
    this.#me = deps.owners.me;
  }

  /** @param name of the files of a copy that did not exist */
  acquire(version: ObjectVersion, name: string): Acquired {
    return this.#database.change(() => {
      const found = this.find(version);
      const row = found ?? this.insert(version, name);
      const used = this.#database.get('SELECT 1 FROM uses WHERE copy = ? AND owner = ?', row.id, this.#me);
      if (used !== undefined) return { kind: 'busy' };
      const outcome: Acquired =
        row.state === 'complete' ? { kind: 'complete', row } : this.#claim(row, found === undefined);
      this.#use(row.id);
      return outcome;
    });
  }

  /** Of a copy that this owner has open, and that another one filled. */
  takeOver(id: number): TakenOver {
    return this.#database.change(() => {
      const row = this.#row('SELECT * FROM copies WHERE id = ?', id);
      if (row === undefined) return { kind: 'gone' };
      switch (row.state) {
        case 'evicting':
          return { kind: 'gone' };
        case 'complete':
          return { kind: 'complete' };
        case 'filling': {
          const outcome = this.#claim(row, false);
          return outcome.kind === 'following' ? outcome : { kind: 'claimed' };
        }
        default:
          return unreachable(row.state);
      }
    });
  }

  /** A complete copy that is not to be believed is filled again. False when another one has it open, or was faster. */
  reopen(id: number): boolean {
    return this.#database.change(() => {
      if (this.#deps.owners.isUsedByAnother(id)) return false;
      const reopen =
        "UPDATE copies SET state = 'filling', owner = ?, stamp = NULL, verdict = 'unknown' WHERE id = ? AND state = 'complete'";
      return this.#database.run(reopen, this.#me, id) === 1;
    });
  }

  /** Counts `bytes` in all for a copy of ours. False when that would be more than `bytesMax` with all others. */
  charge(id: number, bytes: number, bytesMax: number): boolean {
    const charge = `UPDATE copies SET bytes = ?1 WHERE id = ?2
      AND (?1 <= bytes OR (SELECT totals.bytes FROM totals) - bytes + ?1 <= ?3)`;
    return this.#database.change(() => this.#database.run(charge, bytes, id, bytesMax) === 1);
  }

  /** False when it is not ours to complete any more. */
  complete(id: number, { stamp, bytes, verdict, checksum }: Completion): boolean {
    return this.#database.change(() => {
      const row = this.#row(
        `UPDATE copies SET state = 'complete', owner = NULL, stamp = ?, bytes = ?, verdict = ?, checksum = ?
         WHERE id = ? AND state = 'filling' AND owner = ? RETURNING *`,
        stamp,
        bytes,
        verdict,
        checksum ?? null,
        id,
        this.#me,
      );
      if (row !== undefined) this.#deps.evictions.dropOlder(row);
      return row !== undefined;
    });
  }

  /**
   * Nobody may open it from now on; it is deleted when the last one that has it open is done. A pinned one is expected
   * again, under `name`.
   */
  condemn(id: number, name: string): void {
    this.#database.change(() => {
      const row = this.#row('SELECT * FROM copies WHERE id = ?', id);
      if (row === undefined || !this.#deps.evictions.condemn(id) || !row.pinned) return;
      const { id: expected } = this.insert(row, name);
      this.#database.run('UPDATE copies SET pinned = 1 WHERE id = ?', expected);
    });
  }

  /** @param left of a copy that we filled; without it its files are not to be believed */
  release(id: number, left?: Left): void {
    const { evictions } = this.#deps;
    this.#database.change(() => {
      this.#database.run('DELETE FROM uses WHERE copy = ? AND owner = ?', id, this.#me);
      const ours = this.#row(
        `UPDATE copies SET owner = NULL, stamp = ?, bytes = coalesce(?, bytes)
         WHERE id = ? AND state = 'filling' AND owner = ? RETURNING *`,
        left?.stamp ?? null,
        left?.bytes ?? null,
        id,
        this.#me,
      );
      if (ours !== undefined && ours.bytes > 0) evictions.dropOlder(ours);
      const row = ours ?? this.#row('SELECT * FROM copies WHERE id = ?', id);
      if (row !== undefined) evictions.dropIfOlder(row);
      evictions.closed(id);
    });
  }

  // Within a transaction:

  find(version: ObjectVersion): CopyRow | undefined {
    const identity = versionIdentity(version);
    return this.#row("SELECT * FROM copies WHERE identity = ? AND state <> 'evicting'", identity);
  }

  insert(version: ObjectVersion, name: string): CopyRow {
    const { endpoint, bucket, key, etag, versionId, size } = version;
    const row = this.#row(
      `INSERT INTO copies (identity, endpoint, bucket, key, etag, version_id, size, name, state)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'filling') RETURNING *`,
      versionIdentity(version),
      endpoint,
      bucket,
      key,
      etag,
      versionId ?? null,
      size,
      name,
    );
    assert(row !== undefined, 'an inserted row is returned');
    return row;
  }

  /** Of a copy that is filling: by whom from now on? */
  #claim(row: CopyRow, isNew: boolean): Extract<Acquired, { kind: 'claimed' | 'following' }> {
    const { owners } = this.#deps;
    if (row.owner !== undefined && row.owner !== this.#me && !owners.buryIfDead(row.owner)) {
      return { kind: 'following', row, owner: row.owner };
    }
    // Whoever fills a copy may be killed: what its files look like is no proof then.
    this.#database.run('UPDATE copies SET owner = ?, stamp = NULL WHERE id = ?', this.#me, row.id);
    return { kind: 'claimed', row, isNew, shared: owners.isUsedByAnother(row.id) };
  }

  #use(id: number): void {
    this.#database.run('UPDATE totals SET uses = uses + 1');
    this.#database.run(
      'UPDATE copies SET use_count = use_count + 1, used = (SELECT uses FROM totals), used_at = ? WHERE id = ?',
      Math.round(this.#deps.wallTimeMs()),
      id,
    );
    this.#database.run('INSERT INTO uses VALUES (?, ?)', id, this.#me);
  }

  #row(sql: string, ...values: readonly SqlValue[]): CopyRow | undefined {
    const row = this.#database.get(sql, ...values);
    return row === undefined ? undefined : copyRow(row);
  }
}
