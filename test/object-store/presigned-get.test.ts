/** Who signs and for which place: identities, addressing styles, regions, sessions, proxies. */
import t from 'tap';
import type { Test } from 'tap';
import { isProxied, NetworkHandler } from '../../src/object-store/network.js';
import { SdkClient } from '../../src/object-store/sdk-client.js';
import { SignedRequests } from '../../src/object-store/signed-requests.js';
import type { SignedRequest } from '../../src/object-store/signed-requests.js';
import { silentLogger } from '../../src/observability/logger.js';
import { systemClock } from '../../src/runtime/clock.js';
import { queryPairs } from '../../src/s3-server/request.js';
import { DEFAULT_CREDENTIALS } from '../../src/s3-server/server.js';
import { verifySignature } from '../../src/s3-server/sigv4.js';
import { useRawServer } from '../support/raw-server.js';
import { BUCKET, useEnvironment, useServer, useServerCredentials } from '../support/s3-fixture.js';
import { parametersOf, putVersion, sendSigned, useConnection, versionOf } from '../support/signed-get.js';

const MINUTE_MS = 60_000;
const BODY = 'the bytes of the object';

/** As a server that is reached by that Host would judge it. */
function accepts({ target, hostHeader, headers }: SignedRequest, region: string): boolean {
  const [rawPath = '', rawQuery = ''] = target.split('?');
  const received = {
    method: 'GET',
    rawPath,
    rawQuery,
    bucket: undefined,
    key: undefined,
    query: new Map(queryPairs(rawQuery)),
    headers: { ...Object.fromEntries(headers), host: hostHeader },
  };
  const policy = { region, credentials: [DEFAULT_CREDENTIALS], wallTimeMs: systemClock.wallTimeMs() };
  verifySignature(received, policy);
  return true;
}

function useNetwork(t: Test): NetworkHandler {
  const limits = { socketsMax: 2, connectTimeoutMs: 0, idleTimeoutMs: 0, tunnelTimeoutMs: 1000 };
  const network = new NetworkHandler({ ...limits, trust: undefined, logger: silentLogger });
  t.teardown(() => network.destroy());
  return network;
}

t.test('a session token is part of the signature', async (t) => {
  const credentials = { accessKeyId: 'ASIA', secretAccessKey: 'secret', sessionToken: 'to+ken/with=signs' };
  useEnvironment(t, {
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: credentials.sessionToken,
  });
  const server = await useServer(t, { credentials: [credentials] });
  const { signedRequests } = await useConnection(t, server);
  const request = await signedRequests.get(await putVersion(server, 'k', BODY));
  t.match(await sendSigned(request), { status: 200, body: Buffer.from(BODY) });
  const target = request.target.replace('to%2Bken', 'token');
  t.equal((await sendSigned({ ...request, target })).status, 400, 'InvalidToken');
});

t.test('who pays is said and signed', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  const { signedRequests } = await useConnection(t, server, { requesterPays: true });
  const request = await signedRequests.get(await putVersion(server, 'k', BODY));
  t.equal(parametersOf(request).get('x-amz-request-payer'), 'requester');
  t.equal((await sendSigned(request)).status, 200);
  const target = request.target.replace('x-amz-request-payer=requester&', '');
  t.equal((await sendSigned({ ...request, target })).status, 403);
});

t.test('anonymous requests are not signed and hold for ever', async (t) => {
  useEnvironment(t, {});
  const server = await useServer(t, { anonymousRead: true });
  const { signedRequests } = await useConnection(t, server, { noSignRequest: true });
  const version = await putVersion(server, 'k ü', BODY);
  const request = await signedRequests.get(version);
  t.equal((await sendSigned(request)).status, 200);
  t.notMatch(request.target, /amz/i);
  t.equal(await signedRequests.get(version), request);
});

t.test('without credentials there is no request', async (t) => {
  useEnvironment(t, {});
  const { signedRequests } = await useConnection(t, { endpoint: 'http://127.0.0.1:1' });
  await t.rejects(signedRequests.get(versionOf('', 'k', BODY)), { name: 'CredentialsError' });
});

t.test('credentials that expire end the signature with them, and new ones sign the next', async (t) => {
  useEnvironment(t, {});
  const [first, second] = [
    { accessKeyId: 'first', secretAccessKey: 'a' },
    { accessKeyId: 'second', secretAccessKey: 'b' },
  ];
  const server = await useServer(t, { credentials: [first, second] });
  let shiftMs = 0;
  const clock = { ...systemClock, wallTimeMs: () => systemClock.wallTimeMs() + shiftMs };
  // Within their last minutes, in which the SDK asks its source again.
  const expiration = new Date(systemClock.wallTimeMs() + 4 * MINUTE_MS);
  let current = { ...first, expiration };
  const client = new SdkClient({
    bucket: BUCKET,
    endpointUrl: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    requesterPays: false,
    customerKey: undefined,
    credentials: async () => current,
    network: useNetwork(t),
  });
  const requests = new SignedRequests({ client, clock });
  const version = await putVersion(server, 'k', BODY);
  const before = await requests.get(version);
  const lifetimeMs = Number(parametersOf(before).get('X-Amz-Expires')) * 1000;
  t.ok(lifetimeMs > 3 * MINUTE_MS && lifetimeMs <= 4 * MINUTE_MS, `${lifetimeMs}`);
  current = { ...second, expiration: new Date(systemClock.wallTimeMs() + 600 * MINUTE_MS) };
  t.equal(await requests.get(version), before);
  shiftMs = 2 * MINUTE_MS;
  const after = await requests.get(version);
  t.match(parametersOf(after).get('X-Amz-Credential'), /^second/);
  t.equal(parametersOf(after).get('X-Amz-Expires'), '3600');
  t.equal((await sendSigned(after)).status, 200);
});

