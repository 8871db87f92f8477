/** Private certificate authorities and proxies, over real TLS and real CONNECT tunnels. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import type { ObjectStore } from '../../src/object-store/object-store.js';
import { createS3ObjectStore } from '../../src/object-store/s3-object-store.js';
import { silentLogger } from '../../src/observability/logger.js';
import { systemClock } from '../../src/runtime/clock.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { LendingSink } from '../support/lending-sink.js';
import { useConnectProxy } from '../support/connect-proxy.js';
import { assertPattern } from '../support/pattern-check.js';
import { createPrivateCa } from '../support/private-ca.js';
import {
  BUCKET,
  currentVersion,
  storeOptions,
  useFolder,
  useServer,
  useServerCredentials,
  useStore,
} from '../support/s3-fixture.js';

const HOST = 's3.private.test';
useServerCredentials(t);
const folder = await useFolder(t);
const ca = await createPrivateCa(folder, ['localhost', HOST, `${BUCKET}.${HOST}`]);
const plain = await useServer(t);
const secure = await useServer(t, { tls: ca });
for (const server of [plain, secure]) await server.putSynthetic(BUCKET, 'x', { size: 300_000, seed: 3 });

/** Every kind of call works. */
async function works(t: Test, store: ObjectStore, { bySocket = true } = {}): Promise<void> {
  await store.check('');
  const lending = new LendingSink(300_000, 5);
  t.teardown(() => lending.dispose());
  const version = await currentVersion(store, 'x');
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  for (const sink of [new CollectingSink(), lending]) {
    t.match(await store.fetchPart(version, { start: 5, end: 299_999 }, sink, options), { kind: 'complete' });
    t.equal(sink.bytes.length, 299_994);
    assertPattern(t, sink.bytes, 3, 5, 'what was fetched');
  }
  t.equal(lending.handedOver, bySocket ? 0 : 299_994, bySocket ? 'by the socket transport' : 'not by it');
}

t.test('an authority that is not known is refused, naming --ca-bundle', async (t) => {
  const store = await useStore(t, secure);
  await t.rejects(store.check(''), { code: 'unreachable', message: /not trusted.*--ca-bundle/ });
  const version = { endpoint: secure.endpoint, bucket: BUCKET, key: 'x', etag: '"e"', size: 10 };
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  const lending = new LendingSink(10, 0);
  t.teardown(() => lending.dispose());
  for (const sink of [new CollectingSink(), lending]) {
    const outcome = await store.fetchPart(version, { start: 0, end: 10 }, sink, options);
    t.match(outcome, { kind: 'unreachable', cause: { message: /--ca-bundle/ } });
  }
});

t.test('an authority that did not sign is refused too', async (t) => {
  const other = await createPrivateCa(await useFolder(t));
  const store = await useStore(t, secure, { caBundle: other.bundle });
  await t.rejects(store.check(''), { code: 'unreachable', message: /--ca-bundle/ });
});

t.test(
  'the CA bundle may be given by option, AWS_CA_BUNDLE or NODE_EXTRA_CA_CERTS beside either',
  async (t) => {
    const other = await createPrivateCa(await useFolder(t));
    await works(t, await useStore(t, secure, { caBundle: ca.bundle }));
    await t.test('AWS_CA_BUNDLE', async (t) => {
      useServerCredentials(t, { AWS_CA_BUNDLE: ca.bundle });
      await works(t, await useStore(t, secure));
      const store = await useStore(t, secure, { caBundle: other.bundle });
      await t.rejects(store.check(''), { code: 'unreachable' }, 'the option comes first');
    });
    await t.test('NODE_EXTRA_CA_CERTS', async (t) => {
      useServerCredentials(t, { NODE_EXTRA_CA_CERTS: ca.bundle });
      await works(t, await useStore(t, secure, { caBundle: other.bundle }));
    });
  },
);

