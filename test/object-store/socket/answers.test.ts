/** Answers that bring no bytes, and those that must not: what is told of them, and what becomes of the connection. */
import t from 'tap';
import { useScriptedServer } from '../../support/scripted-server.js';
import { answerRightly, SIZE, until, useTransport } from './transport-rig.js';

const ANSWERS: readonly (readonly [title: string, head: string, body: string, expected: object])[] = [
  ['a failed precondition', 'HTTP/1.1 412 Precondition Failed\r\nContent-Length: 5', '<xml>', { kind: 'changed' }],
  ['a server that is busy', 'HTTP/1.1 503 Slow Down\r\nRetry-After: 7\r\nContent-Length: 5', '<xml>', { kind: 'throttled', outcome: { retryAfterMs: 7000 } }],
  ['a proxy that is busy until a date', 'HTTP/1.1 503 Busy\r\nRetry-After: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 5', '<xml>', { kind: 'throttled', outcome: { retryAfterMs: 0 } }],
  ['an internal error', 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5', '<xml>', { kind: 'broken' }],
  ['a refusal', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 5', '<xml>', { kind: 'unusual', outcome: { status: 403 } }],
  ['a key that is not there', 'HTTP/1.1 404 Not Found\r\nContent-Length: 5', '<xml>', { kind: 'unusual', outcome: { status: 404 } }],
  ['a redirect', 'HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0', '', { kind: 'unusual', outcome: { status: 307 } }],
]; // prettier-ignore

for (const [title, head, body, expected] of ANSWERS) {
  t.test(`${title} is told, and its connection used again`, async (t) => {
    const server = await useScriptedServer(t, (request) => {
      if (request.index === 0) request.socket.write(`${head}\r\n\r\n${body}`);
      else answerRightly(request);
    });
    const { fetch } = useTransport(t, server);
    t.match(await fetch(), { ...expected, received: 0 });
    t.match(await fetch(), { kind: 'complete', right: true });
    t.equal(server.accepted, 1);
  });
}

const REFUSED: readonly (readonly [title: string, head: string, kind: string])[] = [
  ['a chunked body', 'HTTP/1.1 206 Partial Content\r\nETag: "e1"\r\nTransfer-Encoding: chunked', 'unusual'],
  ['a body without a length', 'HTTP/1.1 206 Partial Content\r\nETag: "e1"', 'unusual'],
  ['a compressed body', 'HTTP/1.1 200 OK\r\nETag: "e1"\r\nContent-Encoding: gzip\r\nContent-Length: 195904', 'unusual'],
  ['another protocol', 'SSH-2.0-OpenSSH', 'unusual'],
  ['another ETag', `HTTP/1.1 206 P\r\nETag: "e2"\r\nContent-Range: bytes 4096-199999/${SIZE}\r\nContent-Length: 195904`, 'changed'],
  ['another range', `HTTP/1.1 206 P\r\nETag: "e1"\r\nContent-Range: bytes 0-195903/${SIZE}\r\nContent-Length: 195904`, 'broken'],
  ['the whole object', `HTTP/1.1 200 OK\r\nETag: "e1"\r\nContent-Length: ${SIZE}`, 'broken'],
]; // prettier-ignore

for (const [title, head, kind] of REFUSED) {
  t.test(`${title} is ${kind}: no byte of it reaches the file`, async (t) => {
    const server = await useScriptedServer(t, ({ socket }) => {
      socket.write(`${head}\r\n\r\n`);
      socket.write(Buffer.alloc(195_904, 0x5a));
    });
    const { fetch } = useTransport(t, server);
    t.match(await fetch(), { kind, received: 0 });
    await until(() => server.open === 0);
  });
}
