/**
 * What the downloader needs of the local copy it fills. Declared here by the consumer; file/temp-file-store.ts
 * implements it. All methods are synchronous but `peek` and `PartTarget.flush`.
 */
import type { ObjectStoreError } from '../object-store/errors.js';
import type { ObjectVersion, PartSink } from '../object-store/object-store.js';
import type { ByteRange } from '../runtime/range.js';

export interface DownloadTarget {
  readonly id: string;
  readonly version: ObjectVersion;
  /** Parts begin on multiples of this, and end there or at the end of the object. */
  readonly pageBytes: number;
  /** The first gap of `range`, widened to pages; undefined when all is there. */
  firstMissing(range: ByteRange): ByteRange | undefined;
  /** All gaps of `range`, widened to pages, in order. */
  missing(range: ByteRange): ByteRange[];
  /** True while a reader waits for a byte of `range`. */
  wanted(range: ByteRange): boolean;
  /** The bytes of `range`, all of which are there. Rejects when they cannot be read. */
  peek(range: ByteRange): Promise<Uint8Array>;
  /** Whether the local disk may take `range` though nobody waits for it. What a reader waits for is taken in any case. */
  hasRoom(range: ByteRange): boolean;
  /**
   * What was read is given up again for want of room, and would be fetched anew: nothing is fetched but what readers wait
   * for and what lies ahead of them.
   */
  readonly isWindow: boolean;
  /** Where the bytes of `range` go. Parts under way never overlap, but for a second request for a slow one. */
  beginPart(range: ByteRange): PartTarget;
  /** A request failed and will be tried again; for the message of reads that run into their deadline. */
  delayed(reason: string): void;
  /** `range` cannot be fetched now: readers that wait for it are to be told. A later demand may try again. */
  partFailed(range: ByteRange, failure: PartFailure): void;
  /** The object is no longer this version: nothing can be fetched any more. */
  expired(reason: string): void;
}

export interface PartTarget extends PartSink {
  /** Offset behind the last byte accepted. */
  readonly position: number;
  /** Forgets what was accepted and is not being written yet: nobody wants it any more. */
  drop(): void;
  /** Resolves when all accepted bytes are readable. @throws what a local write failed with */
  flush(): Promise<void>;
}

export type PartFailure =
  | { readonly kind: 'denied'; readonly error: ObjectStoreError }
  /** The sink threw (the local disk), or the transport did (a bug). */
  | { readonly kind: 'threw'; readonly error: Error };
