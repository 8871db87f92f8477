/**
 * What file/ gets for one object version: where its bytes lie on local disk, the memory that says which have arrived and
 * how blocks are summed, and what the cache wants to hear of it. Given by a CopySource: the Cache (cache.ts), which
 * keeps copies over opens, restarts and processes, or PrivateCopies (private-copy.ts), which keeps nothing.
 *
 * Promises: nothing here throws for trouble of the cache itself (index, disk full, locks); the copy is private then and
 * a line in the log says why. A copy is given once at a time to a process, and is to be released.
 */
import type { Availability } from '../runtime/availability.js';
import type { BlockChecksums } from '../runtime/block-checksums.js';
import type { SharedMemory } from '../runtime/shared-memory.js';
import type { ObjectVersion } from '../object-store/object-store.js';

export type CopyRole =
  /** This process fills the copy, or it is complete. */
  | 'owner'
  /** Another live process fills it: same file, same memory. What is needed is asked of that one (src/cache/peers/). */
  | 'follower'
  /** Known to this process only, deleted at `release`. */
  | 'private';

/** How much of the availability, as it was found, is to be believed. */
export type CopyTrust =
  /** Nothing is there. */
  | 'fresh'
  /** What the availability says is there. */
  | 'partial'
  /** Everything is there, and was compared with the server's checksum as far as that goes: see `verdict`. */
  | 'complete'
  /**
   * The data file is there, but who wrote it last did not end well, or somebody else did. The availability was cleared;
   * blocks whose bytes have the CRC32C that is known of them may be published again.
   */
  | 'unverified';

/** What came of comparing a complete copy with the server's checksum of the object; a differing one is condemned. */
export type CopyVerdict =
  /** Not compared. */
  | 'unknown'
  /** The server has none that could be compared. */
  | 'none'
  | 'matches';

export interface CopyMemory {
  readonly availability: Availability;
  readonly checksums: BlockChecksums;
  /** Where it lies, for worker threads; a mapped one's descriptor is valid until the copy is released. */
  shared(): SharedMemory;
}

export type TakeOver =
  /** The claim is this process's now: `role` is 'owner', `memory` and `path` are what they were, and are believed. */
  | 'owner'
  /** Another process was faster: `ownerId` is that one's. */
  | 'follower'
  /** The copy has been completed, and `path` is the complete file's: `role` is 'owner'. */
  | 'complete'
  /** The cache has given it up: nobody fills it. The copy is of no use any more: release it and take a private one. */
  | 'gone';

export interface LocalCopy {
  /** Changes by `takeOver` and `detach`. */
  readonly role: CopyRole;
  /**
   * Of the data file, byte n of the object at offset n. It is renamed at completion, for a follower by another process:
   * whoever finds nothing there asks once more.
   */
  readonly path: string;
  /** The data file has been created, as those of the cache are. Else whoever writes first creates it, with its size. */
  readonly exists: boolean;
  readonly memory: CopyMemory;
  readonly trust: CopyTrust;
  readonly verdict: CopyVerdict;
  /** The owner that a follower follows. */
  readonly ownerId: string | undefined;
  /** Bytes that may lie on disk, of those that `reserve` asked for and those that were there before. */
  readonly reservedBytes: number;

  /** To be asked before so many more bytes are written. False: the budget has no room, even after evicting. */
  reserve(bytesMore: number): boolean;
  /**
   * All bytes are there and were compared, if they could be: the file gets its final name, the copy may be used by
   * others and after a restart without a look at its bytes. What fails here is logged, and the copy stays incomplete.
   * @param checksum the server's, as text, for people
   */
  filled(verdict: CopyVerdict, checksum?: string): void;
  /** Of an unverified copy: every block was looked at, and the availability says what is there. */
  verified(): void;
  /** Its bytes are not the object: never given to anybody again, and deleted at `release`. */
  condemn(): void;
  /** Taken out of the cache: private from now on, deleted at `release`; still counted in the budget until then. */
  detach(): void;
  /**
   * After `detach`: no other process has it open, nor can it any more. Only then may bytes be taken out of the file: others
   * may write and publish at any moment.
   */
  isAlone(): boolean;
  /** For a follower whose owner is gone. */
  takeOver(): TakeOver;
  /** This process has no more use for the copy, its file or its memory: what the availability says is believed. Idempotent. */
  release(): void;
}

export interface CopySource {
  /** Never waits for the network, nor for other processes but for their short transactions. */
  acquire(version: ObjectVersion): LocalCopy;
  /** Copies that were not released are, and nothing may be acquired any more. Idempotent. */
  close(): void;
}
