/**
 * What can be asked of those who have a cache, and what they say: the vocabulary between commands and daemons
 * (observability/control.ts carries it), and between commands and an engine of their own. The messages are also what
 * `--json` prints, hence a contract: fields are only ever added.
 */

/** What a user named: a key, a directory's, or a pattern of keys. */
export interface Selection {
  /** From the bucket's root. Ending in `/`, or empty: all that is below. */
  readonly key: string;
  /** It stands for the object of that name and nothing else. */
  readonly exact: boolean;
}

/** As many as there may be connections: more at once carry nothing. */
export const FILES_AT_ONCE_MAX = 256;

export interface WarmRequest {
  readonly verb: 'warm';
  readonly selections: readonly Selection[];
  readonly filesAtOnceMax: number;
}

export interface PinRequest {
  readonly verb: 'pin';
  readonly selections: readonly Selection[];
  readonly filesAtOnceMax: number;
  /** Fetch them as well. */
  readonly fill: boolean;
}

export interface UnpinRequest {
  readonly verb: 'unpin';
  readonly selections: readonly Selection[];
}

export type BucketRequest = WarmRequest | PinRequest | UnpinRequest;

export type FileResult =
  /** All of it is in the cache: some of it was fetched, or all was there. */
  | 'fetched'
  | 'cached'
  /** It is not all there. */
  | 'failed';

export interface FileMessage {
  readonly event: 'file';
  readonly key: string;
  readonly size: number;
  readonly result: FileResult;
  readonly bytesFetched: number;
  /** Why it failed. */
  readonly problem?: string | undefined;
}

/** A pin was set, without fetching the object, or taken away. */
export interface PinMessage {
  readonly event: 'pinned' | 'unpinned';
  readonly key: string;
  readonly size: number;
}

export interface RunningFile {
  readonly name: string;
  readonly bytesDone: number;
  readonly size: number;
}

export interface ProgressMessage {
  readonly event: 'progress';
  readonly filesDone: number;
  /** As far as it is known; null while the bucket is still being listed. */
  readonly filesTotal: number | null;
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
  readonly bytesFetched: number;
  readonly running: readonly RunningFile[];
}

/** Nothing has the name, or matches the pattern. */
export interface UnmatchedMessage {
  readonly event: 'unmatched';
  readonly selection: string;
}

export interface RunSummary {
  /** What was selected, as far as that was found out. */
  readonly files: number;
  readonly bytes: number;
  readonly fetched: number;
  readonly cached: number;
  readonly failed: number;
  readonly pinned: number;
  readonly unpinned: number;
  /** Selections that nothing matched. */
  readonly unmatched: number;
  readonly bytesFetched: number;
  readonly bytesCached: number;
  /** Objects that were there and are not any more: no room for all, or the cache failed. */
  readonly lost: number;
}

/** The last one, when the work came to its end. */
export interface EndMessage extends RunSummary {
  readonly event: 'end';
}

/** The last one, when the work could not be begun or went no further. */
export interface RefusedMessage {
  readonly event: 'refused';
  readonly message: string;
  /** Of the command. */
  readonly exitCode: number;
}

export type Message =
  FileMessage | PinMessage | ProgressMessage | UnmatchedMessage | EndMessage | RefusedMessage;

/** Where messages go; resolves when the next may be sent. */
export type Send = (message: Message) => Promise<void>;

/** The request cannot be served as it stands; the message is for the user. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
}