t.test('a certificate for another host is refused as such', async (t) => {
  const narrow = await createPrivateCa(await useFolder(t), []);
  const server = await useServer(t, { tls: narrow });
  const endpoint = server.endpoint.replace('127.0.0.1', 'localhost');
  const store = await useStore(t, { endpoint }, { caBundle: narrow.bundle });
  await t.rejects(store.check(''), {
    code: 'unreachable',
    message: /not valid.*ERR_TLS_CERT_ALTNAME_INVALID/,
  });
});

t.test('a CA bundle that is none is an error of its own', async (t) => {
  const bad = {
    'cannot be read': '/nonexistent/ca.pem',
    'holds no PEM certificate': join(folder, 'extensions'),
    'cannot be parsed': join(folder, 'broken.pem'),
  };
  await writeFile(
    bad['cannot be parsed'],
    '-----BEGIN CERTIFICATE-----\nTm90IGEgY2VydA==\n-----END CERTIFICATE-----\n',
  );
  for (const [problem, caBundle] of Object.entries(bad)) {
    const options = { ...storeOptions(secure.endpoint), caBundle };
    const made = createS3ObjectStore(options, { logger: silentLogger, clock: systemClock });
    await t.rejects(made, {
      code: 'invalid_request',
      message: new RegExp(`${caBundle} .*${problem}.*--ca-bundle`),
    });
  }
});

for (const name of ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy']) {
  t.test(`https goes through the tunnel of ${name}`, async (t) => {
    const proxy = await useConnectProxy(t);
    useServerCredentials(t, { [name]: `http://127.0.0.1:${proxy.port}` });
    await works(t, await useStore(t, secure, { caBundle: ca.bundle }), { bySocket: false });
    t.same(new Set(proxy.targets), new Set([`127.0.0.1:${secure.port}`]));
    t.equal(proxy.targets.length, 2, 'one connection for control calls and one for bytes, kept alive');
  });
}

for (const name of ['HTTP_PROXY', 'http_proxy']) {
  t.test(`http goes through the tunnel of ${name}`, async (t) => {
    const proxy = await useConnectProxy(t);
    useServerCredentials(t, { [name]: `http://127.0.0.1:${proxy.port}`, HTTPS_PROXY: 'http://127.0.0.1:1' });
    await works(t, await useStore(t, plain), { bySocket: false });
    t.same(new Set(proxy.targets), new Set([`127.0.0.1:${plain.port}`]));
  });
}

t.test('hosts in NO_PROXY are reached directly', async (t) => {
  for (const name of ['NO_PROXY', 'no_proxy']) {
    await t.test(name, async (t) => {
      const proxy = await useConnectProxy(t);
      const address = `http://127.0.0.1:${proxy.port}`;
      useServerCredentials(t, { HTTPS_PROXY: address, [name]: 'example.com,127.0.0.1' });
      await works(t, await useStore(t, secure, { caBundle: ca.bundle }));
      t.same(proxy.targets, []);
    });
  }
});

