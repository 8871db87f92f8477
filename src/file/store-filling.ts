/**
 * Where the bytes of one store come from that are not believed to be in its file: first what is there already and only
 * has to be verified, then a download of this process, or of the one that fills the copy for all. To the store it is one
 * Fetcher. Owned by TempFileStore.
 *
 * Promise: while a copy is being verified nothing is fetched but what a reader waits for and verification did not find.
 */
import type { LocalCopy } from '../cache/local-copy.js';
import type { FillKind } from '../download/downloader.js';
import type { DownloadTarget } from '../download/target.js';
import type { ByteRange } from '../runtime/range.js';
import type { LocalFile } from './sparse-file.js';
import { FollowingFetcher } from './following-fetcher.js';
import type { FollowingFetcherDeps, FollowingStore } from './following-fetcher.js';
import type { Fetcher, TempFileStoreDeps } from './store-deps.js';
import { BlockVerifier } from './store-verification.js';

/** The store, as far as its filling looks at it. */
export interface FilledStore extends FollowingStore {
  readonly id: string;
  /** Bytes of `range`, found to be right, are in the file. */
  arrived(range: ByteRange): void;
}

export type StoreFillingDeps = Pick<
  TempFileStoreDeps,
  'createFetcher' | 'following' | 'verification' | 'cacheMetrics' | 'clock' | 'logger'
> &
  Pick<FollowingFetcherDeps, 'unfilled'>;

export class StoreFilling implements Fetcher {
  readonly #target: DownloadTarget;
  readonly #fetcher: Fetcher;
  #verifier: BlockVerifier | undefined;
  #fill: FillKind | undefined;
  #isClosed = false;

  constructor(
    store: FilledStore,
    target: DownloadTarget,
    copy: LocalCopy,
    file: LocalFile,
    deps: StoreFillingDeps,
  ) {
    this.#target = target;
    this.#fetcher = createFetcher(store, target, copy, deps);
    if (copy.trust !== 'unverified') return;
    const { availability, checksums } = copy.memory;
    const { cacheMetrics } = deps;
    const publish = (range: ByteRange) => {
      cacheMetrics.found(range.end - range.start);
      store.arrived(range);
    };
    const verifier = new BlockVerifier(
      { id: store.id, file, availability, blocks: checksums, publish },
      deps.verification,
    );
    this.#verifier = verifier;
    verifier.start();
    void verifier.done.then(({ blocksWrong }) => {
      if (blocksWrong > 0) cacheMetrics.verificationFailed();
      this.#verificationEnded(copy);
    });
  }

  /** Settles when the file holds nothing that only waits to be verified. */
  async verified(): Promise<void> {
    await this.#verifier?.done;
  }

  get partsInFlight(): number {
    return this.#fetcher.partsInFlight;
  }

  get bytesInFlight(): number {
    return this.#fetcher.bytesInFlight;
  }

  isUnderWay(range: ByteRange): boolean {
    return this.#fetcher.isUnderWay(range);
  }

  observe(range: ByteRange): void {
    if (this.#verifier === undefined) this.#fetcher.observe(range);
  }

  demand(range: ByteRange): void {
    if (this.#verifier === undefined) return this.#fetcher.demand(range);
    void this.#verifier.need(range).then(() => {
      if (this.#target.wanted(range)) this.#fetcher.demand(range);
    });
  }

  fill(kind: FillKind): void {
    this.#fill = kind;
    if (this.#verifier === undefined) this.#fetcher.fill(kind);
  }

  /** Ends fetching; verification goes on. */
  stop(): void {
    this.#fill = undefined;
    this.#fetcher.stop();
  }

  close(): void {
    this.#isClosed = true;
    this.stop();
    this.#verifier?.stop();
  }

  #verificationEnded(copy: LocalCopy): void {
    if (this.#isClosed) return;
    this.#verifier = undefined;
    copy.verified();
    if (this.#fill !== undefined) this.#fetcher.fill(this.#fill);
  }
}

function createFetcher(
  store: FollowingStore,
  target: DownloadTarget,
  copy: LocalCopy,
  { createFetcher: createDownloader, following, clock, logger, unfilled }: StoreFillingDeps,
): Fetcher {
  if (copy.role !== 'follower' || following === undefined) return createDownloader(target);
  return new FollowingFetcher(store, target, copy, { clock, logger, following, createDownloader, unfilled });
}
