/** Signed requests over real HTTP, sent by somebody else than the SDK to a server that checks every signature. */
import t from 'tap';
import { SignedRequests } from '../../src/object-store/signed-requests.js';
import type { Presigner, SignedRequest } from '../../src/object-store/signed-requests.js';
import { systemClock } from '../../src/runtime/clock.js';
import type { Clock } from '../../src/runtime/clock.js';
import { ODD_KEYS } from '../contract/odd-keys-contract.js';
import { useServer, useServerCredentials } from '../support/s3-fixture.js';
import { parametersOf, putVersion, sendSigned, useConnection, versionOf } from '../support/signed-get.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const MINUTE_MS = 60_000;
const BODY = 'the bytes of the object';

/** Counts what really was signed. */
function counted(client: Presigner): Presigner & { readonly signed: readonly string[] } {
  const signed: string[] = [];
  return {
    signed,
    get clockOffsetMs() {
      return client.clockOffsetMs;
    },
    presignGet: (version, nowMs, lifetimeMsMax) => {
      signed.push(version.key);
      return client.presignGet(version, nowMs, lifetimeMsMax);
    },
  };
}

t.test('any range of any key is had by one signature', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  const client = counted((await useConnection(t, server)).control.client);
  const requests = new SignedRequests({ client, clock: systemClock });
  for (const key of [...ODD_KEYS.map(({ key }) => key), '/a', '*~_-.', '%2F', 'x=1&y', 'k'.repeat(1024)]) {
    const body = `content of ${key}`;
    const version = await putVersion(server, key, body);
    for (const end of [7, 3]) {
      const request = await requests.get(version);
      const headers = { range: `bytes=2-${end}`, 'if-match': version.etag };
      const answer = await sendSigned(request, headers);
      const expected = Buffer.from(body).subarray(2, end + 1);
      t.same([answer.status, answer.body], [206, expected], JSON.stringify(key.slice(0, 40)));
    }
    t.equal((await sendSigned(await requests.get(version), { 'if-match': '"other"' })).status, 412);
  }
  t.equal(client.signed.length, new Set(client.signed).size, 'each version was signed once');
});

t.test('versions of one key have requests of their own', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  const { signedRequests } = await useConnection(t, server);
  const version = await putVersion(server, 'k', BODY);
  const request = await signedRequests.get({ ...version, versionId: 'a+b/c=' });
  t.equal(parametersOf(request).get('versionId'), 'a+b/c=');
  t.match(await sendSigned(request), { status: 404 }, 'signed rightly, but there is no such version');
  t.equal((await sendSigned(await signedRequests.get({ ...version, versionId: 'null' }))).status, 200);
  t.equal((await sendSigned(await signedRequests.get(version))).status, 200);
});

t.test('what was tampered with, is another object’s or has expired is refused', async (t) => {
  useServerCredentials(t);
  const clock = new SimulatedClock();
  const server = await useServer(t, { clock });
  const { signedRequests } = await useConnection(t, server, {}, clock);
  const [mine, other] = [await putVersion(server, 'mine', BODY), await putVersion(server, 'other', BODY)];
  const request = await signedRequests.get(mine);
  const refused = async (target: string) => (await sendSigned({ ...request, target })).status;
  t.equal((await sendSigned(request)).status, 200);
  t.equal(await refused(request.target.replace('/mine', '/other')), 403);
  t.equal(await refused(`${request.target}&versionId=null`), 403);
  t.equal(await refused(request.target.replace('Expires=3600', 'Expires=36000')), 403);
  clock.advance(60 * MINUTE_MS);
  t.equal((await sendSigned(request)).status, 200, 'valid to its last second');
  clock.advance(1001);
  t.equal((await sendSigned(request)).status, 403, 'and no longer');
  t.equal((await sendSigned(await signedRequests.get(mine))).status, 200, 'but is signed anew');
  t.equal((await sendSigned(await signedRequests.get(other))).status, 200);
});

