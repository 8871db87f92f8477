import t from 'tap';
import { FIRST, follow, LATER, MIB } from './following-rig.js';

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

t.test('a fill that the owner cannot go on with is no matter of readers', async (t) => {
  const { fetcher, read, links, told, downloads } = follow();
  read(FIRST);
  fetcher.fill('as prefetch');
  links[0]?.listener.unfilled('no_space', 'it became a window');
  links[0]?.listener.unfilled('closed', 'whatever else is told apart');
  t.same(told, ['unfilled no_space']);
  t.equal(downloads.length, 0);
  links[0]?.listener.unfilled('denied', 'access denied');
  t.same(downloads[0]?.fills, ['as prefetch'], 'what it may not read is tried by this process');
  t.same(downloads[0]?.demanded, [FIRST]);
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
