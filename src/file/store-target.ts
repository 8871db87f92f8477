/**
 * The store as its downloader sees it (DownloadTarget): what is missing, who waits, where the bytes of a part go and
 * whether there is room for them. Owned by TempFileStore, which hears of what arrived and of what cannot be had.
 */
import type { LocalCopy } from '../cache/local-copy.js';
import type { DownloadTarget, PartFailure, PartTarget } from '../download/target.js';
import type { Logger } from '../observability/logger.js';
import type { ObjectChecksums, ObjectVersion } from '../object-store/object-store.js';
import { assert, unreachable } from '../runtime/assert.js';
import type { Availability } from '../runtime/availability.js';
import type { Clock } from '../runtime/clock.js';
import type { ByteRange } from '../runtime/range.js';
import { ContentError } from './content.js';
import { PartWriter } from './part-writer.js';
import type { StoreFile } from './store-file.js';
import type { StoreRoom } from './store-room.js';
import { idleError, internalError, staleError } from './store-state.js';
import type { StoreWaiters } from './store-waiters.js';

export interface TargetedStore {
  readonly id: string;
  readonly version: ObjectVersion;
  readonly availability: Availability;
  /** Who has all of it filled is told when requests failed for so long, and brought nothing. */
  readonly readDeadlineMs: number;
  /** The session's number of the file, once the file is its to read. @throws ContentError */
  attachDirect(): number | undefined;
  /** Whole pages of `range` are in the file, or will not stay behind it long. */
  arrived(range: ByteRange): void;
  /** Nothing more can be fetched. */
  failed(kind: 'stale' | 'failed', error: ContentError): void;
}

export interface StoreTargetParts {
  readonly copy: LocalCopy;
  readonly storeFile: StoreFile;
  readonly room: StoreRoom;
  readonly waiters: StoreWaiters;
  readonly told: (checksums: ObjectChecksums) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class StoreTarget implements DownloadTarget {
  readonly #store: TargetedStore;
  readonly #parts: StoreTargetParts;
  /** Of the attempts that failed since something arrived. */
  #delay: { readonly reason: string; readonly sinceMs: number } | undefined;

  constructor(store: TargetedStore, parts: StoreTargetParts) {
    this.#store = store;
    this.#parts = parts;
  }

  get id(): string {
    return this.#store.id;
  }

  get version(): ObjectVersion {
    return this.#store.version;
  }

  get pageBytes(): number {
    return this.#store.availability.pageBytes;
  }

  /** Why the last attempt failed, as long as nothing has arrived since. */
  get delayReason(): string | undefined {
    return this.#delay?.reason;
  }

  get isWindow(): boolean {
    return this.#parts.room.isWindow;
  }

  /** What failed before counts no more. */
  forgetDelay(): void {
    this.#delay = undefined;
  }

  firstMissing(range: ByteRange): ByteRange | undefined {
    return this.#store.availability.firstMissing(range);
  }

  missing(range: ByteRange): ByteRange[] {
    return this.#store.availability.missing(range);
  }

  wanted(range: ByteRange): boolean {
    return this.#parts.waiters.readers.wants(range);
  }

  peek(range: ByteRange): Promise<Uint8Array> {
    return this.#parts.storeFile.read(range);
  }

  hasRoom({ start, end }: ByteRange): boolean {
    return this.#parts.room.reserve(end - start, { demanded: false });
  }

  beginPart(range: ByteRange): PartTarget {
    const { pageBytes } = this;
    const { room, storeFile } = this.#parts;
    assert(range.start % pageBytes === 0, `a part begins at ${range.start}, inside a page of ${pageBytes}`);
    room.reserve(range.end - range.start, { demanded: true });
    let publishedPages = range.start;
    const publish = (end: number) => {
      this.#publish({ start: publishedPages, end });
      publishedPages = Math.max(publishedPages, Math.floor(end / pageBytes) * pageBytes);
    };
    const lend = () => ({
      // First: nothing may be published before.
      nativeFile: this.#store.attachDirect(),
      ...storeFile.lend(range),
      memory: this.#parts.copy.memory.shared(),
      told: this.#parts.told,
    });
    return new PartWriter(storeFile, range.start, publish, lend);
  }

  delayed(reason: string): void {
    const { waiters, clock } = this.#parts;
    const { version, readDeadlineMs } = this.#store;
    const nowMs = clock.nowMs();
    const sinceMs = this.#delay?.sinceMs ?? nowMs;
    this.#delay = { reason, sinceMs };
    // Between attempts it may wait for its turn behind others as long as these take: that is no failure.
    if (nowMs - sinceMs >= readDeadlineMs) waiters.fills.fail(idleError(version, readDeadlineMs, reason));
  }

  partFailed(range: ByteRange, failure: PartFailure): void {
    const { waiters, logger } = this.#parts;
    const { id, version } = this.#store;
    switch (failure.kind) {
      case 'denied':
        waiters.fail(new ContentError('denied', failure.error.message, failure.error), range);
        return;
      case 'threw': {
        const isKnown = failure.error instanceof ContentError;
        const error = isKnown ? failure.error : internalError(version, failure.error);
        logger.error({ store: id, err: error.cause }, error.message);
        if (error.code === 'no_space') waiters.fail(error, range);
        else this.#store.failed('failed', error);
        return;
      }
      default:
        unreachable(failure);
    }
  }

  expired(reason: string): void {
    this.#store.failed('stale', staleError(this.#store.version, reason));
  }

  #publish(range: ByteRange): void {
    this.#delay = undefined;
    this.#parts.room.arrived(range);
    this.#store.arrived(range);
  }
}
