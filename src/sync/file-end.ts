/** What became of one file of a synchronisation: the words of fetch-file.ts, used by sync.ts and told to whoever watches. */
import type { ChecksumResult } from '../file/store-checksums.js';

/** Why a file is not in place; stable, for programs. */
export type FailureCode =
  /** The server does not allow it, or the object cannot be read now. */
  | 'denied'
  /** The server could not be reached, or did not answer as one. */
  | 'unreachable'
  /** Twice, what arrived was not the object, by its checksum. */
  | 'corrupt'
  /** It was replaced again and again while it was fetched. */
  | 'changing'
  /** A directory, a symbolic link or a file of the user's is in the way. */
  | 'blocked'
  | 'disk_full'
  | 'disk_failed';

export type FileEnd =
  | {
      readonly kind: 'fetched';
      /** Of the object. */
      readonly bytes: number;
      /** Of these, how many an interrupted attempt had left. */
      readonly resumedBytes: number;
      /** Something had to be asked for again. */
      readonly retried: boolean;
      /** What the comparison with the server's checksum of the whole object gave. */
      readonly checksum: Exclude<ChecksumResult, 'differs'>;
    }
  /** It was there. */
  | { readonly kind: 'good'; readonly by: 'stamp' | 'checksum' | 'other worker' }
  /** Another worker is at it. */
  | { readonly kind: 'elsewhere' }
  /** The object was deleted since the listing. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'failed'; readonly code: FailureCode; readonly message: string }
  | { readonly kind: 'aborted' };
