/** The socket transport against servers that send what no good server does, byte by byte. */
import t from 'tap';
import type { SharedMemory } from '../../../src/runtime/shared-memory.js';
import { LendingSink } from '../../support/lending-sink.js';
import { serverCrcOf } from '../../support/plain-crc.js';
import { useScriptedServer } from '../../support/scripted-server.js';
import {
  answerRightly,
  END,
  ETAG,
  headFor,
  OBJECT,
  rangeOf,
  SIZE,
  START,
  turn,
  until,
  useTransport,
} from './transport-rig.js';

t.test('a part is asked for by range and version, and arrives in the file', async (t) => {
  const server = await useScriptedServer(t, (request) => answerRightly(request));
  const { fetch } = useTransport(t, server);
  t.match(await fetch(), { kind: 'complete', received: END - START, right: true });
  const [line, ...headers] = server.requests[0]!.text.split('\r\n');
  t.equal(line, 'GET /x?signed=1 HTTP/1.1');
  for (const header of [
    'Host: bucket.example',
    `If-Match: ${ETAG}`,
    `Range: bytes=${START}-${END - 1}`,
    'X-Extra: y',
  ]) {
    t.ok(headers.includes(header), header);
  }
});

t.test('the blocks that a part holds whole are summed as they arrive', async (t) => {
  const server = await useScriptedServer(t, (request) => answerRightly(request));
  const { fetch } = useTransport(t, server);
  const whole = await fetch({ start: 0, end: SIZE });
  t.same(whole.checksums.missingBlocks(), []);
  t.equal(whole.checksums.combined('crc32c'), await serverCrcOf('crc32c', OBJECT));
  const tail = await fetch({ start: START, end: SIZE });
  t.same(tail.checksums.missingBlocks(), [0]);
  t.equal(tail.checksums.crc32c(1), whole.checksums.crc32c(1));
  const head = await fetch({ start: 0, end: SIZE - 1 });
  t.same(head.checksums.missingBlocks(), [2]);
});

t.test('with all of an object comes what the server keeps of it', async (t) => {
  const value = await serverCrcOf('crc32', OBJECT);
  const base64 = Buffer.from(value.toString(16).padStart(8, '0'), 'hex').toString('base64');
  const more = `X-Amz-Checksum-CRC32: ${base64}\r\nX-Amz-Checksum-Type: FULL_OBJECT\r\n`;
  const server = await useScriptedServer(t, (request) => answerRightly(request, more));
  const { fetch } = useTransport(t, server);
  const whole = await fetch({ start: 0, end: SIZE });
  t.match(whole, { kind: 'complete', received: SIZE, right: true });
  t.notMatch(server.requests[0]!.text, /^Range:/im, 'asked for without a range');
  const digest = { kind: 'crc32', value: value.toString(16).padStart(8, '0') };
  t.same(whole.told, [{ digests: [digest], etag: undefined }]);
  t.equal(whole.checksums.combined('crc32'), value, 'summed on the way');
  const part = await fetch({ start: 0, end: SIZE - 1 });
  t.match(part, { kind: 'complete', right: true });
  t.same(part.told, [], 'nothing with a part of it');
});

t.test('the head may come in any pieces, with or without body behind it', async (t) => {
  const server = await useScriptedServer(t, async (request) => {
    const answer = Buffer.concat([
      Buffer.from(`HTTP/1.1 100 Continue\r\n\r\n${headFor(request)}`),
      OBJECT.subarray(...rangeOf(request)),
    ]);
    const cut = 1 + request.index * 3;
    request.socket.write(answer.subarray(0, cut));
    await turn();
    request.socket.write(answer.subarray(cut));
  });
  const { fetch } = useTransport(t, server);
  for (let index = 0; index < 60; index++)
    t.match(await fetch({ end: START + 50 }), { kind: 'complete', right: true });
  t.equal(server.accepted, 1, 'all on one connection');
});

t.test('connections are used again, but not after Connection: close', async (t) => {
  const server = await useScriptedServer(t, (request) => {
    if (request.index === 2) {
      answerRightly(request, 'Connection: close\r\n');
      request.socket.end();
    } else answerRightly(request);
  });
  const { fetch } = useTransport(t, server);
  for (let index = 0; index < 5; index++) t.match(await fetch(), { kind: 'complete', right: true });
  t.same(
    server.requests.map(({ connection }) => connection),
    [0, 0, 0, 1, 1],
  );
});

