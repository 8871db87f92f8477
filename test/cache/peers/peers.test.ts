import t from 'tap';
import { PeerServer } from '../../../src/cache/peers/peer-server.js';
import { ownerSocketPath } from '../../../src/cache/peers/peer-socket.js';
import { silentLogger } from '../../../src/observability/logger.js';
import { eventually } from '../../support/processes.js';
import { FIRST, follow, OWNER, usePeers } from './peers-rig.js';
import { MIB, RecordingListener, versionOf } from './recording.js';

t.test('what readers want reaches the owner, and what comes of it the follower', async (t) => {
  const { links, host, server } = await usePeers(t);
  const { heard, link } = follow(links, 'a');
  link.observe(FIRST);
  link.demand(FIRST);
  await heard.nextOf('advanced');
  const [copy] = host.copies;
  t.same(copy?.version, versionOf('a'), 'the whole version');
  t.same(copy?.observed, [FIRST]);
  t.same(copy?.demanded, [FIRST]);
  t.equal(server.linkCount, 1);

  copy?.listener.failed(FIRST, 'denied', 'no such luck');
  t.same(await heard.nextOf('failed'), {
    kind: 'failed',
    range: FIRST,
    code: 'denied',
    message: 'no such luck',
  });
  link.fill('as prefetch');
  t.ok(await eventually(() => copy?.fills[0] === 'as prefetch'));
  copy?.listener.unfilled('no_space', 'too large');
  t.same(await heard.nextOf('unfilled'), { kind: 'unfilled', code: 'no_space', message: 'too large' });
  copy?.listener.ended('complete', 'all is there');
  t.same(await heard.nextOf('ended'), { kind: 'ended', end: 'complete', message: 'all is there' });
  t.equal(copy?.isOpen, false, 'the end of a copy closes it');
  link.demand(FIRST);
  link.close();
  t.same(copy?.demanded, [FIRST], 'nothing is asked of what has ended');
  t.equal(server.linkCount, 0);
});

t.test('who opens a copy is told to look, for what came before', async (t) => {
  const { links, host } = await usePeers(t);
  host.onDemand = () => {};
  const { heard } = follow(links, 'a');
  t.same(await heard.next(), { kind: 'advanced' });
});

t.test('links share a connection, and end by themselves', async (t) => {
  const { links, host, server } = await usePeers(t);
  const followed = ['a', 'b', 'c'].map((key) => follow(links, key));
  for (const { heard, link } of followed) {
    link.demand(FIRST);
    await heard.nextOf('advanced');
  }
  t.equal(server.followerCount, 1);
  t.equal(host.openCount, 3);
  followed[1]?.link.close();
  t.ok(await eventually(() => host.openCount === 2));
  t.equal(host.copies[1]?.isOpen, false);
  for (const copy of host.copies) copy.listener.advanced();
  await followed[0]?.heard.nextOf('advanced');
  t.equal(followed[1]?.heard.all.filter(({ kind }) => kind === 'lost').length, 0, 'its own close is no loss');
});

t.test('a link that was closed before the owner was told is not told at all', async (t) => {
  const { links, host } = await usePeers(t);
  follow(links, 'a').link.close();
  const { heard, link } = follow(links, 'b');
  link.demand(FIRST);
  await heard.nextOf('advanced');
  t.same(
    host.copies.map(({ version }) => version.key),
    ['b'],
  );
});

t.test('an owner that does not fill the copy, or not any more, is lost to its link alone', async (t) => {
  const { links, host } = await usePeers(t);
  host.fills = ({ key }) => key !== 'a';
  const { heard: heardA, link: a } = follow(links, 'a');
  const { heard: heardB, link: b } = follow(links, 'b');
  a.demand(FIRST);
  b.demand(FIRST);
  t.same(await heardA.next(), { kind: 'lost', reason: 'it does not fill this copy' });
  await heardB.nextOf('advanced');
  host.copies[0]?.listener.gaveUp('it was taken out of the cache');
  t.same(await heardB.nextOf('lost'), { kind: 'lost', reason: 'it was taken out of the cache' });
  t.equal(host.openCount, 0);

  host.fills = () => true;
  const { heard: again, link } = follow(links, 'a');
  link.demand(FIRST);
  t.same(await again.next(), { kind: 'advanced' }, 'the connection is good still');
});

