/** Several threads of the socket transport: small parts go apart from large ones, and all keep to one limit. */
import t from 'tap';
import { useScriptedServer } from '../../support/scripted-server.js';
import { answerRightly, until, useTransport } from './transport-rig.js';

const LARGE = { start: 0, end: 2_000_000 };
const SMALL = { start: 0, end: 100_000 };

t.test('small parts have a thread, and connections, of their own', async (t) => {
  const server = await useScriptedServer(t, (request) => answerRightly(request));
  const { fetch } = useTransport(t, server, { threads: 3 });
  for (let round = 0; round < 3; round++) {
    for (const range of [LARGE, SMALL]) t.match(await fetch(range), { kind: 'complete', right: true });
  }
  t.same(
    server.requests.map(({ connection }) => connection),
    [0, 1, 0, 1, 0, 1],
  );
});

t.test('one thread carries both', async (t) => {
  const server = await useScriptedServer(t, (request) => answerRightly(request));
  const { fetch } = useTransport(t, server, { threads: 1 });
  for (const range of [LARGE, SMALL]) t.match(await fetch(range), { kind: 'complete', right: true });
  t.equal(server.accepted, 1);
});

t.test('large parts are shared among the other threads', async (t) => {
  let answer = () => {};
  const all = new Promise<void>((resolve) => (answer = resolve));
  const server = await useScriptedServer(t, async (request) => {
    if (server.requests.length === 4) answer();
    await all;
    answerRightly(request);
  });
  const { fetch } = useTransport(t, server, { threads: 3 });
  const fetched = await Promise.all([LARGE, LARGE, LARGE, LARGE].map((range) => fetch(range)));
  for (const one of fetched) t.match(one, { kind: 'complete', right: true });
});

t.test('the threads together keep no more connections than allowed', async (t) => {
  const server = await useScriptedServer(t, (request) => answerRightly(request));
  const { transport, origin, fetch } = useTransport(t, server, { threads: 2, connectionsMax: 3 });
  await Promise.all([fetch(LARGE), fetch(LARGE), fetch(LARGE)]);
  t.equal(server.open, 3);
  t.match(await fetch(SMALL), { kind: 'complete', right: true });
  await until(() => server.open === 3);
  await Promise.all([fetch(SMALL), fetch(SMALL), fetch(SMALL)]);
  await until(() => server.open === 3);
  transport.expect(origin, 8);
  await fetch(LARGE);
  await until(() => server.open <= 3);
  t.match(await fetch(SMALL), { kind: 'complete', right: true });
});

t.test('no connections are opened ahead while all that are allowed are in use', async (t) => {
  let answer = () => {};
  const held = new Promise<void>((resolve) => (answer = resolve));
  const server = await useScriptedServer(t, async (request) => {
    await held;
    answerRightly(request);
  });
  const { transport, origin, fetch } = useTransport(t, server, { threads: 2, connectionsMax: 3 });
  const fetched = Promise.all([fetch(LARGE), fetch(LARGE), fetch(LARGE)]);
  await until(() => server.requests.length === 3);
  transport.expect(origin, 8);
  // The same thread takes it behind what was expected.
  const small = fetch(SMALL);
  await until(() => server.requests.length === 4);
  t.equal(server.accepted, 4, 'what is fetched is fetched, and nothing beside it');
  answer();
  for (const one of [...(await fetched), await small]) t.match(one, { kind: 'complete', right: true });
});

t.test(
  'the connection that an aborted fetch took with it is replaced, and one that is ready goes first',
  async (t) => {
    const server = await useScriptedServer(t, (request) => {
      if (request.index > 0) answerRightly(request);
    });
    const { transport, origin, fetch } = useTransport(t, server, { threads: 1 });
    transport.expect(origin, 2);
    await until(() => server.open === 2);
    const aborter = new AbortController();
    const aborted = fetch({ ...SMALL, signal: aborter.signal });
    await until(() => server.requests.length === 1);
    aborter.abort();
    t.match(await aborted, { kind: 'aborted' });
    await until(() => server.accepted === 3 && server.open === 2);
    t.match(await fetch(SMALL), { kind: 'complete', right: true });
    const used = new Set(server.requests.map(({ connection }) => connection));
    t.same(used, new Set([0, 1]), 'not the one that may still be opening');
    t.equal(server.accepted, 3);
  },
);