t.test('a connection that the server closed while it was idle costs no attempt', async (t) => {
  const server = await useScriptedServer(t, (request) => {
    // The second request on a connection crosses its end.
    if (request.index === 1) request.socket.destroy();
    else answerRightly(request);
  });
  const { fetch } = useTransport(t, server);
  t.match(await fetch(), { kind: 'complete' });
  t.match(await fetch(), { kind: 'complete', right: true });
  t.equal(server.accepted, 2);
});

t.test('a server that closes every connection is unreachable, after one more try at most', async (t) => {
  const server = await useScriptedServer(t, ({ socket }) => void socket.destroy());
  const { fetch, transport, origin } = useTransport(t, server);
  t.match(await fetch(), { kind: 'unreachable', received: 0 });
  t.equal(server.requests.length, 1, 'a connection of its own is not tried again');
  transport.expect(origin, 1);
  await until(() => server.accepted === 2);
  t.match(await fetch(), { kind: 'unreachable', received: 0 });
  t.equal(server.requests.length, 3, 'one that was idle is');
});

t.test('a body that breaks off is short; what came before stays', async (t) => {
  const server = await useScriptedServer(t, (request) => {
    const [start] = rangeOf(request);
    request.socket.end(
      Buffer.concat([Buffer.from(headFor(request)), OBJECT.subarray(start, start + 70_000)]),
    );
  });
  const { fetch } = useTransport(t, server);
  t.match(await fetch(), { kind: 'short', received: 70_000, right: true });
  t.match(
    await fetch({ start: START + 70_000 }),
    { kind: 'short', received: 70_000, right: true },
    'resumed in a page',
  );
});

t.test('more bytes than announced do not reach the file, nor the next answer', async (t) => {
  const server = await useScriptedServer(t, (request) => {
    answerRightly(request);
    request.socket.write('HTTP/1.1 206 Partial Content\r\n');
  });
  const { fetch } = useTransport(t, server);
  for (let index = 0; index < 3; index++)
    t.match(await fetch(), { kind: 'complete', received: END - START, right: true });
  await until(() => server.open === 0);
  t.pass('such connections are ended');
});

t.test('a server that falls silent, or nearly so, is given up', async (t) => {
  const server = await useScriptedServer(t, (request) => {
    const [start] = rangeOf(request);
    if (request.index > 0) request.socket.write(headFor(request));
    if (request.index === 1) request.socket.write(OBJECT.subarray(start, start + 50_000));
    if (request.index !== 2) return;
    let at = start;
    const timer = setInterval(() => request.socket.write(OBJECT.subarray(at, ++at)), 1);
    request.socket.on('close', () => clearInterval(timer));
  });
  const { fetch } = useTransport(t, server);
  const silent = { stallTimeoutMs: 200 };
  t.match(await fetch(silent), { kind: 'unreachable', received: 0 }, 'before the head');
  t.match(await fetch(silent), { kind: 'short', received: 50_000, right: true }, 'in the body');
  const trickled = await fetch(silent);
  t.match(trickled, { kind: 'short', right: true }, 'a byte at a time');
  t.ok(trickled.received > 0);
  await until(() => server.open === 0);
});

t.test('an abort ends the fetch, and its connection', async (t) => {
  const server = await useScriptedServer(t, (request) => {
    const [start] = rangeOf(request);
    request.socket.write(
      Buffer.concat([Buffer.from(headFor(request)), OBJECT.subarray(start, start + 10_000)]),
    );
  });
  const { fetch } = useTransport(t, server);
  const controller = new AbortController();
  const onReport = () => controller.abort();
  t.match(await fetch({ signal: controller.signal, onReport }), {
    kind: 'aborted',
    received: 10_000,
    right: true,
  });
  await until(() => server.open === 0);
  t.match(await fetch({ signal: AbortSignal.abort() }), { kind: 'aborted', received: 0 });
  t.equal(server.requests.length, 1);
});

