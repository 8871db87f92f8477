/** What `check` finds out before anything is mounted: where the bucket is, and each reason why it cannot be listed. */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import type { ObjectStoreErrorCode } from '../../src/object-store/errors.js';
import type { ObjectStore } from '../../src/object-store/object-store.js';
import { createS3ObjectStore } from '../../src/object-store/s3-object-store.js';
import { createLogger, silentLogger } from '../../src/observability/logger.js';
import { systemClock } from '../../src/runtime/clock.js';
import type { Fault } from '../../src/s3-server/faults.js';
import { useRawServer } from '../support/raw-server.js';
import {
  BUCKET,
  currentVersion,
  storeOptions,
  useEnvironment,
  useServer,
  useServerCredentials,
  useStore,
} from '../support/s3-fixture.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { SimulatedClock } from '../support/simulated-clock.js';

useServerCredentials(t);
const server = await useServer(t);

async function rejectsWith(
  t: Test,
  store: ObjectStore,
  code: ObjectStoreErrorCode,
  advice: RegExp,
): Promise<void> {
  const error = await store.check('dir/').catch((error: unknown) => error);
  if (!(error instanceof ObjectStoreError)) throw new Error(`not an ObjectStoreError: ${String(error)}`);
  t.equal(error.code, code, error.message);
  t.match(error.message, advice);
  t.notMatch(error.message, /\n/, 'one line');
  t.match(error.facts, { operation: 'check', bucket: store.bucket, endpoint: store.endpoint });
}

t.test('a bucket that can be listed passes, empty or not', async (t) => {
  const store = await useStore(t, server);
  await t.resolves(store.check('nothing/here/'));
  t.equal(store.endpoint, server.endpoint);
});

t.test('no credentials anywhere', async (t) => {
  useEnvironment(t, {});
  const advice = /AWS_ACCESS_KEY_ID.*aws configure.*--profile.*--no-sign-request/;
  await rejectsWith(t, await useStore(t, server), 'credentials_missing', advice);
});

t.test('a profile that does not exist', async (t) => {
  useEnvironment(t, {});
  const store = await useStore(t, server, { profile: 'nobody' });
  await rejectsWith(t, store, 'credentials_missing', /nobody.*--profile/);
});

t.test('an unknown key', async (t) => {
  useServerCredentials(t, { AWS_ACCESS_KEY_ID: 'unknown' });
  await rejectsWith(
    t,
    await useStore(t, server),
    'credentials_rejected',
    /InvalidAccessKeyId.*AWS_ACCESS_KEY_ID/,
  );
});

t.test('a wrong secret', async (t) => {
  useServerCredentials(t, { AWS_SECRET_ACCESS_KEY: 'wrong' });
  await rejectsWith(
    t,
    await useStore(t, server),
    'credentials_rejected',
    /SignatureDoesNotMatch.*AWS_SECRET_ACCESS_KEY/,
  );
});

t.test('no such bucket', async (t) => {
  const store = await useStore(t, server, { bucket: 'absent' });
  await rejectsWith(t, store, 'no_such_bucket', /absent.*--endpoint-url/);
});

t.test('an anonymous request that is not allowed', async (t) => {
  const store = await useStore(t, server, { noSignRequest: true });
  await rejectsWith(t, store, 'access_denied', /s3:ListBucket.*--no-sign-request/);
});

const FAULTS: readonly (readonly [string, Fault, ObjectStoreErrorCode, RegExp])[] = [
  ['a policy that forbids listing', { kind: 'access-denied' }, 'access_denied', /s3:ListBucket.*--profile/],
  ['an expired token', { kind: 'expired-token' }, 'credentials_rejected', /expired.*aws sso login/],
  ['a clock that is off', { kind: 'request-time-too-skewed' }, 'clock_skew', /set the clock/],
  [
    'a server that never recovers',
    { kind: 'internal-error' },
    'server_error',
    /500 InternalError.*is it an S3 server/,
  ],
  ['a server that stays busy', { kind: 'slow-down' }, 'throttled', /slow down.*try again later/],
];

for (const [title, fault, code, advice] of FAULTS) {
  t.test(title, async (t) => {
    const store = await useStore(t, server);
    t.teardown(server.faults.add({ operation: 'ListObjectsV2', fault }));
    await rejectsWith(t, store, code, advice);
  });
}