t.test('the end of the owner is a loss to every link, at once', async (t) => {
  const { links, host, server, directory, clock } = await usePeers(t);
  const followed = ['a', 'b'].map((key) => follow(links, key));
  for (const { heard, link } of followed) {
    link.demand(FIRST);
    await heard.nextOf('advanced');
  }
  server.close();
  for (const { heard } of followed) await heard.nextOf('lost');
  t.equal(clock.pendingTimers, 0, 'no timer had a part in it');
  t.ok(await eventually(() => host.openCount === 0));

  const { heard: nobody } = follow(links, 'a');
  t.match((await nobody.nextOf('lost')).reason, /no connection: connect ENOENT/);

  const path = ownerSocketPath(directory, OWNER);
  const next = await PeerServer.listen(path, { host, logger: silentLogger });
  t.teardown(() => next.close());
  const { heard, link } = follow(links, 'a');
  link.demand(FIRST);
  t.same(await heard.next(), { kind: 'advanced' }, 'a new connection, once somebody listens again');
});

t.test('a listener may follow anew while it is told of the loss', async (t) => {
  const { links, server } = await usePeers(t);
  const second = new RecordingListener();
  const first = new (class extends RecordingListener {
    override lost(reason: string): void {
      super.lost(reason);
      links.follow(OWNER, versionOf('a'), second);
    }
  })();
  links.follow(OWNER, versionOf('a'), first);
  await first.nextOf('advanced');
  server.close();
  await first.nextOf('lost');
  t.match(await second.next(), { kind: 'lost' });
});

t.test('the end of the follower closes all that it had open', async (t) => {
  const { links, host, server } = await usePeers(t);
  const { heard, link } = follow(links, 'a');
  link.demand(FIRST);
  await heard.nextOf('advanced');
  links.close();
  t.ok(await eventually(() => host.openCount === 0 && server.followerCount === 0));
  t.same(
    heard.all.filter(({ kind }) => kind === 'lost'),
    [],
    'who closes is told of no loss',
  );
});

t.test('many reads and advances become few messages, and none is missed', async (t) => {
  const { links, host } = await usePeers(t);
  let demands = 0;
  host.onDemand = () => (demands += 1);
  const { heard, link } = follow(links, 'a');
  await heard.next();
  const [copy] = host.copies;
  for (let at = 0; at < 10_000; at += 1) link.observe({ start: at * 4096, end: (at + 1) * 4096 });
  link.demand({ start: 1, end: 2 });
  t.ok(await eventually(() => demands === 1));
  t.same(copy?.observed, [{ start: 0, end: 10_000 * 4096 }], 'reads in order are one range');

  const before = heard.all.length;
  for (let times = 0; times < 10_000; times += 1) copy?.listener.advanced();
  await heard.nextOf('advanced');
  link.demand({ start: 3, end: 4 });
  t.ok(await eventually(() => demands === 2));
  t.ok(heard.all.length - before <= 2, `10,000 advances were ${heard.all.length - before} messages`);
});

t.test('reads all over the object are told of by the latest of them', async (t) => {
  const { links, host } = await usePeers(t);
  const { heard, link } = follow(links, 'a');
  for (let at = 0; at < 1000; at += 1) link.observe({ start: at * MIB, end: at * MIB + 1 });
  link.demand({ start: 5000 * MIB, end: 5001 * MIB });
  await heard.nextOf('advanced');
  t.equal(host.copies[0]?.observed.length, 32);
  t.same(host.copies[0]?.observed.at(-1), { start: 999 * MIB, end: 999 * MIB + 1 });
});

t.test('thousands of demands of many copies are answered each', async (t) => {
  const { links, host, server } = await usePeers(t);
  host.onDemand = (copy, range) => copy.listener.failed(range, 'code', String(range.start));
  const followed = Array.from({ length: 200 }, (_, number) => follow(links, `key ${number}`));
  for (let round = 0; round < 25; round += 1) {
    for (const { link } of followed) link.demand({ start: round * 10, end: round * 10 + 1 });
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const { heard } of followed) {
    const starts: number[] = [];
    while (starts.length < 25) starts.push((await heard.nextOf('failed')).range.start);
    t.same(
      starts.sort((a, b) => a - b),
      Array.from({ length: 25 }, (_, round) => round * 10),
    );
  }
  t.equal(server.followerCount, 1);
});
