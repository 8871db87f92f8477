/**
 * The SQLite database below the index, and the only importer of its binding: opened for several processes (WAL, waiting
 * for each other's short transactions), statements prepared once, transactions that end whatever is thrown in them.
 */
import { DatabaseSync } from '@photostructure/sqlite';

/** Transactions here take well under a millisecond: who waits longer waits for a stopped process, and is told. */
const BUSY_TIMEOUT_MS = 5000;
/**
 * Low bytes of SQLite's result codes (sqlite.org/rescode.html): SQLITE_CORRUPT and SQLITE_NOTADB; SQLITE_BUSY; SQLITE_FULL;
 * SQLITE_CONSTRAINT. SQLITE_CANTOPEN says nothing of the file: it is also what comes of too many open files.
 */
const DAMAGED = new Set([11, 26]);
const BUSY = 5;
const FULL = 13;
const CONSTRAINT = 19;
/** SQLITE_IOERR_SHMSIZE, the whole code: there was no space for the WAL's index. */
const SHM_FULL = 4874;

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;

type Sqlite = InstanceType<typeof DatabaseSync>;
type Statement = ReturnType<Sqlite['prepare']>;

export class Database {
  readonly #sqlite: Sqlite;
  readonly #statements = new Map<string, Statement>();

  /** Creates the file when there is none. @throws what SQLite says: see isDamaged */
  constructor(path: string) {
    this.#sqlite = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    try {
      // The directory is on a local disk, where an index that misses its last changes is put right by looking at the files.
      this.#sqlite.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    } catch (error) {
      this.#sqlite.close();
      throw error;
    }
  }

  exec(sql: string): void {
    this.#sqlite.exec(sql);
  }

  get(sql: string, ...values: readonly SqlValue[]): SqlRow | undefined {
    return this.#statement(sql).get(...values) as SqlRow | undefined;
  }

  all(sql: string, ...values: readonly SqlValue[]): readonly SqlRow[] {
    return this.#statement(sql).all(...values) as SqlRow[];
  }

  /** Returns how many rows were changed. */
  run(sql: string, ...values: readonly SqlValue[]): number {
    return this.#statement(sql).run(...values).changes;
  }

  /** What `work` gives; what it changed is kept as a whole, or not at all when it throws. Not to be nested. */
  change<T>(work: () => T): T {
    this.#sqlite.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#sqlite.exec('COMMIT');
      return result;
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  /** Idempotent. */
  close(): void {
    // The binding ends statements, and with them the connection, when they are collected.
    this.#statements.clear();
    if (this.#sqlite.isOpen) this.#sqlite.close();
  }

  #rollBack(): void {
    try {
      if (this.#sqlite.isTransaction) this.#sqlite.exec('ROLLBACK');
    } catch {
      // SQLite has rolled back by itself; what went wrong is thrown by `change`.
    }
  }

  #statement(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#sqlite.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** True when an error says that the file is no database, or contradicts itself. */
export function isDamaged(error: unknown): boolean {
  return DAMAGED.has(codeOf(error));
}

/** Another process has kept the database for longer than anybody waits. */
export function isBusy(error: unknown): boolean {
  return codeOf(error) === BUSY;
}

/** The disk has no space left for what was to be written, by the database or beside it. */
export function isFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const isRefusedByDisk = 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
  return isRefusedByDisk || codeOf(error) === FULL || resultOf(error) === SHM_FULL;
}

/** A constraint of a table did not hold. */
export function isRefused(error: unknown): boolean {
  return codeOf(error) === CONSTRAINT;
}

function codeOf(error: unknown): number {
  return resultOf(error) & 0xff;
}

function resultOf(error: unknown): number {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code : 0;
}