t.test('three faults in a row are survived', async (t) => {
  const store = await useStore(t, server);
  t.teardown(
    server.faults.add({ operation: 'ListObjectsV2', attempts: 3, fault: { kind: 'internal-error' } }),
  );
  await t.resolves(store.check(''));
});

t.test('nothing listens', async (t) => {
  const store = await useStore(t, { endpoint: 'http://127.0.0.1:1' });
  await rejectsWith(
    t,
    store,
    'unreachable',
    /nothing listens at http:\/\/127\.0\.0\.1:1 .*ECONNREFUSED.*--endpoint-url/,
  );
});

t.test('a host name that does not exist', async (t) => {
  const store = await useStore(t, { endpoint: 'http://s3.invalid:9000' });
  await rejectsWith(t, store, 'unreachable', /s3\.invalid.*(ENOTFOUND|EAI_AGAIN).*--endpoint-url/);
});

t.test('a server that takes the connection and is silent', async (t) => {
  const endpoint = await silentEndpoint(t);
  for (const url of [endpoint, endpoint.replace('http:', 'https:')]) {
    const store = await useStore(t, { endpoint: url }, { stallTimeoutMs: 200 });
    await rejectsWith(t, store, 'unreachable', /no answer from .*--endpoint-url/);
  }
});

t.test('the wait for a silent server has an end, however patient each attempt is', async (t) => {
  const clock = new SimulatedClock();
  const endpoint = await silentEndpoint(t, () => clock.advance(15_000));
  const store = await useStore(t, { endpoint }, { stallTimeoutMs: 600_000 }, { clock });
  await rejectsWith(t, store, 'unreachable', /ETIMEDOUT/);
});

