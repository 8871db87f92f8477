/**
 * The face of the file layer, as filesystem/ sees it: open a version by identity, read from it, close it.
 * Implemented by temp-file-stores.ts over TempFileStores; tests of the filesystem bring an implementation in memory.
 */
import type { ObjectVersion } from '../object-store/object-store.js';
import type { DirectFile } from './direct-reads.js';

export interface ContentSource {
  /** Never waits; the same version shares its bytes and its download with every other open handle. */
  open(version: ObjectVersion): Content;
  /**
   * Somebody is likely to open `version` soon: it is fetched ahead, below everything else, within the room for objects
   * that nobody has open. One at a time; a hint that may be ignored.
   */
  expect(version: ObjectVersion): void;
}

export interface FillOptions {
  /** Ends the wait; what arrived stays. */
  readonly signal: AbortSignal;
  /** Told the bytes that are there, at the beginning and after every advance. */
  readonly onProgress?: ((arrivedBytes: number) => void) | undefined;
}

export interface Content {
  readonly version: ObjectVersion;
  /** Debug id of the shared store, for logs. */
  readonly storeId: string;
  /** The shared local file for a session that reads it by itself; undefined: all reads go through `read`. */
  readonly direct: DirectFile | undefined;
  /**
   * The local file has every byte, compared with the object's checksum where it has one, so that the kernel may read it
   * alone. False for an empty object, which has none.
   */
  readonly complete: boolean;
  /** A local copy before was not the object, by its checksum: the kernel may keep wrong bytes of this version. */
  readonly replacesCorrupt: boolean;
  /**
   * Fills `target` from `offset`; resolves with the number of bytes, less than asked only at the end of the object.
   * @throws ContentError
   */
  read(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<number>;
  /** Calls `listener`, which must not throw, once more than half of the object is local: now, later, or never. */
  onceHalfHere(listener: () => void): void;
  /** Idempotent. Reads under way on this handle end as `closed`. */
  close(): void;
}

export type ContentErrorCode =
  /** The range is not local and the object is no longer this version. */
  | 'stale'
  | 'denied'
  /** What came of the object is not the object, by its checksum. */
  | 'corrupt'
  /** The read's deadline passed. */
  | 'deadline'
  | 'no_space'
  | 'disk_failed'
  | 'aborted'
  | 'closed';

export class ContentError extends Error {
  override readonly name = 'ContentError';
  readonly code: ContentErrorCode;

  constructor(code: ContentErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
