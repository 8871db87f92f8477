/**
 * A copy of the cache as one process has it open: see LocalCopy. Made by Cache, which is also its keeper: the index may
 * fail at any moment, and nobody who reads is to notice.
 *
 * A copy is left with a stamp only by an end in order: whoever filled it says what its files look like, after the last
 * byte was written. Without one, or with another, the next owner believes nothing that no checksum speaks for.
 */
import type { BigIntStats } from 'node:fs';
import type { ObjectVersion } from '../object-store/object-store.js';
import { unreachable } from '../runtime/assert.js';
import { grainsFor } from './budget.js';
import type { Budget } from './budget.js';
import type { CacheDirectory } from './cache-directory.js';
import type { FileOperations } from './file-operations.js';
import type { Left } from './index/claims.js';
import type { CopyMemory, CopyRole, CopyTrust, CopyVerdict, LocalCopy, TakeOver } from './local-copy.js';
import { mapFileBytes } from './map-file.js';
import type { MapFile } from './map-file.js';
import { stampOf } from './stamp.js';

/** What a copy needs of its cache. */
export interface CopyKeeper {
  readonly directory: CacheDirectory;
  readonly budget: Budget;
  readonly files: FileOperations;
  readonly boot: string | undefined;
  /** What `work` gives; undefined, and a line in the log, when it throws. */
  readonly attempt: <T>(what: string, work: () => T) => T | undefined;
  /** Does `work`, now or when the index answers again. */
  readonly insist: (what: string, work: () => void) => void;
  /** The same of what has nothing to do with the index. */
  readonly quietly: <T>(what: string, work: () => T) => T | undefined;
  readonly released: (copy: CachedCopy) => void;
}

export interface CopyBeginning {
  readonly id: number;
  readonly name: string;
  readonly version: ObjectVersion;
  readonly map: MapFile;
  readonly role: CopyRole;
  readonly trust: CopyTrust;
  readonly verdict: CopyVerdict;
  readonly ownerId: string | undefined;
  /** What is counted for it. */
  readonly bytes: number;
}

/** Of `stat`'s blocks, on every system. */
const STAT_BLOCK_BYTES = 512;

export class CachedCopy implements LocalCopy {
  readonly memory: CopyMemory;
  /** From the claim on. */
  readonly exists = true;
  readonly trust: CopyTrust;
  readonly #keeper: CopyKeeper;
  readonly #id: number;
  readonly #name: string;
  readonly #version: ObjectVersion;
  readonly #map: MapFile;
  /** This process made its files. */
  readonly #isOurs: boolean;
  #role: CopyRole;
  #ownerId: string | undefined;
  #verdict: CopyVerdict;
  #isComplete: boolean;
  /** Its availability says all there is to say of its files. */
  #isVouchedFor: boolean;
  #chargedBytes: number;
  #reservedBytes: number;
  #released = false;

  constructor(keeper: CopyKeeper, beginning: CopyBeginning) {
    const { map, role, trust } = beginning;
    this.#keeper = keeper;
    this.#id = beginning.id;
    this.#name = beginning.name;
    this.#version = beginning.version;
    this.#map = map;
    this.memory = map;
    this.trust = trust;
    this.#isOurs = role === 'owner' && trust === 'fresh';
    this.#role = role;
    this.#ownerId = beginning.ownerId;
    this.#verdict = trust === 'complete' ? beginning.verdict : 'unknown';
    this.#isComplete = trust === 'complete';
    this.#isVouchedFor = trust !== 'unverified';
    this.#chargedBytes = beginning.bytes;
    this.#reservedBytes = Math.max(0, beginning.bytes - mapFileBytes(beginning.version.size));
  }

  get role(): CopyRole {
    return this.#role;
  }