t.test('AWS itself is addressed by virtual host, with its default port', async (t) => {
  useServerCredentials(t);
  const options = { region: 'eu-west-1', forcePathStyle: false };
  const { signedRequests } = await useConnection(t, { endpoint: undefined }, options);
  const request = await signedRequests.get(versionOf('', 'a//b', BODY));
  const hostname = `${BUCKET}.s3.eu-west-1.amazonaws.com`;
  t.match(request, { origin: { protocol: 'https:', hostname, port: 443 }, hostHeader: hostname });
  t.match(request.target, /^\/a\/\/b\?/);
  t.ok(accepts(request, 'eu-west-1'));
});

t.test('a port other than the default is part of the Host', async (t) => {
  useServerCredentials(t);
  const options = { forcePathStyle: false };
  const { signedRequests } = await useConnection(t, { endpoint: 'http://s3.test:9000' }, options);
  const request = await signedRequests.get(versionOf('', 'k', BODY));
  t.match(request.origin, { protocol: 'http:', hostname: `${BUCKET}.s3.test`, port: 9000 });
  t.equal(request.hostHeader, `${BUCKET}.s3.test:9000`);
  t.ok(accepts(request, 'us-east-1'));
});

t.test('an IPv6 address has brackets in the Host only', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t, { host: '::1' });
  const { signedRequests } = await useConnection(t, server);
  const request = await signedRequests.get(await putVersion(server, 'k', BODY));
  t.equal(request.origin.hostname, '::1');
  t.equal(request.hostHeader, `[::1]:${server.port}`);
  t.equal((await sendSigned(request)).status, 200);
});

t.test('a path in the endpoint stands before the bucket', async (t) => {
  useServerCredentials(t);
  const { signedRequests } = await useConnection(t, { endpoint: 'https://gateway.test/s3/v1' });
  const request = await signedRequests.get(versionOf('', 'k', BODY));
  t.match(request.target, /^\/s3\/v1\/bucket\/k\?/);
  t.ok(accepts(request, 'us-east-1'));
});

t.test('once the region was learned, it is signed for', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t, { region: 'eu-central-1' });
  const connection = await useConnection(t, server);
  const version = await putVersion(server, 'k', BODY);
  t.equal((await sendSigned(await connection.signedRequests.get(version))).status, 400);
  const { client } = connection.control;
  const thrown: unknown = await client
    .list({ prefix: '' }, new AbortController().signal)
    .catch((e: unknown) => e);
  t.ok(connection.learn(connection.explain(thrown, client, { operation: 'list' })));
  t.equal((await sendSigned(await connection.signedRequests.get(version))).status, 200);
});

t.test('a directory bucket is read with a session instead of the credentials', async (t) => {
  useServerCredentials(t);
  const express = await useRawServer(t, (_request, response) => {
    response.end(
      '<CreateSessionResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Credentials>' +
        '<AccessKeyId>session</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>' +
        '<SessionToken>session-token</SessionToken><Expiration>2040-01-01T00:00:00Z</Expiration>' +
        '</Credentials></CreateSessionResult>',
    );
  });
  const bucket = 'models--use1-az4--x-s3';
  const { signedRequests } = await useConnection(t, express, { bucket });
  const request = await signedRequests.get({ ...versionOf('', 'k', BODY), bucket });
  t.equal(express.requests.length, 1);
  const parameters = parametersOf(request);
  t.match(parameters.get('X-Amz-Credential'), /^session\/\d+\/[^/]+\/s3express\/aws4_request$/);
  t.equal(parameters.get('X-Amz-S3session-Token'), 'session-token');
  t.notOk(parameters.has('X-Amz-Security-Token'));
});

t.test('which places the environment sends through a proxy', async (t) => {
  useEnvironment(t, { http_proxy: 'http://proxy.test:3128', no_proxy: 'direct.test,[::1],other.test:9000' });
  const proxied = (hostname: string, port = 80, protocol: 'http:' | 'https:' = 'http:') =>
    isProxied({ protocol, hostname, port });
  t.equal(proxied('s3.test'), true);
  t.equal(proxied('s3.test', 443, 'https:'), false, 'there is none for https');
  t.equal(proxied('direct.test'), false);
  t.equal(proxied('::1'), false);
  t.equal(proxied('::2'), true);
  t.equal(proxied('other.test', 9000), false);
  t.equal(proxied('other.test'), true);
});
