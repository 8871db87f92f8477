/**
 * The Fetcher of a store whose copy another daemon fills: passes on what readers want, has the store look at the shared
 * availability when the owner says so, and fetches by a download of its own when there is no owner to rely on. Made by
 * StoreFilling for copies in the role of a follower.
 *
 * Promises: what readers wait for is always asked of somebody: of the owner, of its successor (perhaps this process)
 * when the connection ends, or of this process's own download when the owner lives but does not answer, or may not read
 * what this one may. Two that fetch the same page write the same bytes to the same place, and both publish them.
 */
import type { LocalCopy } from '../cache/local-copy.js';
import type { CopyEnd, CopyFollowing, CopyLink, CopyLinkListener } from '../cache/peers/peers.js';
import type { FillKind } from '../download/downloader.js';
import type { DownloadTarget } from '../download/target.js';
import type { Logger } from '../observability/logger.js';
import { unreachable } from '../runtime/assert.js';
import type { CancelTimer, Clock } from '../runtime/clock.js';
import type { ByteRange } from '../runtime/range.js';
import { ContentError } from './content.js';
import type { Fetcher } from './store-deps.js';

/** The store, as far as its following looks at it. */
export interface FollowingStore {
  /** More may be there than before. */
  advancedElsewhere(): void;
  /** What is there is not the object. */
  corrupted(): void;
  /** The cache has given the copy up: who has it open reads on, nobody else may be given this store. */
  onUnusable(): void;
}

export interface FollowingFetcherDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly following: CopyFollowing;
  readonly createDownloader: (target: DownloadTarget) => Fetcher;
  /** All of it cannot be had now; readers may get theirs. */
  readonly unfilled: (error: ContentError) => void;
}

/**
 * An owner that died gives its lock back with its other descriptors, in an order that is the kernel's: who hears of the
 * end of a connection may find the lock still held for a moment. So an owner that cannot be reached is looked for again,
 * at once and then in doubling intervals, 2.5 s in all.
 */
const FIND_AGAIN_MS = 10;
const LOSSES_MAX = 8;
/** Demands are remembered for a new owner; more than this many are looked through for those that were answered. */
const DEMANDED_MIN = 64;

export class FollowingFetcher implements Fetcher {
  readonly #store: FollowingStore;
  readonly #target: DownloadTarget;
  readonly #copy: LocalCopy;
  readonly #deps: FollowingFetcherDeps;
  /** What was demanded since the last `stop`, at least all that has not arrived. */
  #demanded: ByteRange[] = [];
  #demandedMax = DEMANDED_MIN;
  #fill: FillKind | undefined;
  #link: CopyLink | undefined;
  #cancelRetry: CancelTimer | undefined;
  /** In place of the owner. */
  #own: Fetcher | undefined;
  #losses = 0;
  #arrivedAtLoss = -1;

  constructor(store: FollowingStore, target: DownloadTarget, copy: LocalCopy, deps: FollowingFetcherDeps) {
    this.#store = store;
    this.#target = target;
    this.#copy = copy;
    this.#deps = deps;
  }

  /** Of this process. */
  get partsInFlight(): number {
    return this.#own?.partsInFlight ?? 0;
  }

  get bytesInFlight(): number {
    return this.#own?.bytesInFlight ?? 0;
  }

  isUnderWay(range: ByteRange): boolean {
    return this.#own?.isUnderWay(range) ?? false;
  }