t.test('the certificate is checked against the host behind the proxy', async (t) => {
  const proxy = await useConnectProxy(t, { destinationPort: secure.port });
  useServerCredentials(t, { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` });
  const options = { caBundle: ca.bundle };
  await works(t, await useStore(t, { endpoint: `https://${HOST}` }, options), { bySocket: false });
  t.equal(proxy.targets[0], `${HOST}:443`);
  const wrong = await useStore(t, { endpoint: 'https://other.test' }, options);
  await t.rejects(wrong.check(''), { code: 'unreachable', message: /ERR_TLS_CERT_ALTNAME_INVALID/ });
});

t.test('the bucket is part of the host name, unless in path style', async (t) => {
  const proxy = await useConnectProxy(t, { destinationPort: secure.port });
  useServerCredentials(t, { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` });
  const endpoint = `https://${HOST}`;
  const virtual = await useStore(t, { endpoint }, { caBundle: ca.bundle, forcePathStyle: false });
  // The embedded server knows path style only; the name of the host is what counts here.
  await virtual.head('x').catch(() => undefined);
  await (await useStore(t, { endpoint }, { caBundle: ca.bundle })).head('x');
  t.same(proxy.targets, [`${BUCKET}.${HOST}:443`, `${HOST}:443`]);
  t.equal(virtual.endpoint, endpoint, 'which is not part of the identity');
});

t.test('a proxy may want a login, which no error repeats', async (t) => {
  const proxy = await useConnectProxy(t, { login: 'user:pass-word' });
  const address = (login: string) => `http://${login}@127.0.0.1:${proxy.port}`;
  useServerCredentials(t, { HTTPS_PROXY: address('user:pass-word') });
  await works(t, await useStore(t, secure, { caBundle: ca.bundle }), { bySocket: false });

  process.env['HTTPS_PROXY'] = address('user:wrong-word');
  const store = await useStore(t, secure, { caBundle: ca.bundle });
  const error: unknown = await store.check('').catch((error: unknown) => error);
  t.match(error, { code: 'unreachable', message: /proxy http:\/\/127\.0\.0\.1:\d+ .*407.*HTTPS_PROXY/ });
  t.notMatch((error as Error).message, /wrong-word/);
});

t.test('proxies that cannot be used are named', async (t) => {
  useServerCredentials(t, { HTTP_PROXY: 'http://127.0.0.1:1' });
  await t.rejects((await useStore(t, plain)).check(''), { code: 'unreachable' });
  for (const address of ['socks5://user:pass-word@127.0.0.1:1080', 'http://[bad']) {
    process.env['HTTP_PROXY'] = address;
    const error: unknown = await (await useStore(t, plain)).check('').catch((error: unknown) => error);
    t.match(error, { code: 'invalid_request', message: /HTTP_PROXY/ });
    t.notMatch((error as Error).message, /pass-word/);
  }
});

t.test(
  'a proxy that takes the connection and is silent is given up, and so are its connections',
  async (t) => {
    const sockets: Socket[] = [];
    const proxy = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {}).resume();
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    t.teardown(() => new Promise((resolve) => proxy.close(resolve)));
    useServerCredentials(t, { HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` });
    const store = await useStore(t, secure, { caBundle: ca.bundle, stallTimeoutMs: 200 });
    await t.rejects(store.check(''), { code: 'unreachable', message: /no answer.*HTTPS_PROXY/ });
    t.ok(sockets.length > 1, 'it was tried again');
    for (const socket of sockets) if (!socket.closed) await once(socket, 'close');
  },
);

/** Three HEADs, each answered by `answer`, and the connection closed behind it or not; how many connections they took. */
async function connectionsForHeads(t: Test, answer: string, isClosed = false): Promise<number> {
  let connections = 0;
  const server = createServer((socket: Socket) => {
    connections += 1;
    socket.on('data', () => (isClosed ? socket.end(answer) : socket.write(answer)));
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const store = await useStore(t, { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  for (const key of ['a', 'b', 'c']) t.equal(await store.head(key), undefined);
  store.close();
  return connections;
}

t.test('an answer to HEAD that tells no length costs no connection, as it has no body', async (t) => {
  const id = 'x-amz-request-id: 1\r\n';
  t.equal(await connectionsForHeads(t, `HTTP/1.1 404 Not Found\r\n${id}\r\n`), 1);
  t.equal(
    await connectionsForHeads(t, `HTTP/1.1 404 Not Found\r\n${id}transfer-encoding: chunked\r\n\r\n`),
    1,
  );
  t.equal(await connectionsForHeads(t, `HTTP/1.1 404 Not Found\r\n${id}connection: close\r\n\r\n`, true), 3);
  t.equal(await connectionsForHeads(t, `HTTP/1.0 404 Not Found\r\n${id}\r\n`, true), 3);
});
