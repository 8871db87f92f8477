/** A row of the index as the rest of the cache sees it, and how it is read. */
import { assert } from '../../runtime/assert.js';
import type { CopyVerdict } from '../local-copy.js';
import type { SqlRow, SqlValue } from './database.js';

export type CopyState =
  /** Some of its bytes may be there. */
  | 'filling'
  /** All bytes are there, and none of them is known to be wrong. */
  | 'complete'
  /** Nobody may open it any more; its files are deleted when those that have it open are done. */
  | 'evicting';

export interface CopyRow {
  readonly id: number;
  readonly identity: string;
  readonly endpoint: string;
  readonly bucket: string;
  readonly key: string;
  readonly etag: string;
  readonly versionId: string | undefined;
  readonly size: number;
  /** Of its files: opaque, never used again. */
  readonly name: string;
  readonly state: CopyState;
  readonly owner: string | undefined;
  readonly bytes: number;
  readonly pinned: boolean;
  readonly useCount: number;
  readonly usedAtMs: number;
  readonly checksum: string | undefined;
  readonly verdict: CopyVerdict;
  readonly stamp: string | undefined;
}

/** A daemon that uses the directory. */
export interface OwnerRow {
  readonly id: string;
  readonly pid: number;
  readonly started: string;
  readonly shares: boolean;
}

export function copyRow(row: SqlRow): CopyRow {
  return {
    id: number(row, 'id'),
    identity: text(row, 'identity'),
    endpoint: text(row, 'endpoint'),
    bucket: text(row, 'bucket'),
    key: text(row, 'key'),
    etag: text(row, 'etag'),
    versionId: textIfAny(row, 'version_id'),
    size: number(row, 'size'),
    name: text(row, 'name'),
    state: stateOf(row),
    owner: textIfAny(row, 'owner'),
    bytes: number(row, 'bytes'),
    pinned: number(row, 'pinned') !== 0,
    useCount: number(row, 'use_count'),
    usedAtMs: number(row, 'used_at'),
    checksum: textIfAny(row, 'checksum'),
    verdict: text(row, 'verdict') as CopyVerdict,
    stamp: textIfAny(row, 'stamp'),
  };
}

export function ownerRow(row: SqlRow): OwnerRow {
  return {
    id: text(row, 'id'),
    pid: number(row, 'pid'),
    started: text(row, 'started'),
    shares: number(row, 'shares') !== 0,
  };
}

export function stateOf(row: SqlRow): CopyState {
  return text(row, 'state') as CopyState;
}

export function number(row: SqlRow, column: string): number {
  const value = valueOf(row, column);
  assert(typeof value === 'number', `column ${column} holds ${value}`);
  return value;
}

export function text(row: SqlRow, column: string): string {
  const value = valueOf(row, column);
  assert(typeof value === 'string', `column ${column} holds ${value}`);
  return value;
}

function textIfAny(row: SqlRow, column: string): string | undefined {
  return valueOf(row, column) === null ? undefined : text(row, column);
}

function valueOf(row: SqlRow, column: string): SqlValue {
  const value = row[column];
  assert(value !== undefined, `there is no column ${column}`);
  return value;
}
