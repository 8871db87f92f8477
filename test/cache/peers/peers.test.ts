import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import t from 'tap';
import type { Test } from 'tap';
import { LINE_BYTES_MAX } from '../../../src/cache/peers/messages.js';
import { UNRESPONSIVE_AFTER_MS } from '../../../src/cache/peers/owner-connection.js';
import { PeerLinks } from '../../../src/cache/peers/peer-links.js';
import { PeerServer } from '../../../src/cache/peers/peer-server.js';
import { ownerSocketPath } from '../../../src/cache/peers/peer-socket.js';
import { silentLogger } from '../../../src/observability/logger.js';
import { eventually } from '../../support/processes.js';
import { SimulatedClock } from '../../support/simulated-clock.js';
import { MIB, RecordingHost, RecordingListener, versionOf } from './recording.js';

const OWNER = 'owner';
const HELLO = '{"kind":"hello","protocol":1}\n';
const FIRST = { start: 0, end: MIB };

function useDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function useLinks(t: Test, directory: string): { links: PeerLinks; clock: SimulatedClock } {
  const clock = new SimulatedClock();
  const links = new PeerLinks(directory, { clock, logger: silentLogger });
  t.teardown(() => links.close());
  return { links, clock };
}

/** An owner and a follower on one directory. */
async function usePeers(t: Test) {
  const directory = useDirectory(t);
  const host = new RecordingHost();
  const path = ownerSocketPath(directory, OWNER);
  const server = await PeerServer.listen(path, { host, logger: silentLogger });
  t.teardown(() => server.close());
  return { directory, path, host, server, ...useLinks(t, directory) };
}

function follow(links: PeerLinks, key: string) {
  const heard = new RecordingListener();
  return { heard, link: links.follow(OWNER, versionOf(key), heard) };
}

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

t.test('an owner that does not take note of a demand is unresponsive, until it does', async (t) => {
  const directory = useDirectory(t);
  const { links, clock } = useLinks(t, directory);
  const { socket, server } = await useMuteOwner(t, directory);
  const { heard, link } = follow(links, 'a');
  const { heard: idle } = follow(links, 'b');
  const owner = await socket;
  owner.write(HELLO);
  link.demand(FIRST);
  clock.advance(UNRESPONSIVE_AFTER_MS - 1);
  t.same(heard.all, []);
  clock.advance(1);
  t.same(heard.all, [{ kind: 'unresponsive' }]);
  t.same(idle.all, [], 'who demanded nothing waits for nothing');
  link.demand({ start: 5, end: 6 });
  clock.advance(10 * UNRESPONSIVE_AFTER_MS);
  t.same(heard.all, [{ kind: 'unresponsive' }], 'said once');

  const { heard: late, link: lateLink } = follow(links, 'c');
  lateLink.demand(FIRST);
  t.same(await late.next(), { kind: 'unresponsive' }, 'known of the owner already');

  owner.write('{"kind":"heard","number":3}\n{"kind":"advanced","link":1}\n');
  await heard.nextOf('advanced');
  const { heard: later, link: laterLink } = follow(links, 'd');
  laterLink.demand(FIRST);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(later.all, [], 'it answers again');
  owner.write('{"kind":"heard","number":4}\n{"kind":"advanced","link":4}\n');
  await later.nextOf('advanced');
  t.equal(clock.pendingTimers, 0, 'nothing is waited for');
  server.close();
});

t.test('a follower that was stopped itself reads what came meanwhile before it judges', async (t) => {
  const directory = useDirectory(t);
  const { links, clock } = useLinks(t, directory);
  const { socket } = await useMuteOwner(t, directory);
  const { heard, link } = follow(links, 'a');
  const owner = await socket;
  link.demand(FIRST);
  // The timer is found due first, what the owner said long ago after it.
  clock.advance(UNRESPONSIVE_AFTER_MS / 2);
  owner.write(`${HELLO}{"kind":"heard","number":1}\n{"kind":"advanced","link":1}\n`);
  await heard.nextOf('advanced');
  clock.advance(UNRESPONSIVE_AFTER_MS);
  t.same(heard.all, [{ kind: 'advanced' }]);
});