t.test('https where http is spoken', async (t) => {
  const store = await useStore(t, { endpoint: server.endpoint.replace('http:', 'https:') });
  await rejectsWith(t, store, 'unreachable', /no TLS connection.*https:\/\/ or http:\/\//);
});

t.test('a web server that is no S3 server', async (t) => {
  const { endpoint } = await useRawServer(t, (_request, response) => response.writeHead(404).end('not here'));
  await rejectsWith(t, await useStore(t, { endpoint }), 'invalid_request', /404.*--endpoint-url/);
});

t.test('an abort is no failure of the server', async (t) => {
  const controller = new AbortController();
  const endpoint = await silentEndpoint(t, () => controller.abort());
  const store = await useStore(t, { endpoint });
  await t.rejects(store.check('', controller.signal), { code: 'aborted' });
});

t.test('endpoints that are none', async (t) => {
  const withPassword = 'http://user:pass-word@host';
  for (const endpointUrl of ['localhost:9000', 'ftp://host', 'not a url', 'http://host/?x=1', withPassword]) {
    const made = createS3ObjectStore(storeOptions(endpointUrl), { logger: silentLogger, clock: systemClock });
    const error = await made.catch((error: unknown) => error);
    t.match(error, { code: 'invalid_request', message: /--endpoint-url/ }, endpointUrl);
    t.notMatch((error as Error).message, /pass-word/);
  }
});

t.test('one server has one identity, however its URL is written', async (t) => {
  const identities = new Set<string>();
  for (const url of ['http://LOCALHOST:80', 'http://localhost/', 'http://localhost//']) {
    identities.add((await useStore(t, { endpoint: url })).endpoint);
  }
  t.same([...identities], ['http://localhost']);
  const { endpoint } = await useStore(t, { endpoint: 'https://host:9000/s3/' });
  t.equal(endpoint, 'https://host:9000/s3');
});

t.test('without an endpoint it is AWS by region, or what the environment says', async (t) => {
  const make = (region: string | undefined) =>
    createS3ObjectStore({ ...storeOptions(undefined), region }, { logger: silentLogger, clock: systemClock });
  t.equal((await make(undefined)).endpoint, 'aws:us-east-1');
  t.equal((await make('eu-central-1')).endpoint, 'aws:eu-central-1');
  useServerCredentials(t, { AWS_REGION: 'ap-south-1' });
  t.equal((await make(undefined)).endpoint, 'aws:ap-south-1');
  useServerCredentials(t, { AWS_ENDPOINT_URL: `${server.endpoint}/` });
  const store = await make(undefined);
  t.equal(store.endpoint, server.endpoint);
  await t.resolves(store.check(''));
});

t.test('the region of the bucket is followed, by every kind of call', async (t) => {
  const far = await useServer(t, { region: 'eu-west-1' });
  await far.putSynthetic(BUCKET, 'x', { size: 1000, seed: 1 });
  const lines: string[] = [];
  const logger = createLogger('warn', { write: (line) => void lines.push(line) });
  const fresh = () => useStore(t, far, { region: 'us-east-1' }, { logger });

  const store = await fresh();
  await store.check('');
  t.equal((await store.list({ prefix: '' })).objects.length, 1);
  t.equal(lines.length, 1, 'said once');
  t.match(JSON.parse(lines[0] ?? ''), { bucket: BUCKET, region: 'eu-west-1', before: 'us-east-1' });

  const version = await currentVersion(store, 'x');
  t.match(await (await fresh()).head('x'), { size: 1000 }, 'a HEAD by itself');
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  const sinks = [new CollectingSink(), new CollectingSink()];
  const cold = await fresh();
  const parts = sinks.map((sink) => cold.fetchPart(version, { start: 0, end: 1000 }, sink, options));
  t.same(await Promise.all(parts), [{ kind: 'complete' }, { kind: 'complete' }], 'two parts at once');
});

t.test('a redirect that names the region is followed', async (t) => {
  const { endpoint, requests } = await useRawServer(t, (request, response) => {
    if (!request.headers.authorization?.includes('/ap-south-1/s3/')) {
      response.writeHead(301, { 'x-amz-bucket-region': 'ap-south-1' }).end();
    } else {
      response.end('<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>');
    }
  });
  await t.resolves((await useStore(t, { endpoint })).check(''));
  t.equal(requests.length, 2);
});

t.test('a redirect that leads nowhere, or in a circle, is an error', async (t) => {
  const silent = await useRawServer(t, (_request, response) => response.writeHead(301).end());
  await rejectsWith(t, await useStore(t, silent), 'wrong_region', /us-east-1.*--region/);
  const circle = await useRawServer(t, (request, response) => {
    const here = /\/(r\d|us-east-1)\/s3\//.exec(request.headers.authorization ?? '')?.[1];
    response.writeHead(301, { 'x-amz-bucket-region': here === 'r1' ? 'r2' : 'r1' }).end();
  });
  await rejectsWith(t, await useStore(t, circle), 'wrong_region', /--region/);
  t.equal(circle.requests.length, 2);
});

t.test('a clock that is hours off is corrected by the time of the server', async (t) => {
  const serverTime = () => new Date(systemClock.wallTimeMs() + 3 * 3600 * 1000);
  const skewed = '<Error><Code>RequestTimeTooSkewed</Code></Error>';
  const { endpoint, requests } = await useRawServer(t, (request, response) => {
    response.setHeader('date', serverTime().toUTCString());
    // By the hour: 20241121T08…
    const now = serverTime().toISOString().replaceAll(/[-:]/g, '').slice(0, 11);
    const inTime = String(request.headers['x-amz-date']).startsWith(now);
    if (!inTime) response.writeHead(403).end(skewed);
    else if (request.url?.startsWith('/bucket/x')) response.writeHead(404).end();
    else response.end('<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>');
  });
  const store = await useStore(t, { endpoint });
  await t.resolves(store.check(''));
  t.equal(requests.length, 2);
  const version = { endpoint, bucket: BUCKET, key: 'x', etag: '"e"', size: 10 };
  const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
  const outcome = await store.fetchPart(version, { start: 0, end: 10 }, new CollectingSink(), options);
  t.match(outcome, { kind: 'missing' }, 'in time for parts as well');
});

/** Takes connections and says nothing; `onConnection` is called at each. */
async function silentEndpoint(t: Test, onConnection: () => void = () => {}): Promise<string> {
  const silent = createServer((socket) => {
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    onConnection();
  });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => new Promise((resolve) => silent.close(resolve)));
  return `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
}
