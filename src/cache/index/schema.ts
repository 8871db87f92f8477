/**
 * The tables of the index, and how those of an earlier version become today's. `user_version` of the database counts the
 * steps that were taken; each step is one transaction.
 *
 * owners: the daemons that use the directory. copies: one row per data file; `absent` is no row. uses: which daemon has
 * which copy open. totals: one row, kept by triggers, so that a budget is looked up and not summed.
 *
 * Invariants: of one identity at most one copy is not `evicting`. A row is there before its files are created, and gone
 * only after they are: a file without a row belongs to nobody. `owner` is who fills, of an evicting copy who evicts it.
 */
import type { Database } from './database.js';

const STEPS: readonly string[] = [
  `
  CREATE TABLE owners (
    id TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    -- Start of the process, as runtime/process-identity.ts tells it; '' where it cannot be known.
    started TEXT NOT NULL,
    -- 1: alive while it holds the kernel lock of its file. 0: by pid, and alone on the directory.
    shares INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE copies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    etag TEXT NOT NULL,
    version_id TEXT,
    size INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('filling', 'complete', 'evicting')),
    owner TEXT,
    -- What its files may take on disk: counted in the budget before it is written.
    bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    pinned INTEGER NOT NULL DEFAULT 0,
    use_count INTEGER NOT NULL DEFAULT 0,
    -- totals.uses at its last use: the order of uses needs no clock.
    used INTEGER NOT NULL DEFAULT 0,
    -- Wall-clock time, in ms, for people.
    used_at INTEGER NOT NULL DEFAULT 0,
    checksum TEXT,
    verdict TEXT NOT NULL DEFAULT 'unknown',
    -- What its files looked like when they were last known to be good (stamp.ts); null while somebody writes them.
    stamp TEXT
  ) STRICT;
  CREATE UNIQUE INDEX copies_by_identity ON copies (identity) WHERE state <> 'evicting';
  CREATE INDEX copies_by_key ON copies (key, bucket, endpoint);
  CREATE INDEX copies_by_owner ON copies (owner) WHERE owner IS NOT NULL;
  CREATE INDEX copies_evicting ON copies (id) WHERE state = 'evicting';
  -- Least recently used first, in steps of 16 uses; within a step those that were used seldom.
  CREATE INDEX copies_by_use ON copies (used >> 4, use_count, used) WHERE state <> 'evicting';

  CREATE TABLE uses (
    copy INTEGER NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (copy, owner)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX uses_by_owner ON uses (owner);

  CREATE TABLE totals (bytes INTEGER NOT NULL, uses INTEGER NOT NULL) STRICT;
  INSERT INTO totals VALUES (0, 0);
  CREATE TRIGGER copies_inserted AFTER INSERT ON copies BEGIN
    UPDATE totals SET bytes = bytes + new.bytes;
  END;
  CREATE TRIGGER copies_charged AFTER UPDATE OF bytes ON copies BEGIN
    UPDATE totals SET bytes = bytes + new.bytes - old.bytes;
  END;
  CREATE TRIGGER copies_deleted AFTER DELETE ON copies BEGIN
    UPDATE totals SET bytes = bytes - old.bytes;
    DELETE FROM uses WHERE copy = old.id;
  END;
  `,
];

export const SCHEMA_VERSION = STEPS.length;

/** The index was written by a newer Sluice. */
export class NewerSchemaError extends Error {
  override readonly name = 'NewerSchemaError';

  constructor(readonly found: number) {
    super(
      `its index is of version ${found}, and this Sluice knows versions up to ${SCHEMA_VERSION}: ` +
        'use the newer Sluice that wrote it, or another directory',
    );
  }
}

/** Brings the tables up to date; several processes may do so at once. @throws NewerSchemaError */
export function migrate(database: Database): void {
  for (;;) {
    const done = database.change(() => {
      const version = Number(database.get('PRAGMA user_version')?.['user_version']);
      if (version > SCHEMA_VERSION) throw new NewerSchemaError(version);
      const step = STEPS[version];
      if (step === undefined) return true;
      database.exec(`${step}; PRAGMA user_version = ${version + 1};`);
      return false;
    });
    if (done) return;
  }
}
