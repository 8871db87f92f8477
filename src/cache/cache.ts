/**
 * The cache as one daemon, or one command, uses it: copies of object versions in a directory that other processes share,
 * kept over opens and restarts within a budget. The composition root opens one per directory; file/ acquires copies, the
 * commands list, pin and evict.
 *
 * Promises: a version is filled by one process at a time, and never by a dead one; what is not certain is verified before
 * it is believed; what is open or pinned is not evicted; trouble of the cache makes copies private, with a line in the
 * log, and reaches no reader.
 */
import type { ObjectVersion } from '../object-store/object-store.js';
import type { CacheMetrics } from '../observability/cache-metrics.js';
import type { Logger } from '../observability/logger.js';
import { asError, assert } from '../runtime/assert.js';
import type { Clock } from '../runtime/clock.js';
import type { MapsFiles } from '../runtime/shared-memory.js';
import { Ballast } from './ballast.js';
import { Budget } from './budget.js';
import { CacheDirectory } from './cache-directory.js';
import { CachedCopy } from './cached-copy.js';
import type { CopyBeginning, CopyKeeper } from './cached-copy.js';
import { cachedObject } from './cached-object.js';
import type { CachedObject, CacheStats, EvictOptions } from './cached-object.js';
import { CopyFiles } from './copy-files.js';
import { checkSpace, refusal } from './directory-check.js';
import { realFiles } from './file-operations.js';
import type { FileOperations } from './file-operations.js';
import { IndexAccess } from './index-access.js';
import type { CopyFilter } from './index/catalogue.js';
import type { AcquireHow, Acquired } from './index/claims.js';
import type { CopyRow } from './index/copy-row.js';
import { isFull } from './index/database.js';
import type { CopySource, LocalCopy } from './local-copy.js';
import type { LocksFiles } from './owner-lock.js';
import { PrivateCopies } from './private-copy.js';
import { reconcile } from './reconcile.js';
import { bootId } from './stamp.js';

export interface CacheDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<CacheMetrics, 'evicted'>;
  /** Without it the directory is shared with nobody. */
  readonly addon: (LocksFiles & MapsFiles) | undefined;
  readonly files?: FileOperations | undefined;
  /** See stamp.ts; for tests. */
  readonly boot?: string | undefined;
}

export interface CacheOptions {
  /** See BudgetOptions. */
  readonly bytesMax: number | undefined;
  readonly freeBytesMin: number | undefined;
  /** Nothing is to be filled: the disk may be full already. */
  readonly fillsNothing?: boolean | undefined;
}

export class Cache implements CopySource {
  readonly #directory: CacheDirectory;
  readonly #deps: CacheDeps;
  readonly #files: FileOperations;
  readonly #access: IndexAccess;
  readonly #budget: Budget;
  readonly #ballast: Ballast;
  readonly #private: PrivateCopies;
  readonly #keeper: CopyKeeper;
  readonly #boot: string | undefined;
  readonly #copies = new Set<CachedCopy>();
  #closed = false;

  /** @throws CacheDirectoryError when the directory cannot be used, with advice */
  static async open(directory: string, options: CacheOptions, deps: CacheDeps): Promise<Cache> {
    try {
      return await Cache.#open(directory, options, deps);
    } catch (error) {
      // Whoever comes to make room needs some to say that they are there.
      if (!isFull(asError(error).cause) || !new Ballast(directory, deps.files ?? realFiles).drop())
        throw error;
      return Cache.#open(directory, options, deps);
    }
  }

  static async #open(directory: string, options: CacheOptions, deps: CacheDeps): Promise<Cache> {
    const files = deps.files ?? realFiles;
    const opened = await CacheDirectory.open(directory, { ...deps, files });
    try {
      reconcile(opened, { files, logger: deps.logger });
      opened.sweep();
      // Now it is known what there is, and what is free.
      const cache = new Cache(opened, options, deps, files);
      cache.#budget.fit();
      if (options.fillsNothing !== true) checkSpace(directory, cache.#budget.freeBytes);
      cache.#takeBallast();
      return cache;
    } catch (error) {
      opened.close();
      throw error instanceof Error && error.name === 'CacheDirectoryError'
        ? error
        : refusal(directory, String(error), 'see to it, or choose another with --cache-dir', error);
    }
  }