t.test('a signature is renewed at half of its life, for all who want it at once', async (t) => {
  useServerCredentials(t);
  const clock = new SimulatedClock();
  const server = await useServer(t, { clock });
  const version = await putVersion(server, 'k', BODY);
  const client = counted((await useConnection(t, server, {}, clock)).control.client);
  const requests = new SignedRequests({ client, clock });
  const many = await Promise.all(Array.from({ length: 50 }, () => requests.get(version)));
  t.equal(new Set(many).size, 1, 'concurrent callers share one signing');
  clock.advance(30 * MINUTE_MS - 1);
  t.equal(await requests.get(version), many[0]);
  clock.advance(1);
  const renewed = await Promise.all(Array.from({ length: 50 }, () => requests.get(version)));
  t.equal(new Set(renewed).size, 1);
  t.not(renewed[0], many[0]);
  t.equal((await sendSigned(renewed[0] as SignedRequest)).status, 200);
  requests.forget(version);
  t.not(await requests.get(version), renewed[0], 'what was forgotten is signed anew');
  t.equal(client.signed.length, 3);
});

t.test('a clock that is set back makes new signatures', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  let wallTimeMs = Date.UTC(2030, 0, 2);
  const clock: Clock = { ...systemClock, wallTimeMs: () => wallTimeMs };
  const { signedRequests } = await useConnection(t, server, {}, clock);
  const version = versionOf(server.endpoint, 'k', BODY);
  const first = await signedRequests.get(version);
  wallTimeMs -= 1000;
  t.equal(await signedRequests.get(version), first, 'a second is nothing');
  wallTimeMs = Date.UTC(2030, 0, 1);
  t.equal(parametersOf(await signedRequests.get(version)).get('X-Amz-Date'), '20300101T000000Z');
});

t.test('the server’s time counts, once it is known', async (t) => {
  useServerCredentials(t);
  const dayMs = 24 * 60 * MINUTE_MS;
  const clock: Clock = { ...systemClock, wallTimeMs: () => systemClock.wallTimeMs() + dayMs };
  const server = await useServer(t, { clock });
  const { control, signedRequests } = await useConnection(t, server);
  const version = await putVersion(server, 'k', BODY);
  t.equal((await sendSigned(await signedRequests.get(version))).status, 403, 'expired long ago');
  const signal = new AbortController().signal;
  await t.rejects(control.client.list({ prefix: '' }, signal), { name: 'RequestTimeTooSkewed' });
  t.equal((await sendSigned(await signedRequests.get(version))).status, 200);
});

t.test('while credentials cannot be had, a signature that still holds is used', async (t) => {
  const clock = new SimulatedClock();
  let failure: Error | undefined = new Error('no credentials');
  const request = {
    origin: { protocol: 'http:', hostname: 'h', port: 80 },
    hostHeader: 'h',
    headers: [],
  } as const;
  let signed = 0;
  const client: Presigner = {
    clockOffsetMs: 0,
    presignGet: async (_version, nowMs, lifetimeMsMax) => {
      if (failure) throw failure;
      return { request: { ...request, target: `/${++signed}` }, expiresMs: nowMs + lifetimeMsMax };
    },
  };
  const requests = new SignedRequests({ client, clock });
  const version = versionOf('', 'k', BODY);
  const target = async () => (await requests.get(version)).target;
  await t.resolves(requests.warmUp(), 'which is no matter for the warm-up');
  await t.rejects(target(), failure);
  failure = undefined;
  t.equal(await target(), '/1');
  failure = new Error('no credentials any more');
  clock.advance(60 * MINUTE_MS - 1);
  t.equal(await target(), '/1');
  clock.advance(1);
  await t.rejects(target(), failure, 'it has expired');
  failure = undefined;
  t.equal(await target(), '/2');
  failure = new Error('no credentials again');
  requests.forget(version);
  await t.rejects(target(), failure, 'it was refused by the server');
});

t.test('what is forgotten while it is signed is not kept', async (t) => {
  const started: ((target: string) => void)[] = [];
  const client: Presigner = {
    clockOffsetMs: 0,
    presignGet: (_version, nowMs, lifetimeMsMax) =>
      new Promise((resolve) => {
        const origin = { protocol: 'http:', hostname: 'h', port: 80 } as const;
        started.push((target) =>
          resolve({
            request: { origin, hostHeader: 'h', headers: [], target },
            expiresMs: nowMs + lifetimeMsMax,
          }),
        );
      }),
  };
  const requests = new SignedRequests({ client, clock: new SimulatedClock() });
  const version = versionOf('', 'k', BODY);
  const first = requests.get(version);
  requests.forget(version);
  const second = requests.get(version);
  started[1]?.('/second');
  started[0]?.('/first');
  t.same([(await first).target, (await second).target], ['/first', '/second']);
  t.equal((await requests.get(version)).target, '/second');
  t.equal(started.length, 2);
});
