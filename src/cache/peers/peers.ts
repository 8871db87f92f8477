/**
 * The vocabulary of daemons that share a cache directory: one of them, the *owner* of a copy, fetches an object version
 * into it; the others, its *followers*, see the same file and map, tell the owner what their readers want, and are told
 * when to look at the map again. PeerServer speaks for an owner, PeerLinks for followers; the store layer above
 * implements PeerHost and the listeners.
 *
 * Nobody calls back into its caller: listeners are called in a later turn of the event loop than the call they answer.
 */
import type { ObjectVersion } from '../../object-store/object-store.js';
import type { ByteRange } from '../../runtime/range.js';

/** What the owner's stores do for followers. */
export interface PeerHost {
  /** Opens the version for a follower; undefined when this process does not fill its copy. Never waits, never throws. */
  open(version: ObjectVersion, listener: PeerStoreListener): PeerStore | undefined;
}

/** A version that a follower has open at its owner: counts as an open handle until `close`. */
export interface PeerStore {
  /** A reader of the follower read, or wants, `range`: what comes after it may be fetched ahead. */
  observe(range: ByteRange): void;
  /** A reader waits for `range`. Answered by `arrived` when its bytes are there, also when they were before. */
  demand(range: ByteRange): void;
  /** All of it is wanted. Answered by `unfilled`, when it was to come as prefetch and cannot be had now. */
  fill(kind: CopyFill): void;
  /** Idempotent; the listener is not called any more. */
  close(): void;
}

/** Below all else, or as what is fetched ahead of readers. */
export type CopyFill = 'gently' | 'as prefetch';

/** How the filling of a copy ended. */
export type CopyEnd =
  /** All bytes are there. */
  | 'complete'
  /** The object is no longer this version. */
  | 'stale'
  /** The copy cannot be written. */
  | 'failed'
  /** What arrived is not the object. */
  | 'corrupt';

/** What is said of an open version. May be called within `open` and `demand` by a host. */
export interface PeerStoreListener {
  /** More bytes may be there than before. Called as often as one likes: many calls become one. */
  advanced(): void;
  /** What was demanded is there: who does not see it follows another copy. */
  arrived(range: ByteRange): void;
  /** `range` cannot be had now. `code` is the store layer's own, and means there what it meant here. */
  failed(range: ByteRange, code: string, message: string): void;
  /** All of it cannot be had now: readers may get theirs still. `code` as of `failed`. */
  unfilled(code: string, message: string): void;
  /** The last call. */
  ended(end: CopyEnd, message: string): void;
  /** This process does not fill the copy any more, though that has not ended. The last call. */
  gaveUp(reason: string): void;
}

/** A follower's side of an open version. After `close`, and after the last event, calls do nothing. */
export interface CopyLink {
  observe(range: ByteRange): void;
  demand(range: ByteRange): void;
  fill(kind: CopyFill): void;
  close(): void;
}

/** What a follower hears. `ended` and `lost` are the last calls. */
export interface CopyLinkListener extends Omit<PeerStoreListener, 'gaveUp'> {
  /** The owner is gone, or does not fill this copy: look who does now. Its bytes stay. */
  lost(reason: string): void;
  /** The owner lives but did not take note of a demand or fill for seconds (stopped, or hanging). Called once at most. */
  unresponsive(): void;
}

export interface CopyFollowing {
  /** Opens a copy at its owner. Never waits, never throws: an owner that cannot be reached is `lost`. */
  follow(ownerId: string, version: ObjectVersion, listener: CopyLinkListener): CopyLink;
}
