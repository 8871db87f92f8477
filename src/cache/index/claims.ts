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
import type { CopyRow, CopyState } from './copy-row.js';
import type { Database, SqlValue } from './database.js';
import type { Evictions } from './evictions.js';
import type { Owners } from './owners.js';

export type AcquireHow = 'use' | 'look';

/** What became of the wish to use a copy. */
export type Acquired =
  /** There was none that somebody fills, or that is whole: this owner fills it now. */
  | { readonly kind: 'claimed'; readonly row: CopyRow }
  | { readonly kind: 'following'; readonly row: CopyRow; readonly owner: string }
  | { readonly kind: 'complete'; readonly row: CopyRow }
  /** This owner has it open already. */
  | { readonly kind: 'busy' };

/** What is to be done with the files of a copy, within the transaction: nobody else looks at them meanwhile. */
export interface FilesOfCopy {
  /** Is a complete copy what it was? */
  isWhole(row: CopyRow): boolean;
  /** A copy was claimed, which others are going to follow; `row` is as it was found. What this throws undoes the claim. */
  claimed(row: CopyRow, found: ClaimedHow): void;
}

export type ClaimedHow =
  /** It has no files yet. */
  | 'new'
  /** Nobody has it open. */
  | 'idle'
  /** Another living owner follows it. */
  | 'open';

export type TakenOver =
  | { readonly kind: 'complete' | 'gone' }
  /** `bytes`: what is counted for it. */
  | { readonly kind: 'claimed'; readonly bytes: number }
  | { readonly kind: 'following'; readonly owner: string };

/** What is counted for a copy from its beginning, unless that were more than `bytesMax` with all others. */
export interface Beginning {
  readonly bytes: number;
  readonly bytesMax: number;
}

const NOTHING: Beginning = { bytes: 0, bytesMax: 0 };

/** What is known of a copy that nobody writes any more. */
export interface Left {
  /** What its files look like: see stamp.ts. Undefined where that proves nothing. */
  readonly stamp: string | undefined;
  /** What they take on disk; 0 of a copy without a byte. */
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

