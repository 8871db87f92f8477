import t from 'tap';
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

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
const VERSION: ObjectVersion = {
  endpoint: 'http://127.0.0.1:9',
  bucket: 'b',
  key: 'k',
  etag: '"1"',
  size: SIZE,
};
const FIRST = { start: 0, end: MIB };
const LATER = { start: 9 * MIB, end: 10 * MIB };

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
function follow(takeOvers: TakeOver[] = []) {
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

t.test('what readers want goes to the owner, who is followed from the first of it on', async (t) => {
  const { fetcher, read, links, downloads, told } = follow();
  t.equal(links.length, 0, 'nobody wants anything');
  read(FIRST);
  fetcher.fill('gently');
  t.equal(links.length, 1);
  const [link] = links;
  t.equal(link?.ownerId, 'first');
  t.ok(link?.observed.includes(FIRST) && link.demanded.includes(FIRST));
  t.same(link?.fills, ['gently']);
  link?.listener.advanced();
  t.same(told, ['advanced']);
  t.equal(fetcher.partsInFlight, 0);
  t.equal(downloads.length, 0);
});

t.test('who inherits the copy fetches all that its readers wait for, and nothing else', async (t) => {
  const { fetcher, read, links, downloads, availability, wanted } = follow(['owner']);
  const arrived = { start: MIB, end: 2 * MIB };
  const left = { start: 2 * MIB, end: 3 * MIB };
  for (const range of [FIRST, arrived, left, LATER]) read(range);
  availability.publish(arrived);
  wanted.delete(left);
  fetcher.fill('as prefetch');
  links[0]?.listener.lost('killed');
  t.same(downloads[0]?.demanded, [FIRST, LATER]);
  t.same(downloads[0]?.observed, [FIRST, LATER]);
  t.same(downloads[0]?.fills, ['as prefetch']);
  const next = { start: 20 * MIB, end: 21 * MIB };
  read(next);
  t.same(downloads[0]?.demanded.at(-1), next);
  t.equal(links.length, 1, 'nobody is followed any more');
  fetcher.stop();
  t.equal(downloads[0]?.isClosed, true);
  read(FIRST);
  t.equal(downloads[0]?.demanded.at(-1), FIRST, 'it is the owner still');
  t.equal(downloads.length, 1);
});

t.test('when another inherits it, that one is followed and told all again', async (t) => {
  const { read, links, downloads, copy, fetcher } = follow(['follower']);
  read(FIRST);
  fetcher.fill('gently');
  copy.ownerId = 'second';
  links[0]?.listener.lost('killed');
  t.equal(links[1]?.ownerId, 'second');
  t.same(links[1]?.demanded, [FIRST]);
  t.same(links[1]?.fills, ['gently']);
  t.equal(downloads.length, 0);
});

t.test('an owner whose lock outlives its connection is looked for again, a little later', async (t) => {
  const { read, links, downloads, clock } = follow(['follower', 'follower', 'follower', 'owner']);
  read(FIRST);
  links.at(-1)?.listener.lost('the connection ended');
  t.equal(links.length, 2, 'at once');
  links.at(-1)?.listener.lost('no connection');
  t.equal(links.length, 2, 'then a little later');
  read(LATER);
  t.equal(links.length, 2, 'a demand hurries nothing');
  clock.advance(10);
  t.equal(links.length, 3);
  t.same(links[2]?.demanded, [FIRST, LATER], 'and forgets nothing');
  links.at(-1)?.listener.lost('no connection');
  clock.advance(20);
  links.at(-1)?.listener.lost('no connection');
  t.same(downloads[0]?.demanded, [FIRST, LATER]);
});

t.test('an owner that the index names and nobody reaches is not looked for without end', async (t) => {
  const { read, links, downloads, clock } = follow();
  read(FIRST);
  let tries = 0;
  while (downloads.length === 0 && tries < 100) {
    tries += 1;
    links.at(-1)?.listener.lost('no connection');
    clock.advance(60_000);
  }
  t.equal(tries, 10);
  t.same(downloads[0]?.demanded, [FIRST], 'its readers are served by this process');
});

t.test('losses are counted anew once something has arrived between them', async (t) => {
  const { read, links, downloads, clock, availability } = follow();
  read(LATER);
  for (let page = 0; page < 100; page += 1) {
    availability.publish({ start: page * 4096, end: (page + 1) * 4096 });
    links.at(-1)?.listener.lost('killed');
    t.equal(clock.pendingTimers, 0, 'the next is followed at once');
  }
  t.equal(downloads.length, 0);
});

t.test('nobody is looked for when nobody wants anything', async (t) => {
  const { read, links, wanted } = follow(['follower']);
  read(FIRST);
  wanted.clear();
  links[0]?.listener.lost('killed');
  t.equal(links.length, 1);
  read(LATER);
  t.equal(links.length, 2);
});

t.test('an owner whose bytes come into another copy is not followed', async (t) => {
  const { read, links, told, availability, downloads } = follow(['gone']);
  read(FIRST);
  read(LATER);
  availability.publish(FIRST);
  links[0]?.listener.arrived(FIRST);
  links[0]?.listener.arrived({ start: LATER.start, end: LATER.end - 1 });
  t.equal(links[0]?.isClosed, false, 'a part of it came');
  links[0]?.listener.arrived(LATER);
  t.equal(links[0]?.isClosed, true);
  t.same(told, ['advanced', 'advanced', 'advanced', 'unusable']);
  t.same(downloads[0]?.demanded, [LATER]);
});

t.test('an owner that does not answer is not waited for, and heard when it does', async (t) => {
  const { fetcher, read, links, downloads, told } = follow();
  read(FIRST);
  links[0]?.listener.unresponsive();
  t.same(downloads[0]?.demanded, [FIRST]);
  read(LATER);
  t.same(downloads[0]?.demanded, [FIRST, LATER]);
  t.notOk(links[0]?.demanded.includes(LATER), 'one is asked');
  links[0]?.listener.advanced();
  t.same(told, ['advanced']);
  fetcher.stop();
  t.ok(downloads[0]?.isClosed && links[0]?.isClosed);
  read(FIRST);
  t.equal(links.length, 2, 'the next readers ask the owner again');
});

t.test('what the owner may not read is tried with the credentials of this process', async (t) => {
  const { read, links, downloads, told } = follow();
  read(FIRST);
  links[0]?.listener.failed(FIRST, 'denied', 'access denied');
  t.same(downloads[0]?.demanded, [FIRST]);
  t.same(told, []);
});

t.test('a full disk fails the readers of the range', async (t) => {
  const { read, links, told } = follow();
  read(FIRST);
  links[0]?.listener.failed(FIRST, 'no_space', 'full');
  links[0]?.listener.failed(LATER, 'closed', 'whatever else is told apart');
  t.same(told, ['part 0 threw no_space']);
});

t.test('the ends of a copy are those of its store', async (t) => {
  for (const [end, said] of [
    ['complete', 'advanced'],
    ['stale', 'expired'],
    ['corrupt', 'corrupted'],
  ] as const) {
    const { read, links, told, downloads } = follow();
    read(FIRST);
    links[0]?.listener.ended(end, 'why');
    t.same(told, [said]);
    t.equal(downloads.length, 0);
  }
});

t.test('a copy that the cache has given up is read on by those who have it open', async (t) => {
  const { read, links, told, downloads } = follow(['gone']);
  read(FIRST);
  links[0]?.listener.ended('failed', 'its disk failed');
  t.same(told, ['unusable']);
  t.same(downloads[0]?.demanded, [FIRST]);
});

t.test('a copy that was completed meanwhile is looked at', async (t) => {
  const { read, links, told, downloads } = follow(['complete']);
  read(FIRST);
  links[0]?.listener.lost('killed');
  t.same(told, ['advanced']);
  t.equal(downloads.length, 0);
});

t.test('after the stop nothing is under way, and nothing comes', async (t) => {
  const { fetcher, read, links, clock, downloads } = follow();
  read(FIRST);
  links[0]?.listener.lost('killed');
  links[1]?.listener.lost('no connection');
  t.equal(clock.pendingTimers, 1);
  fetcher.stop();
  t.equal(clock.pendingTimers, 0);
  clock.advance(60_000);
  t.equal(links.length, 2);
  t.equal(downloads.length, 0);
});

t.test('thousands of demands are remembered as long as somebody waits for them', async (t) => {
  const { read, links, wanted, copy } = follow(['follower']);
  for (let page = 0; page < 5000; page += 1) {
    wanted.clear();
    read({ start: page * 4096, end: (page + 1) * 4096 });
  }
  copy.ownerId = 'second';
  links[0]?.listener.lost('killed');
  t.same(links[1]?.demanded, [{ start: 4999 * 4096, end: 5000 * 4096 }]);
});
