/**
 * Has one store fetch all of its object and waits for it, as `warm` and `pin` do: at the priority of prefetch, so that
 * readers go first, and until the requests of this object have failed for the deadline of a read and brought nothing
 * (StoreTarget). A file that only waits for its turn behind others is waited for.
 */
import type { Clock } from '../runtime/clock.js';
import { AbortedWait, untilAborted } from '../object-store/abort.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import { Deferred } from '../runtime/deferred.js';
import type { FillOptions } from './content.js';
import type { RangeWaiter, SettleWait, WaitOutcome } from './range-waiters.js';
import { abortedError, idleError, noRoomError } from './store-state.js';
import type { StoreProgress } from './store-deps.js';

/** The store, as far as filling it looks at it. */
export interface FillableStore {
  readonly version: ObjectVersion;
  readonly availability: { readonly arrivedBytes: number };
  /** By another daemon, which tells of what arrives, not of requests that fail. Else their failing ends the wait. */
  readonly isFetchedElsewhere: boolean;
  /** Makes sure that all of it may lie in the cache, and fetches it. False: there is no room. */
  beginWhole(): boolean;
  /** Waits for all of it; settles at once when it is there, or cannot come. */
  waitForWhole(settle: SettleWait): RangeWaiter;
  onProgress(listener: (progress: StoreProgress) => void): () => void;
  /** Settles when the complete copy was compared. @throws ContentError corrupt */
  compared(): Promise<void>;
}

/** @param idleMsMax gives up when nothing arrived for this long of what is fetched elsewhere. @throws ContentError */
export async function fillWhole(
  store: FillableStore,
  { signal, onProgress }: FillOptions,
  clock: Clock,
  idleMsMax: number,
): Promise<void> {
  if (!store.beginWhole()) throw noRoomError(store.version);
  onProgress?.(store.availability.arrivedBytes);
  const settled = new Deferred<WaitOutcome>();
  const waiter = store.waitForWhole((outcome) => settled.resolve(outcome));
  let cancel = () => {};
  const watch = () => {
    cancel();
    cancel = clock.after(idleMsMax, () => {
      if (store.isFetchedElsewhere)
        waiter.giveUp(idleError(store.version, idleMsMax, 'another daemon fetches it'));
      else watch();
    });
  };
  watch();
  const endProgress = store.onProgress(({ arrivedBytes }) => {
    watch();
    onProgress?.(arrivedBytes);
  });
  const onAbort = () => waiter.giveUp(abortedError());
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const outcome = await settled.promise;
  cancel();
  endProgress();
  signal.removeEventListener('abort', onAbort);
  if (outcome.kind === 'failed') throw outcome.error;
  await untilAborted(store.compared(), signal).catch((error: unknown) => {
    throw error instanceof AbortedWait ? abortedError() : error;
  });
}
