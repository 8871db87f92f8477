/** A store that another daemon's readers use through its owner: what cache/peers/ asks of one, told by TempFileStores. */
import type { PeerStore, PeerStoreListener } from '../cache/peers/peers.js';
import type { RangeWaiter, SettleWait } from './range-waiters.js';
import type { TempFileStore } from './temp-file-store.js';

/** @param onClose called once, when the follower is through with it */
export function openForPeer(
  store: TempFileStore,
  listener: PeerStoreListener,
  onClose: () => void,
): PeerStore {
  /** By what is waited for: who gave up and came again wants the same. */
  const waiting = new Map<string, RangeWaiter>();
  let isOpen = true;
  const endProgress = store.onProgress(() => listener.advanced());
  void store.done.then((outcome) => {
    if (!isOpen) return;
    if (outcome.kind === 'completed') listener.ended('complete', 'all bytes arrived');
    else if (outcome.kind === 'closed') listener.gaveUp('the store was closed');
    else listener.ended(endOf(outcome.error.code), outcome.error.message);
  });
  const wait = (name: string, begin: (settle: SettleWait) => RangeWaiter, settled: SettleWait) => {
    waiting.get(name)?.withdraw();
    waiting.delete(name);
    const waiter = begin((outcome) => {
      waiting.delete(name);
      settled(outcome);
    });
    if (waiter.isWaiting) waiting.set(name, waiter);
  };
  return {
    observe: (range) => store.observe(range),
    demand: (range) => {
      const begin = (settle: SettleWait) => store.wait(range, settle);
      wait(`${range.start}-${range.end}`, begin, (outcome) => {
        if (outcome.kind === 'arrived') listener.arrived(range);
        else listener.failed(range, outcome.error.code, outcome.error.message);
      });
    },
    fill: (kind) => {
      store.fill(kind);
      // What is fetched below all else nobody waits for.
      if (kind === 'gently') return;
      const begin = (settle: SettleWait) => store.waitForWhole(settle);
      wait('whole', begin, (outcome) => {
        // Its arrival is the end of the copy, which is told apart.
        if (outcome.kind === 'failed') listener.unfilled(outcome.error.code, outcome.error.message);
      });
    },
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