  /**
   * @param name of the files of a copy that did not exist
   * @param how a copy that is only looked at was not used: it is evicted no later for that
   */
  acquire(
    version: ObjectVersion,
    name: string,
    files: FilesOfCopy,
    how: AcquireHow = 'use',
    begin: Beginning = NOTHING,
  ): Acquired {
    return this.#database.change(() => {
      const row = this.find(version);
      if (row !== undefined && this.#isOurs(row)) return { kind: 'busy' };
      const outcome = this.#enter(version, row ?? begin, name, files);
      const { id, useCount } = outcome.row;
      this.#hold(id);
      // One that was never used has no files: whoever makes them uses it.
      if (how === 'use' || useCount === 0) this.#use(id);
      return outcome;
    });
  }

  /** A copy that nobody else knows of, and that goes when it is released: it counts in the budget all the same. */
  hide(version: ObjectVersion, name: string): CopyRow {
    return this.#database.change(() => {
      const row = this.#row(
        "UPDATE copies SET state = 'evicting', owner = ? WHERE id = ? RETURNING *",
        this.#me,
        this.insert(version, name, 'evicting').id,
      );
      assert(row !== undefined, 'an inserted row is there');
      this.#hold(row.id);
      this.#use(row.id);
      return row;
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
        case 'filling':
          return this.#claim(row) ?? { kind: 'claimed', bytes: row.bytes };
        default:
          return unreachable(row.state);
      }
    });
  }

  /** It was condemned, and no other daemon has it open: none ever will. */
  isAlone(id: number): boolean {
    const alone = `SELECT 1 FROM copies WHERE id = ?1 AND state = 'evicting'
      AND NOT EXISTS (SELECT 1 FROM uses WHERE copy = ?1 AND owner <> ?2)`;
    return this.#database.get(alone, id, this.#me) !== undefined;
  }

  /**
   * Counts `bytes` in all for a copy, which another may have counted more for already. False when that would be more than
   * `bytesMax` with all other copies.
   */
  charge(id: number, bytes: number, bytesMax: number): boolean {
    const charge = `UPDATE copies SET bytes = max(bytes, ?1) WHERE id = ?2
      AND (?1 <= bytes OR (SELECT totals.bytes FROM totals) - bytes + ?1 <= ?3)`;
    return this.#database.change(() => this.#database.run(charge, bytes, id, bytesMax) === 1);
  }

  /** False when it is not ours to complete any more. */
  complete(id: number, { stamp, bytes, verdict, checksum }: Completion): boolean {
    return this.#database.change(() => {
      const row = this.#row(
        `UPDATE copies SET state = 'complete', owner = NULL, stamp = ?, bytes = ?, verdict = ?, checksum = ?
         WHERE id = ? AND state = 'filling' AND owner = ? RETURNING *`,
        stamp ?? null,
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
      if (row !== undefined) this.#condemn(row, name);
    });
  }

  /**
   * A copy without a byte goes with the last one that has it open; a pinned one is expected again, under `name`.
   * @param left of a copy that we filled; without it its files are not to be believed
   */
  release(id: number, name: string, left?: Left): void {
    const { evictions, owners } = this.#deps;
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
      if (row !== undefined) {
        evictions.dropIfOlder(row);
        if (isVacant(row) && !owners.isUsedByAnother(id)) this.#condemn(row, name);
      }
      evictions.closed(id);
    });
  }

  // Within a transaction:

  find(version: ObjectVersion): CopyRow | undefined {
    const identity = versionIdentity(version);
    return this.#row("SELECT * FROM copies WHERE identity = ? AND state <> 'evicting'", identity);
  }

  insert(version: ObjectVersion, name: string, state: CopyState = 'filling', begin = NOTHING): CopyRow {
    const { endpoint, bucket, key, etag, versionId, size } = version;
    const row = this.#row(
      `INSERT INTO copies (identity, endpoint, bucket, key, etag, version_id, size, name, state, bytes)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, iif((SELECT bytes FROM totals) + ?10 <= ?11, ?10, 0)) RETURNING *`,
      versionIdentity(version),
      endpoint,
      bucket,
      key,
      etag,
      versionId ?? null,
      size,
      name,
      state,
      begin.bytes,
      begin.bytesMax,
    );
    assert(row !== undefined, 'an inserted row is returned');
    return row;
  }

  #isOurs({ id }: CopyRow): boolean {
    return this.#database.get('SELECT 1 FROM uses WHERE copy = ? AND owner = ?', id, this.#me) !== undefined;
  }

  #enter(
    version: ObjectVersion,
    row: CopyRow | Beginning,
    name: string,
    files: FilesOfCopy,
  ): Exclude<Acquired, { kind: 'busy' }> {
    const { owners } = this.#deps;
    if (!('state' in row)) return this.#fill(this.insert(version, name, 'filling', row), 'new', files);
    if (row.state === 'complete') {
      if (files.isWhole(row)) return { kind: 'complete', row };
      if (owners.isUsedByAnother(row.id)) {
        // That one goes on with what it has.
        const expected = this.#condemn(row, name) ?? this.insert(version, name);
        return this.#fill(expected, 'new', files);
      }
      this.#database.run("UPDATE copies SET state = 'filling', verdict = 'unknown' WHERE id = ?", row.id);
      return this.#fill({ ...row, stamp: undefined }, 'idle', files);
    }
    const followed = this.#claim(row);
    if (followed !== undefined) return { ...followed, row };
    const how = row.useCount === 0 ? 'new' : owners.isUsedByAnother(row.id) ? 'open' : 'idle';
    return this.#fill(row, how, files);
  }

  #fill(row: CopyRow, how: ClaimedHow, files: FilesOfCopy): Extract<Acquired, { kind: 'claimed' }> {
    this.#claim(row);
    files.claimed(row, how);
    return { kind: 'claimed', row };
  }

  /** Of a copy that is filling: undefined when it is ours from now on, else whose it is. */
  #claim(row: CopyRow): { readonly kind: 'following'; readonly owner: string } | undefined {
    const { owner } = row;
    if (owner !== undefined && owner !== this.#me && !this.#deps.owners.buryIfDead(owner)) {
      return { kind: 'following', owner };
    }
    // Whoever fills a copy may be killed: what its files look like is no proof then.
    this.#database.run('UPDATE copies SET owner = ?, stamp = NULL WHERE id = ?', this.#me, row.id);
    return undefined;
  }

  /** Returns the row of the copy that is expected in its place, if one is. */
  #condemn(row: CopyRow, name: string): CopyRow | undefined {
    if (!this.#deps.evictions.condemn(row.id) || !row.pinned) return undefined;
    const { id } = this.insert(row, name);
    return this.#row('UPDATE copies SET pinned = 1 WHERE id = ? RETURNING *', id);
  }

  #hold(id: number): void {
    this.#database.run('INSERT INTO uses VALUES (?, ?)', id, this.#me);
  }

  /** Puts it last in the order in which copies are evicted. */
  #use(id: number): void {
    this.#database.run('UPDATE totals SET uses = uses + 1');
    this.#database.run(
      'UPDATE copies SET use_count = use_count + 1, used = (SELECT uses FROM totals), used_at = ? WHERE id = ?',
      Math.round(this.#deps.wallTimeMs()),
      id,
    );
  }

  #row(sql: string, ...values: readonly SqlValue[]): CopyRow | undefined {
    const row = this.#database.get(sql, ...values);
    return row === undefined ? undefined : copyRow(row);
  }
}

/** Nobody fills it, and nobody wrote a byte: those are counted before. */
function isVacant({ state, owner, bytes }: CopyRow): boolean {
  return state === 'filling' && owner === undefined && bytes === 0;
}