  private constructor(
    directory: CacheDirectory,
    options: CacheOptions,
    deps: CacheDeps,
    files: FileOperations,
  ) {
    const { clock, logger, metrics } = deps;
    this.#directory = directory;
    this.#deps = deps;
    this.#files = files;
    this.#boot = 'boot' in deps ? deps.boot : bootId();
    const { index, path } = directory;
    this.#ballast = new Ballast(path, files);
    this.#access = new IndexAccess(clock, logger, () => this.#ballast.drop());
    const sweep = () => directory.sweep();
    this.#budget = new Budget({ index, files, metrics, sweep }, { ...options, path });
    this.#private = new PrivateCopies(directory.privateFolder, logger);
    this.#keeper = {
      directory,
      budget: this.#budget,
      files,
      boot: this.#boot,
      attempt: (what, work) => this.#access.attempt(what, work),
      insist: (what, work) => this.#access.insist(what, work),
      quietly: (what, work) => this.#quietly(what, work),
      released: (copy) => {
        this.#copies.delete(copy);
        this.#sweep();
      },
    };
  }

  get path(): string {
    return this.#directory.path;
  }

  get ownerId(): string {
    return this.#directory.ownerId;
  }

  /** Where PeerServer listens, under `ownerId`, and PeerLinks connect. */
  get ownersFolder(): string {
    return this.#directory.ownersFolder;
  }

  get bytesMax(): number {
    return this.#budget.bytesMax;
  }

  acquire(version: ObjectVersion): LocalCopy {
    return this.#give(version, 'use');
  }

  /** The same for who looks whether a copy is in order: it was not used, and is evicted no later for that. */
  hold(version: ObjectVersion): LocalCopy {
    return this.#give(version, 'look');
  }

  /** Something is, or was, there of a version. */
  knows(version: ObjectVersion): boolean {
    const { claims } = this.#directory.index;
    return this.#access.attempt('look for a copy', () => claims.find(version)) !== undefined;
  }

  /** By key. @throws when the index does not answer, as all that follows */
  list(filter: CopyFilter = {}): CachedObject[] {
    return this.#directory.index.catalogue.list(filter).map(cachedObject);
  }

  stats(): CacheStats {
    const { bytesMax, freeBytesMin, freeBytes } = this.#budget;
    const totals = this.#directory.index.catalogue.totals();
    return { directory: this.path, ...totals, bytesMax, freeBytes, freeBytesMin };
  }

  /** Never evicted from now on. A version that is not here yet is expected: nothing of it is fetched by this. */
  pin(version: ObjectVersion): void {
    const { catalogue } = this.#directory.index;
    this.#access.demand(() => catalogue.pin(version, this.#directory.newName()));
  }

  /** Returns what was pinned. */
  unpin(filter: CopyFilter): CachedObject[] {
    const { catalogue } = this.#directory.index;
    return this.list({ ...filter, pinned: true }).filter(({ id }) =>
      this.#access.demand(() => catalogue.unpin(id)),
    );
  }

  /** Removes copies that nobody has open, by default none that is pinned. Returns those that are gone. */
  evict(filter: CopyFilter, { pinned = false, only = () => true }: EvictOptions = {}): CachedObject[] {
    const { evictions } = this.#directory.index;
    const take = ({ id }: CachedObject) => this.#access.demand(() => evictions.take(id, { pinned }));
    const evicted = this.list(filter).filter((copy) => only(copy) && take(copy));
    this.#access.demand(() => this.#directory.sweep());
    for (const { bytes } of evicted) this.#deps.metrics.evicted(bytes);
    return evicted;
  }

  /** The disk is full: closed copies go, least used first. True when it is worth another try. */
  free(bytes: number): boolean {
    return (this.#access.attempt('make room', () => this.#budget.free(bytes)) ?? 0) > 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const copy of this.#copies) copy.release();
    this.#private.close();
    this.#access.settle();
    this.#directory.close();
  }

  #give(version: ObjectVersion, how: AcquireHow): LocalCopy {
    assert(!this.#closed, 'a copy is acquired after the cache was closed');
    // There is nothing to keep of it, and no file to map.
    if (version.size === 0) return this.#private.acquire(version);
    const copy = this.#acquire(version, how) ?? this.#hide(version);
    if (copy === undefined) return this.#private.acquire(version);
    this.#copies.add(copy);
    this.#takeBallast();
    return copy;
  }

  #acquire(version: ObjectVersion, how: AcquireHow): CachedCopy | undefined {
    const { claims } = this.#directory.index;
    const begun = this.#access.attempt('acquire a copy', () => {
      const begin = this.#budget.beginning(version.size);
      const name = this.#directory.newName();
      return this.#withFiles((files) => {
        return { files, acquired: claims.acquire(version, name, files, how, begin) };
      });
    });
    this.#sweep();
    if (begun === undefined || begun.acquired.kind === 'busy') return undefined;
    return this.#begin(version, begun.acquired, begun.files);
  }

  #begin(
    version: ObjectVersion,
    acquired: Exclude<Acquired, { kind: 'busy' }>,
    files: CopyFiles,
  ): CachedCopy | undefined {
    const { row } = acquired;
    const isFollower = acquired.kind === 'following';
    if (isFollower && this.#quietly('follow a copy', () => files.follow(row)) !== true) {
      this.#release(row);
      return undefined;
    }
    const { map, trust } = files;
    const ownerId = isFollower ? acquired.owner : undefined;
    return this.#copy(row, { version, map, trust, ownerId, role: isFollower ? 'follower' : 'owner' });
  }

  /** A private copy that counts in the budget. */
  #hide(version: ObjectVersion): CachedCopy | undefined {
    const { index } = this.#directory;
    return this.#access.attempt('begin a private copy', () => {
      const row = index.claims.hide(version, this.#directory.newName());
      try {
        return this.#withFiles((files) => {
          files.create(row);
          const { map, trust } = files;
          return this.#copy(row, { version, map, trust, ownerId: undefined, role: 'private' });
        });
      } catch (error) {
        this.#release(row);
        throw error;
      }
    });
  }

  /** What is made of files while `work` throws is gone when it is tried again. */
  #withFiles<T>(work: (files: CopyFiles) => T): T {
    const files = new CopyFiles({
      directory: this.#directory,
      files: this.#files,
      addon: this.#deps.addon,
      boot: this.#boot,
    });
    try {
      return work(files);
    } catch (error) {
      this.#quietly('abandon a copy', () => files.abandon());
      throw error;
    }
  }

  #release({ id }: CopyRow): void {
    const { index } = this.#directory;
    this.#access.insist('release a copy', () => index.claims.release(id, this.#directory.newName()));
  }

  #copy(
    { id, name, bytes, verdict }: CopyRow,
    rest: Pick<CopyBeginning, 'version' | 'map' | 'trust' | 'ownerId' | 'role'>,
  ): CachedCopy {
    return new CachedCopy(this.#keeper, { id, name, bytes, verdict, ...rest });
  }

  #quietly<T>(what: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#deps.logger.warn({ err: error, what }, 'the files of a copy failed: going on without them');
      return undefined;
    }
  }

  #sweep(): void {
    if (!this.#directory.needsSweep) return;
    this.#access.attempt('delete copies', () => this.#directory.sweep());
  }

  #takeBallast(): void {
    this.#quietly('hold some space for the index', () => this.#ballast.take());
  }
}
