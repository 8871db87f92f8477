/** Peers that hang, talk nonsense or flood: whoever does is left alone, and nobody else is touched. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import { LINE_BYTES_MAX, PEER_PROTOCOL } from '../../../src/cache/peers/messages.js';
import { UNRESPONSIVE_AFTER_MS } from '../../../src/cache/peers/owner-connection.js';
import { ownerSocketPath } from '../../../src/cache/peers/peer-socket.js';
import { eventually } from '../../support/processes.js';
import { FIRST, follow, HELLO, OWNER, useDirectory, useLinks, usePeers } from './peers-rig.js';

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

t.test('who has all of a copy filled hears of an owner that is unresponsive', async (t) => {
  const directory = useDirectory(t);
  const { links, clock } = useLinks(t, directory);
  const { socket } = await useMuteOwner(t, directory);
  const { heard, link } = follow(links, 'a');
  (await socket).write(HELLO);
  link.fill('as prefetch');
  clock.advance(UNRESPONSIVE_AFTER_MS);
  t.same(heard.all, [{ kind: 'unresponsive' }]);
});

t.test('a fill is taken note of as a demand is', async (t) => {
  const { links, host, clock } = await usePeers(t);
  const { heard, link } = follow(links, 'a');
  link.fill('as prefetch');
  t.ok(await eventually(() => host.copies[0]?.fills.length === 1));
  await heard.nextOf('advanced');
  host.copies[0]?.listener.advanced();
  await heard.nextOf('advanced');
  t.equal(clock.pendingTimers, 0, 'nothing is waited for');
});

t.test('a demand that was withdrawn before the owner could be told says nothing of the owner', async (t) => {
  const directory = useDirectory(t);
  const { links, clock } = useLinks(t, directory);
  const { socket } = await useMuteOwner(t, directory);
  const { heard: first } = follow(links, 'a');
  const owner = await socket;
  owner.write(`${HELLO}{"kind":"advanced","link":1}\n`);
  await first.nextOf('advanced');

  const { link: withdrawn } = follow(links, 'b');
  withdrawn.demand(FIRST);
  withdrawn.close();
  clock.advance(UNRESPONSIVE_AFTER_MS);
  const { heard, link } = follow(links, 'c');
  link.demand(FIRST);
  owner.write('{"kind":"heard","number":2}\n{"kind":"advanced","link":3}\n');
  await heard.nextOf('advanced');
  t.same(heard.all, [{ kind: 'advanced' }]);
  t.equal(clock.pendingTimers, 0, 'nothing is waited for');

  const { heard: waiting, link: waitingLink } = follow(links, 'd');
  waitingLink.demand(FIRST);
  const { link: gone } = follow(links, 'e');
  gone.demand(FIRST);
  gone.close();
  owner.write('{"kind":"heard","number":3}\n{"kind":"advanced","link":4}\n');
  await waiting.nextOf('advanced');
  clock.advance(UNRESPONSIVE_AFTER_MS);
  const { heard: last, link: lastLink } = follow(links, 'f');
  lastLink.demand(FIRST);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(last.all, [], 'the owner took note of all that it was told');
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
    ['{"kind":"hello","protocol":9}\n', new RegExp(`speaks protocol 9, this daemon ${PEER_PROTOCOL}`)],
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
  const { links, host, path, warnings } = await usePeers(t);
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
    `${HELLO}${open}{"kind":"demand","link":1,"range":{"start":${2 ** 40},"end":${2 ** 40 + 1}},"number":1}\n`,
    `${HELLO}${open}{"kind":"demand","link":1,"range":{"start":0,"end":10},"number":1}\n`,
    `${HELLO}${open}{"kind":"observe","link":1,"range":{"start":0,"end":${2 ** 52}}}\n`,
    `${HELLO}${'x'.repeat(100_000)}`,
    `${HELLO}${'x'.repeat(100_000)}\n`,
  ]) {
    await isCutOff(path, said);
    t.match(warnings.splice(0), [/was cut off/], `cut off: ${said.slice(0, 60)}`);
  }
  await isCutOff(path, '{"kind":"hello","protocol":7}\n');
  t.same(warnings, [], 'another protocol is no misbehaviour');
  t.ok(await eventually(() => host.openCount === 1), 'what those had open is closed');
  link.demand({ start: 5, end: 6 });
  await heard.nextOf('arrived');
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
