/** A store that another daemon's readers use through its owner: what cache/peers/ asks of one, told by TempFileStores. */
import type { PeerStore, PeerStoreListener } from '../cache/peers/peers.js';
import type { RangeWaiter } from './range-waiters.js';
import type { TempFileStore } from './temp-file-store.js';

/** @param onClose called once, when the follower is through with it */
export function openForPeer(
  store: TempFileStore,
  listener: PeerStoreListener,
  onClose: () => void,
): PeerStore {
  /** By range: a reader that gave up and came again wants the same. */
  const waiting = new Map<string, RangeWaiter>();
  let isOpen = true;
  const endProgress = store.onProgress(() => listener.advanced());
  void store.done.then((outcome) => {
    if (!isOpen) return;
    if (outcome.kind === 'completed') listener.ended('complete', 'all bytes arrived');
    else if (outcome.kind === 'closed') listener.gaveUp('the store was closed');
    else listener.ended(endOf(outcome.error.code), outcome.error.message);
  });
  return {
    observe: (range) => store.observe(range),
    demand: (range) => {
      const name = `${range.start}-${range.end}`;
      waiting.get(name)?.withdraw();
      let isSettled = false;
      const waiter = store.wait(range, (outcome) => {
        isSettled = true;
        waiting.delete(name);
        if (outcome.kind === 'arrived') listener.arrived(range);
        else listener.failed(range, outcome.error.code, outcome.error.message);
      });
      if (!isSettled) waiting.set(name, waiter);
    },
    fill: (kind) => store.fill(kind),
    close: () => {
      if (!isOpen) return;
      isOpen = false;
      endProgress();
      for (const waiter of waiting.values()) waiter.withdraw();
      waiting.clear();
      onClose();
    },
  };
}

function endOf(code: string): 'stale' | 'corrupt' | 'failed' {
  return code === 'stale' || code === 'corrupt' ? code : 'failed';
}
