/** Requests that are sent before anybody fetches what they ask for. */
import t from 'tap';
import { SimulatedClock } from '../../support/simulated-clock.js';
import { useScriptedServer } from '../../support/scripted-server.js';
import {
  answerRightly,
  END,
  headFor,
  OBJECT,
  rangeOf,
  START,
  turn,
  until,
  useTransport,
} from './transport-rig.js';

const RIGHT = { kind: 'complete', right: true };
const LARGE = { start: 0, end: 2_000_000 };

t.test('a request that was sent ahead is that of the fetch', async (t) => {
  const server = await useScriptedServer(t, () => {});
  const { ask, fetch } = useTransport(t, server, {}, new SimulatedClock());
  const asked = ask();
  await until(() => server.requests.length === 1);
  const fetched = fetch();
  t.equal(await asked, true);
  const [request] = server.requests;
  if (request === undefined) throw new Error('it was sent');
  answerRightly(request);
  t.match(await fetched, RIGHT);
  const again = fetch();
  await until(() => server.requests.length === 2);
  answerRightly(server.requests[1] ?? request);
  t.match(await again, RIGHT);
  t.equal(server.accepted, 1, 'its connection is used again');
});

for (const range of [{ start: START, end: END }, LARGE]) {
  t.test(`an answer of ${range.end - range.start} bytes waits for its place`, async (t) => {
    const server = await useScriptedServer(t, (request) => answerRightly(request));
    const { ask, fetch } = useTransport(t, server, {}, new SimulatedClock());
    const asked = ask(range);
    await until(() => server.requests.length === 1);
    for (let n = 0; n < 200; n += 1) await turn();
    t.match(await fetch(range), RIGHT);
    t.equal(await asked, true);
    t.match(await fetch(range), RIGHT);
    t.equal(server.requests.length, 2);
    t.equal(server.accepted, 1, 'its connection is used again');
    const socket = server.requests[0]?.socket;
    socket?.end();
    await until(() => socket?.destroyed === true);
    t.match(await fetch(range), RIGHT, 'and its end noticed');
  });
}

t.test('an answer in pieces, some before the place and some after', async (t) => {
  const server = await useScriptedServer(t, () => {});
  const { ask, fetch } = useTransport(t, server, {}, new SimulatedClock());
  void ask();
  await until(() => server.requests.length === 1);
  const [request] = server.requests;
  if (request === undefined) throw new Error('it was sent');
  const answer = Buffer.concat([Buffer.from(headFor(request)), OBJECT.subarray(...rangeOf(request))]);
  request.socket.write(answer.subarray(0, 20));
  for (let n = 0; n < 100; n += 1) await turn();
  request.socket.write(answer.subarray(20, 70_000));
  const fetched = fetch();
  for (let n = 0; n < 100; n += 1) await turn();
  request.socket.write(answer.subarray(70_000));
  t.match(await fetched, RIGHT);
});

t.test('a fetch of anything else gives it up', async (t) => {
  const server = await useScriptedServer(t, (request) => {
    if (request.index > 0) answerRightly(request);
  });
  const { ask, fetch } = useTransport(t, server, {}, new SimulatedClock());
  const asked = ask();
  await until(() => server.requests.length === 1);
  t.match(await fetch({ start: 0, end: END }), RIGHT);
  t.equal(await asked, false);
  await until(() => server.requests[0]?.socket.destroyed === true);
  t.match(await fetch(), RIGHT);
});

t.test('who fetches nothing within three seconds has it given up', async (t) => {
  const server = await useScriptedServer(t, () => {});
  const clock = new SimulatedClock();
  const { ask } = useTransport(t, server, {}, clock);
  const asked = ask();
  await until(() => server.requests.length === 1);
  clock.advance(3000);
  t.equal(await asked, false);
  await until(() => server.requests[0]?.socket.destroyed === true);
});

t.test('one at a time of a version, and none once the transport is closed', async (t) => {
  const server = await useScriptedServer(t, () => {});
  const { ask, transport } = useTransport(t, server, {}, new SimulatedClock());
  const asked = ask();
  t.equal(await ask(), 'refused');
  transport.giveUpAsked();
  t.equal(await asked, false);
  const again = ask();
  transport.close();
  t.equal(await again, false);
  t.equal(await ask(), 'refused');
});

t.test('what goes wrong before there is a place is told to who fetches', async (t) => {
  const ways = {
    changed: (write: (text: string) => void) => write('HTTP/1.1 412 No\r\nContent-Length: 0\r\n\r\n'),
    throttled: (write: (text: string) => void) => write('HTTP/1.1 503 Slow\r\nContent-Length: 0\r\n\r\n'),
    unusual: (write: (text: string) => void) => write('HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n'),
    unreachable: undefined,
  };
  for (const [kind, way] of Object.entries(ways)) {
    const server = await useScriptedServer(t, ({ socket }) => {
      if (way === undefined) socket.resetAndDestroy();
      else way((text) => socket.write(text));
    });
    const { ask, fetch } = useTransport(t, server, {}, new SimulatedClock());
    void ask();
    await until(() => server.requests.length === 1);
    for (let n = 0; n < 200; n += 1) await turn();
    t.match(await fetch(), { kind, received: 0 });
  }
});

t.test('a fetch that is aborted takes what was asked for along', async (t) => {
  const server = await useScriptedServer(t, () => {});
  const { ask, fetch } = useTransport(t, server, {}, new SimulatedClock());
  const asked = ask();
  await until(() => server.requests.length === 1);
  const aborter = new AbortController();
  const fetched = fetch({ signal: aborter.signal });
  t.equal(await asked, true);
  aborter.abort();
  t.match(await fetched, { kind: 'aborted' });
  await until(() => server.requests[0]?.socket.destroyed === true);
});
