/**
 * Who waits for bytes of one store: its readers, and those who only have it filled. Both hear of what arrives and of what
 * cannot be had; but a fill asks for nothing ahead of others, and is no reason to give up what is in the cache: what is
 * `wanted` is said by the readers alone. Owned by TempFileStore.
 */
import type { ByteRange } from '../runtime/range.js';
import type { ContentError } from './content.js';
import { RangeWaiters } from './range-waiters.js';

export class StoreWaiters {
  readonly readers = new RangeWaiters();
  readonly fills = new RangeWaiters();

  /** Settles everybody whose range `isAvailable`. */
  wake(isAvailable: (range: ByteRange) => boolean): void {
    this.readers.wake(isAvailable);
    this.fills.wake(isAvailable);
  }

  /** Fails everybody who wants a byte of `range`, or all of them. */
  fail(error: ContentError, range?: ByteRange): void {
    this.readers.fail(error, range);
    this.fills.fail(error, range);
  }
}
