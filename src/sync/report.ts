/** What a synchronisation tells while it runs and when it ends. The fields are a contract with programs (`--json`). */
import type { FailureCode, FileEnd } from './file-end.js';

export type SyncEvent =
  /** The bucket was listed: so many files are to be there in the end. */
  | { readonly event: 'listed'; readonly files: number; readonly bytes: number }
  /** A key that cannot be a file here. */
  | { readonly event: 'refused'; readonly key: string; readonly reason: string }
  | {
      readonly event: 'fetched';
      readonly name: string;
      readonly bytes: number;
      readonly resumedBytes: number;
      readonly milliseconds: number;
      readonly checksum: Extract<FileEnd, { kind: 'fetched' }>['checksum'];
    }
  | {
      readonly event: 'skipped';
      readonly name: string;
      readonly reason: Extract<FileEnd, { kind: 'good' }>['by'] | 'deleted on the server';
    }
  | { readonly event: 'retried'; readonly name: string; readonly reason: string }
  | { readonly event: 'failed'; readonly name: string; readonly code: FailureCode; readonly message: string }
  | { readonly event: 'deleted'; readonly name: string }
  /** Nothing is deleted, though that is wanted. */
  | { readonly event: 'not-deleted'; readonly reason: string }
  /** So many files were not even tried, and count as failed. */
  | { readonly event: 'given-up'; readonly files: number; readonly reason: string }
  /** In a dry run: what would happen. */
  | { readonly event: 'would-fetch'; readonly name: string; readonly bytes: number }
  | { readonly event: 'would-delete'; readonly name: string };

export interface SyncSummary {
  /** Files that were brought; in a dry run those that would be. */
  readonly succeeded: number;
  /** Files that were there already, were brought by another worker, or whose object was deleted meanwhile. */
  readonly skipped: number;
  /** Of the succeeded: those for which something had to be asked for again. */
  readonly retried: number;
  readonly failed: number;
  readonly deleted: number;
  /** Keys that cannot be files here. */
  readonly refused: number;
  /** Of the succeeded files. */
  readonly bytes: number;
  /** That came over the network, with what was asked for twice. */
  readonly bytesFetched: number;
  /** Of the succeeded; 0 without any. */
  readonly millisecondsPerFile: number;
  readonly milliseconds: number;
  /** It was ended before everything was seen to. */
  readonly stopped: boolean;
  readonly dryRun: boolean;
}