  observe(range: ByteRange): void {
    if (this.#own !== undefined) this.#own.observe(range);
    else this.#openLink()?.observe(range);
  }

  demand(range: ByteRange): void {
    if (this.#demanded.length >= this.#demandedMax) {
      this.#demanded = this.#stillDemanded();
      this.#demandedMax = Math.max(DEMANDED_MIN, 2 * this.#demanded.length);
    }
    this.#demanded.push(range);
    if (this.#own !== undefined) this.#own.demand(range);
    else this.#openLink()?.demand(range);
  }

  fill(kind: FillKind): void {
    this.#fill = kind;
    if (this.#own !== undefined) this.#own.fill(kind);
    else this.#openLink()?.fill(kind);
  }

  stop(): void {
    this.#demanded = [];
    this.#fill = undefined;
    this.#losses = 0;
    this.#closeLink();
    this.#own?.stop();
    if (this.#copy.role === 'follower') this.#own = undefined;
  }

  /** Undefined while it is not known who is the owner. */
  #openLink(): CopyLink | undefined {
    if (this.#cancelRetry !== undefined) return undefined;
    if (this.#link !== undefined) return this.#link;
    const { ownerId } = this.#copy;
    if (this.#copy.role !== 'follower' || ownerId === undefined) {
      this.#fetchAlone('this process is the owner');
      return undefined;
    }
    this.#link = this.#deps.following.follow(ownerId, this.#target.version, this.#listener());
    this.#askAgain(this.#link);
    return this.#link;
  }

  #closeLink(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#link?.close();
    this.#link = undefined;
  }

  #listener(): CopyLinkListener {
    return {
      advanced: () => this.#store.advancedElsewhere(),
      arrived: (range) => this.#arrived(range),
      failed: (range, code, message) => this.#failed(range, code, message),
      unfilled: (code, message) => this.#unfilled(code, message),
      ended: (end, message) => this.#ended(end, message),
      lost: (reason) => this.#lost(reason),
      unresponsive: () => this.#fetchAlone('the owner does not answer'),
    };
  }

  #arrived({ start, end }: ByteRange): void {
    this.#store.advancedElsewhere();
    const isElsewhere = this.#stillDemanded().some((range) => range.start >= start && range.end <= end);
    // Nothing is taken out of a file that others have open: its bytes must have come into another.
    if (!isElsewhere) return;
    this.#link?.close();
    this.#lost('it fills another copy');
  }

  #failed(range: ByteRange, code: string, message: string): void {
    // Its credentials may be others than ours.
    if (code === 'denied') this.#fetchAlone(message);
    else if (code === 'no_space') {
      this.#target.partFailed(range, { kind: 'threw', error: new ContentError('no_space', message) });
    }
    // All else ends its store, which is told apart.
  }

  #unfilled(code: string, message: string): void {
    if (code === 'denied') this.#fetchAlone(message);
    else if (code === 'no_space') this.#deps.unfilled(new ContentError('no_space', message));
  }

  #ended(end: CopyEnd, message: string): void {
    switch (end) {
      case 'complete':
        this.#link = undefined;
        return this.#store.advancedElsewhere();
      case 'stale':
        this.#link = undefined;
        return this.#target.expired('the daemon that fetches it found it so');
      case 'corrupt':
        this.#link = undefined;
        return this.#store.corrupted();
      case 'failed':
        return this.#lost(message);
      default:
        unreachable(end);
    }
  }

  /** The owner is gone, or does not fill the copy any more: finds out who does. */
  #lost(reason: string): void {
    this.#link = undefined;
    const outcome = this.#copy.takeOver();
    this.#deps.logger.debug({ store: this.#target.id, reason, outcome }, 'the owner of a copy was lost');
    switch (outcome) {
      case 'owner':
        this.#fetchAlone(reason);
        // Perhaps it died before it could say that all was there.
        return this.#store.advancedElsewhere();
      case 'follower':
        return this.#findAgain(reason);
      case 'complete':
        return this.#store.advancedElsewhere();
      case 'gone':
        this.#store.onUnusable();
        return this.#fetchAlone(reason);
      default:
        unreachable(outcome);
    }
  }

  #findAgain(reason: string): void {
    const { arrivedBytes } = this.#copy.memory.availability;
    this.#losses = arrivedBytes === this.#arrivedAtLoss ? this.#losses + 1 : 0;
    this.#arrivedAtLoss = arrivedBytes;
    if (this.#losses > LOSSES_MAX) return this.#fetchAlone(reason);
    if (this.#losses === 0) return this.#reopen();
    this.#cancelRetry = this.#deps.clock.after(FIND_AGAIN_MS * 2 ** (this.#losses - 1), () => {
      this.#cancelRetry = undefined;
      // It may have died after all: then this process may be the one that comes after it.
      this.#reopen();
    });
  }

  /** Only when somebody wants something: else the next who does opens the link. */
  #reopen(): void {
    if (this.#own === undefined && (this.#fill !== undefined || this.#stillDemanded().length > 0)) {
      this.#openLink();
    }
  }

  /** From now on this process fetches itself what its readers want, whoever else may do so as well. */
  #fetchAlone(reason: string): void {
    if (this.#own !== undefined) return;
    const { id, version } = this.#target;
    this.#deps.logger.info(
      { store: id, key: version.key, reason },
      'fetching what another daemon was to fetch',
    );
    this.#own = this.#deps.createDownloader(this.#target);
    this.#askAgain(this.#own);
  }

  #askAgain(whom: Pick<Fetcher, 'observe' | 'demand' | 'fill'>): void {
    for (const range of this.#stillDemanded()) {
      whom.observe(range);
      whom.demand(range);
    }
    if (this.#fill !== undefined) whom.fill(this.#fill);
  }

  #stillDemanded(): ByteRange[] {
    return this.#demanded.filter(
      (range) => this.#target.wanted(range) && this.#target.firstMissing(range) !== undefined,
    );
  }
}