  get path(): string {
    const { directory } = this.#keeper;
    const complete = () => directory.fileOf(this.#name, 'complete');
    if (this.#isComplete) return complete();
    // Nobody renames what this process began. Else another may have, even one that was killed before it could say so.
    const isRenamed = !this.#isOurs && this.#isThere(complete());
    return isRenamed ? complete() : directory.fileOf(this.#name, 'part');
  }

  get verdict(): CopyVerdict {
    return this.#verdict;
  }

  get ownerId(): string | undefined {
    return this.#role === 'follower' ? this.#ownerId : undefined;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  reserve(bytesMore: number): boolean {
    const { budget, attempt, quietly } = this.#keeper;
    const { size } = this.#version;
    const bytes = Math.min(this.#reservedBytes + bytesMore, size);
    const charged = grainsFor(bytes, size) + mapFileBytes(size);
    const more = charged - this.#chargedBytes;
    if (more > 0) {
      const counted = attempt('count the bytes of a copy', () => budget.charge(this.#id, charged, more));
      if (counted !== true) return false;
      this.#chargedBytes = charged;
      // What is known of a copy survives a kill only as far as it was written.
      quietly('save what is there of a copy', () => this.#map.save());
    }
    this.#reservedBytes = bytes;
    return true;
  }

  filled(verdict: CopyVerdict, checksum?: string): void {
    this.#verdict = verdict;
    if (this.#role !== 'owner' || this.#isComplete) return;
    const { directory, insist, quietly } = this.#keeper;
    const left = quietly('complete a copy', () => this.#finish());
    if (left === undefined) return;
    this.#isComplete = true;
    insist('say that a copy is complete', () => {
      const isOurs = directory.index.claims.complete(this.#id, { ...left, verdict, checksum });
      // Another may have condemned it: it goes with the last one that has it open.
      if (!isOurs) this.#role = 'private';
    });
  }

  verified(): void {
    this.#isVouchedFor = !this.#isComplete;
  }

  condemn(): void {
    this.#takeOut('condemn a copy that is not the object');
  }

  detach(): void {
    this.#takeOut('take a copy out of the cache');
  }

  isAlone(): boolean {
    const { directory, attempt } = this.#keeper;
    return attempt('see who has a copy open', () => directory.index.claims.isAlone(this.#id)) === true;
  }

  takeOver(): TakeOver {
    const { directory, attempt } = this.#keeper;
    if (this.#role !== 'follower') return 'gone';
    const taken = attempt('take a copy over', () => directory.index.claims.takeOver(this.#id));
    if (taken === undefined) return 'gone';
    switch (taken.kind) {
      case 'following':
        this.#ownerId = taken.owner;
        return 'follower';
      case 'claimed':
        this.#role = 'owner';
        this.#chargedBytes = taken.bytes;
        this.#reservedBytes = Math.max(0, taken.bytes - mapFileBytes(this.#version.size));
        return 'owner';
      case 'complete':
        this.#role = 'owner';
        this.#isComplete = true;
        return 'complete';
      case 'gone':
        return 'gone';
      default:
        return unreachable(taken);
    }
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    const { directory, quietly, insist, released } = this.#keeper;
    const { claims } = directory.index;
    const left = quietly('leave a copy', () => this.#leave());
    insist('release a copy', () => claims.release(this.#id, directory.newName(), left));
    released(this);
  }

  /** Gives the data file its final name, unless one before us did, who could not say so. Returns what it is left like. */
  #finish(): Left {
    const { directory, files, boot } = this.#keeper;
    this.#map.save();
    const complete = directory.fileOf(this.#name, 'complete');
    const { path } = this;
    if (path !== complete) files.rename(path, complete);
    const data = files.stat(complete);
    return {
      stamp: stampOf(boot, [data]),
      bytes: this.#bytesOnDisk(this.#version.size, [data, this.#mapStat()]),
    };
  }

  /** Ends the use of the memory. Returns what a partial copy of ours is left like, if its availability tells. */
  #leave(): Left | undefined {
    const isOurs = this.#role === 'owner' && !this.#isComplete;
    const { arrivedBytes } = this.memory.availability;
    try {
      if (isOurs) this.#map.save();
    } finally {
      this.#map.close();
    }
    if (!isOurs || !this.#isVouchedFor) return undefined;
    const { files, boot } = this.#keeper;
    const found = [files.stat(this.path), this.#mapStat()];
    return {
      stamp: stampOf(boot, found),
      bytes: arrivedBytes === 0 ? 0 : this.#bytesOnDisk(arrivedBytes, found),
    };
  }

  #takeOut(what: string): void {
    if (this.#role === 'private') return;
    const { directory, insist } = this.#keeper;
    this.#role = 'private';
    insist(what, () => directory.index.claims.condemn(this.#id, directory.newName()));
  }

  /** For readers, to whom the cache does not fail. */
  #isThere(path: string): boolean {
    try {
      return this.#keeper.files.stat(path) !== undefined;
    } catch {
      return false;
    }
  }

  #mapStat(): BigIntStats | undefined {
    const { directory, files } = this.#keeper;
    return files.stat(directory.fileOf(this.#name, 'map'));
  }

  /** At least what arrived: some file systems count blocks only when they are written out. */
  #bytesOnDisk(arrivedBytes: number, found: readonly (BigIntStats | undefined)[]): number {
    const blocks = found.reduce((sum, stat) => sum + Number(stat?.blocks ?? 0n), 0);
    return Math.max(blocks * STAT_BLOCK_BYTES, arrivedBytes + mapFileBytes(this.#version.size));
  }
}