t.test('a part that is cut ends there; a connection with little left is used again', async (t) => {
  const server = await useScriptedServer(t, async (request) => {
    const [start, end] = rangeOf(request);
    request.socket.write(
      Buffer.concat([Buffer.from(headFor(request)), OBJECT.subarray(start, start + 10_000)]),
    );
    await until(() => cuts === request.index + 1);
    request.socket.write(OBJECT.subarray(start + 10_000, end));
  });
  let cuts = 0;
  const { fetch } = useTransport(t, server);
  const fetchCut = (end: number, cutAt: number) => {
    let cut = (_end: number) => {};
    const onReport = (received: number) => {
      if (received > 10_000 || cuts > server.requests.length - 1) return;
      cut(cutAt);
      cuts += 1;
    };
    return fetch({ start: 0, end, onCut: (given) => (cut = given), onReport });
  };
  const little = await fetchCut(END, 60_000);
  t.match(little, { kind: 'complete', right: true });
  t.ok(little.received >= 60_000);
  const much = await fetchCut(SIZE, 60_000);
  t.match(much, { kind: 'complete', right: true });
  t.ok(much.received < SIZE - 1_000_000, `${much.received} bytes`);
  t.equal(server.accepted, 1, 'the second came on the connection of the first');
  await until(() => server.open === 0);
});

t.test('a file that cannot be written to fails the fetch', async (t) => {
  const server = await useScriptedServer(t, (request) => answerRightly(request));
  const { fetch } = useTransport(t, server);
  await t.rejects(fetch({ readOnly: true }), { name: 'LocalWriteError', code: 'EBADF' });
  t.match(await fetch(), { kind: 'complete' });
});

t.test('connections that are expected are open before they are needed', async (t) => {
  const server = await useScriptedServer(t, (request) => answerRightly(request));
  const { transport, origin, fetch } = useTransport(t, server);
  transport.expect(origin, 3);
  await until(() => server.accepted === 3);
  transport.expect(origin, 2);
  await Promise.all([fetch(), fetch(), fetch()]);
  t.equal(server.accepted, 3);
});

t.test('nobody there is unreachable', async (t) => {
  const server = await useScriptedServer(t, () => {});
  const { transport, origin } = useTransport(t, server);
  const nowhere = { ...origin, port: 1 };
  const sink = new LendingSink(SIZE, 0);
  t.teardown(() => sink.dispose());
  const outcome = await transport.fetch({
    request: { origin: nowhere, hostHeader: 'x', target: '/', headers: [] },
    version: { endpoint: 'e', bucket: 'b', key: 'x', etag: ETAG, size: SIZE },
    range: { start: 0, end: 10 },
    place: sink.lend(),
    options: { signal: new AbortController().signal, stallTimeoutMs: 5000 },
  });
  t.match(outcome, { kind: 'unreachable', cause: { code: 'ECONNREFUSED' } });
});

t.test('a thread that dies ends its fetches; another takes over, but not for ever', async (t) => {
  const server = await useScriptedServer(t, (request) => answerRightly(request));
  const { transport, origin, fetch } = useTransport(t, server);
  const broken = async () => {
    const sink = new LendingSink(SIZE, 0);
    t.teardown(() => sink.dispose());
    // No shared memory at all is nothing that the thread could live with.
    const place = { ...sink.lend(), memory: undefined as unknown as SharedMemory };
    const request = { origin, hostHeader: 'x', target: '/', headers: [] };
    const version = { endpoint: 'e', bucket: 'b', key: 'x', etag: ETAG, size: SIZE };
    const options = { signal: new AbortController().signal, stallTimeoutMs: 5000 };
    return transport.fetch({ request, version, range: { start: 0, end: 10 }, place, options });
  };
  t.match(await broken(), { kind: 'unreachable' });
  t.match(await fetch(), { kind: 'complete', right: true });
  t.ok(transport.usable);
  await broken();
  await broken();
  t.notOk(transport.usable);
});

t.test('close ends fetches under way and all connections', async (t) => {
  const server = await useScriptedServer(t, () => {});
  const { transport, fetch } = useTransport(t, server);
  const fetched = fetch();
  await until(() => server.requests.length === 1);
  transport.close();
  t.match(await fetched, { kind: 'aborted', received: 0 });
  t.match(await fetch(), { kind: 'aborted' });
  await until(() => server.open === 0);
  t.doesNotThrow(() => transport.close());
});