t.test('an owner that talks nonsense, or another protocol, is lost', async (t) => {
  for (const [said, reason] of [
    ['nonsense\n', /it said "nonsense"/],
    ['{"kind":"advanced","link":1}\n', /did not begin with hello/],
    ['{"kind":"hello","protocol":2}\n', /speaks protocol 2, this daemon 1/],
    [`${HELLO}{"kind":"advanced"}\n`, /it said "{/],
    [`${HELLO}${'x'.repeat(LINE_BYTES_MAX + 1)}`, /a line of more than/],
    [`${HELLO}${'x'.repeat(LINE_BYTES_MAX + 1)}\n`, /a line of more than/],
  ] as const) {
    const directory = useDirectory(t);
    const { links } = useLinks(t, directory);
    const { socket, server } = await useMuteOwner(t, directory);
    const { heard } = follow(links, 'a');
    (await socket).write(said);
    t.match((await heard.nextOf('lost')).reason, reason);
    server.close();
  }
});

t.test('a follower that talks nonsense is cut off, and no other', async (t) => {
  const { links, host, path } = await usePeers(t);
  const { heard, link } = follow(links, 'a');
  link.demand(FIRST);
  await heard.nextOf('advanced');
  const open =
    '{"kind":"open","link":1,"version":{"endpoint":"e","bucket":"b","key":"k","etag":"t","size":9}}\n';
  for (const said of [
    'nonsense\n',
    '{}\n',
    open,
    `${HELLO}${HELLO}`,
    `${HELLO}${open}${open}`,
    `${HELLO}{"kind":"demand","link":1,"range":{"start":5,"end":2},"number":1}\n`,
    `${HELLO}${'x'.repeat(100_000)}`,
    '{"kind":"hello","protocol":7}\n',
  ]) {
    await isCutOff(path, said);
    t.pass(`cut off: ${said.slice(0, 60)}`);
  }
  t.ok(await eventually(() => host.openCount === 1), 'what those had open is closed');
  link.demand({ start: 5, end: 6 });
  await heard.nextOf('advanced');
});

t.test('a follower that asks without end and takes no answer is cut off', async (t) => {
  const { links, host, path } = await usePeers(t);
  host.onDemand = (copy, range) => copy.listener.failed(range, 'code', 'x'.repeat(1000));
  const socket = connect(path);
  const closed = closeOf(socket);
  socket.write(
    `${HELLO}{"kind":"open","link":1,"version":{"endpoint":"e","bucket":"b","key":"k","etag":"t","size":9}}\n`,
  );
  let asked = 0;
  const ask = (error?: Error | null) => {
    if (error) return;
    asked += 1;
    const demand = `{"kind":"demand","link":1,"range":{"start":0,"end":1},"number":${asked}}\n`;
    socket.write(demand.repeat(100), ask);
  };
  socket.pause();
  ask();
  await closed;
  t.equal(host.openCount, 0);
  t.ok(asked > 1, `${asked * 100} demands`);

  host.onDemand = (copy) => copy.listener.advanced();
  const { heard, link } = follow(links, 'a');
  link.demand(FIRST);
  t.same(await heard.next(), { kind: 'advanced' }, 'others are served');
});

/** Resolves when the owner has ended a connection that said this. */
async function isCutOff(path: string, said: string): Promise<void> {
  const socket = connect(path);
  const closed = closeOf(socket);
  socket.write(said);
  socket.resume();
  await closed;
}

/** However it was closed. */
function closeOf(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** Somebody who listens where an owner would, and says only what the test does. */
async function useMuteOwner(
  t: Test,
  directory: string,
): Promise<{ server: Server; socket: Promise<Socket> }> {
  const server = createServer();
  const sockets = new Set<Socket>();
  const socket = once(server, 'connection').then(([first]) => first as Socket);
  server.on('connection', (each: Socket) => {
    sockets.add(each);
    each.resume();
    each.on('error', () => {});
  });
  t.teardown(() => {
    for (const each of sockets) each.destroy();
    server.close();
  });
  server.listen(ownerSocketPath(directory, OWNER));
  await once(server, 'listening');
  return { server, socket };
}
