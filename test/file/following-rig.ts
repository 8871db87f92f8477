/** A FollowingFetcher over links and downloads that remember what was asked of them. */
import type { LocalCopy, TakeOver } from '../../src/cache/local-copy.js';
import { TransientMemory } from '../../src/cache/private-copy.js';
import type { CopyFill, CopyLink, CopyLinkListener } from '../../src/cache/peers/peers.js';
import type { DownloadTarget, PartFailure } from '../../src/download/target.js';
import { ContentError } from '../../src/file/content.js';
import { FollowingFetcher } from '../../src/file/following-fetcher.js';
import type { Fetcher } from '../../src/file/store-deps.js';
import { silentLogger } from '../../src/observability/logger.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import type { ByteRange } from '../../src/runtime/range.js';
import { SimulatedClock } from '../support/simulated-clock.js';

export const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
const VERSION: ObjectVersion = {
  endpoint: 'http://127.0.0.1:9',
  bucket: 'b',
  key: 'k',
  etag: '"1"',
  size: SIZE,
};
export const FIRST = { start: 0, end: MIB };
export const LATER = { start: 9 * MIB, end: 10 * MIB };

/** What was asked of a link or of a downloader. */
class Asked implements CopyLink, Fetcher {
  readonly partsInFlight = 0;
  readonly bytesInFlight = 0;
  readonly isUnderWay = () => true;
  readonly observed: ByteRange[] = [];
  demanded: ByteRange[] = [];
  readonly fills: CopyFill[] = [];
  isClosed = false;

  observe(range: ByteRange): void {
    this.observed.push(range);
  }

  demand(range: ByteRange): void {
    this.demanded.push(range);
  }

  fill(kind: CopyFill): void {
    this.fills.push(kind);
  }

  close(): void {
    this.isClosed = true;
  }

  stop(): void {
    this.isClosed = true;
  }
}

interface OpenedLink extends Asked {
  ownerId: string;
  listener: CopyLinkListener;
}

/** A store whose copy the daemon `first` fills; the next owners are as `takeOvers` says, `first` still after those. */
export function follow(takeOvers: TakeOver[] = []) {
  const clock = new SimulatedClock();
  const memory = new TransientMemory(SIZE);
  const { availability } = memory;
  const copy = { role: 'follower', ownerId: 'first', memory } as {
    -readonly [Key in keyof LocalCopy]: LocalCopy[Key];
  };
  copy.takeOver = () => {
    const outcome = takeOvers.shift() ?? 'follower';
    if (outcome === 'owner' || outcome === 'complete')
      Object.assign(copy, { role: 'owner', ownerId: undefined });
    return outcome;
  };
  const wanted = new Set<ByteRange>();
  const told: string[] = [];
  const target = {
    id: 's1',
    version: VERSION,
    firstMissing: (range: ByteRange) => availability.firstMissing(range),
    wanted: (range: ByteRange) => wanted.has(range),
    partFailed: ({ start }: ByteRange, { kind, error }: PartFailure) =>
      told.push(`part ${start} ${kind} ${error instanceof ContentError ? error.code : ''}`),
    expired: () => told.push('expired'),
  } as unknown as DownloadTarget;
  const store = {
    advancedElsewhere: () => told.push('advanced'),
    corrupted: () => told.push('corrupted'),
    onUnusable: () => told.push('unusable'),
  };
  const links: OpenedLink[] = [];
  const downloads: Asked[] = [];
  const fetcher = new FollowingFetcher(store, target, copy, {
    clock,
    logger: silentLogger,
    unfilled: ({ code }: ContentError) => told.push(`unfilled ${code}`),
    following: {
      follow: (ownerId, _version, listener) => {
        const link = Object.assign(new Asked(), { ownerId, listener });
        links.push(link);
        return link;
      },
    },
    createDownloader: () => {
      const download = new Asked();
      downloads.push(download);
      return download;
    },
  });
  const read = (range: ByteRange) => {
    wanted.add(range);
    fetcher.observe(range);
    fetcher.demand(range);
  };
  return { fetcher, read, wanted, told, links, downloads, copy, availability, clock };
}
