/** Credentials and region by the standard AWS chain, each source by itself, and none of them in an error or a log. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { createLogger } from '../../src/observability/logger.js';
import { DEFAULT_CREDENTIALS } from '../../src/s3-server/server.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { useRawServer } from '../support/raw-server.js';
import { BUCKET, useEnvironment, useFolder, useServer, useStore } from '../support/s3-fixture.js';
import { hurriedClock } from '../support/clocks.js';

const { accessKeyId, secretAccessKey } = DEFAULT_CREDENTIALS;
/** For sources that always come with a session token. */
const TEMPORARY = {
  accessKeyId: 'temporary',
  secretAccessKey: 'temporary-secret',
  sessionToken: 'temporary-token',
};
const server = await useServer(t, { region: 'eu-west-3', credentials: [DEFAULT_CREDENTIALS, TEMPORARY] });

/** As metadata services give them, far from expiry. */
const AS_JSON = JSON.stringify({
  Code: 'Success',
  Type: 'AWS-HMAC',
  AccessKeyId: accessKeyId,
  SecretAccessKey: secretAccessKey,
  Token: '',
  Expiration: '2040-01-01T00:00:00Z',
});

async function checks(t: Test, options: { readonly profile?: string } = {}): Promise<void> {
  const store = await useStore(t, server, options);
  await t.resolves(store.check(''), 'the credentials are right');
}

async function useFiles(
  t: Test,
  credentials: string,
  config: string,
  variables: Readonly<Record<string, string>> = {},
) {
  const dir = await useFolder(t);
  const files = {
    AWS_SHARED_CREDENTIALS_FILE: join(dir, 'credentials'),
    AWS_CONFIG_FILE: join(dir, 'config'),
  };
  await writeFile(files.AWS_SHARED_CREDENTIALS_FILE, credentials);
  await writeFile(files.AWS_CONFIG_FILE, config);
  useEnvironment(t, { ...files, ...variables });
  return dir;
}

const KEYS = `aws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;

t.test('environment', async (t) => {
  useEnvironment(t, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
  await checks(t);
});

t.test('shared credentials and configuration', async (t) => {
  await useFiles(t, `[default]\n${KEYS}`, '[default]\nregion = eu-west-3\n');
  await checks(t);
});

t.test('a profile by option or by AWS_PROFILE', async (t) => {
  const other = '[default]\naws_access_key_id = no\naws_secret_access_key = no\n';
  await useFiles(t, `${other}[work]\n${KEYS}`, '[profile work]\nregion = eu-west-3\n');
  await checks(t, { profile: 'work' });
  process.env['AWS_PROFILE'] = 'work';
  await checks(t);
});

t.test('a credential process', async (t) => {
  const answer = JSON.stringify({ Version: 1, AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey });
  await useFiles(t, '', `[default]\ncredential_process = echo '${answer}'\n`, { PATH: '/usr/bin:/bin' });
  await checks(t);
});

t.test('a web identity', async (t) => {
  const sts = await useRawServer(t, (_request, response) => {
    response.end(
      '<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>' +
        `<AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey>` +
        '<SessionToken></SessionToken><Expiration>2040-01-01T00:00:00Z</Expiration>' +
        '</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>',
    );
  });
  const dir = await useFolder(t);
  await writeFile(join(dir, 'token'), 'a-web-identity-token');
  useEnvironment(t, {
    AWS_WEB_IDENTITY_TOKEN_FILE: join(dir, 'token'),
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/reader',
    AWS_ENDPOINT_URL_STS: sts.endpoint,
    AWS_REGION: 'eu-west-3',
  });
  await checks(t);
  t.equal(sts.requests.length, 1, 'asked once for both clients');
});

t.test('single sign-on', async (t) => {
  const sso = await useRawServer(t, (_request, response) => {
    const roleCredentials = { ...TEMPORARY, expiration: Date.UTC(2040, 0) };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ roleCredentials }));
  });
  const settings = 'sso_start_url = https://start.invalid\nsso_region = eu-west-3\n';
  const role = 'sso_account_id = 123456789012\nsso_role_name = reader\nregion = eu-west-3\n';
  const dir = await useFiles(t, '', `[profile team]\n${settings}${role}`, {
    AWS_ENDPOINT_URL_SSO: sso.endpoint,
  });
  process.env['HOME'] = dir;
  const cache = join(dir, '.aws', 'sso', 'cache');
  await mkdir(cache, { recursive: true });
  // The name is the SHA-1 of the start URL.
  const token = { accessToken: 'a-token', expiresAt: '2040-01-01T00:00:00Z' };
  const name = createHash('sha1').update('https://start.invalid').digest('hex');
  await writeFile(join(cache, `${name}.json`), JSON.stringify(token));
  await checks(t, { profile: 'team' });
  t.match(sso.requests[0]?.url, /role_name=reader/);
});

t.test('a container', async (t) => {
  const ecs = await useRawServer(t, (_request, response) => response.end(AS_JSON));
  useEnvironment(t, { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${ecs.endpoint}/role` });
  await checks(t);
});

t.test('instance metadata', async (t) => {
  const imds = await useRawServer(t, (request, response) => {
    if (request.method === 'PUT') response.end('a-session-token');
    else response.end(request.url?.endsWith('/reader') ? AS_JSON : 'reader');
  });
  useEnvironment(t, { AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.endpoint, AWS_EC2_METADATA_DISABLED: 'false' });
  await checks(t);
});

t.test('instance metadata that never answers is found out', async (t) => {
  const silent = await useRawServer(t, () => {});
  useEnvironment(t, {
    AWS_EC2_METADATA_SERVICE_ENDPOINT: silent.endpoint,
    AWS_EC2_METADATA_DISABLED: 'false',
  });
  const store = await useStore(t, server);
  await t.rejects(store.check(''), { code: 'credentials_missing' });
  // One attempt each: a session token, then the older way without one.
  t.ok(silent.requests.length <= 2, `${silent.requests.length} requests`);
});

t.test('no network on the way to the credentials is no lack of credentials', async (t) => {
  const dir = await useFolder(t);
  await writeFile(join(dir, 'token'), 'a-web-identity-token');
  useEnvironment(t, {
    AWS_WEB_IDENTITY_TOKEN_FILE: join(dir, 'token'),
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/reader',
    AWS_ENDPOINT_URL_STS: 'http://127.0.0.1:1',
    AWS_MAX_ATTEMPTS: '1',
  });
  await t.rejects((await useStore(t, server)).check(''), { code: 'unreachable' });
});

t.test('secrets get into no error and no log', async (t) => {
  const secret = 'fake-secret-0123456789abcdefghijklmnop';
  const token = 'fake-session-token-0123456789abcdefghi';
  useEnvironment(t, {
    AWS_ACCESS_KEY_ID: 'FAKEACCESSKEY0123456',
    AWS_SECRET_ACCESS_KEY: secret,
    AWS_SESSION_TOKEN: token,
  });
  // It repeats what it was sent, as real servers do when a signature is wrong.
  const echo = await useRawServer(t, (request, response) => {
    const sent = Object.entries(request.headers).map(
      ([name, value]) => `<Sent name="${name}">${String(value)}</Sent>`,
    );
    const status = request.url?.includes('busy') ? 503 : 403;
    const key = '<AWSAccessKeyId>FAKEACCESSKEY0123456</AWSAccessKeyId>';
    response.writeHead(status).end(`<Error><Code>SignatureDoesNotMatch</Code>${key}${sent.join('')}</Error>`);
  });
  const lines: string[] = [];
  const logger = createLogger('trace', { write: (line) => void lines.push(line) });
  const { clock } = hurriedClock();
  const collected: unknown[] = [];
  for (const endpoint of [echo.endpoint, `${echo.endpoint}/busy`, 'http://127.0.0.1:1', server.endpoint]) {
    const store = await useStore(t, { endpoint }, { region: 'eu-west-3' }, { logger, clock });
    const caught = (error: unknown) => collected.push(error);
    await store.list({ prefix: '' }).catch(caught);
    await store.head('x').catch(caught);
    const version = { endpoint, bucket: BUCKET, key: 'x', etag: '"e"', size: 10 };
    const options = { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
    collected.push(await store.fetchPart(version, { start: 0, end: 10 }, new CollectingSink(), options));
  }
  t.equal(collected.length, 12, 'every call failed');
  for (const error of collected) logger.error({ err: error }, 'as a caller may log it');
  const text = inspect(collected, { depth: 20, showHidden: true }) + lines.join('');
  for (const hidden of [secret, token, 'FAKEACCESSKEY0123456', 'AWS4-HMAC-SHA256']) {
    t.notOk(text.includes(hidden), `${hidden} does not appear`);
  }
});

t.test('a failed credential process is named without its command line', async (t) => {
  await useFiles(t, '', '[default]\ncredential_process = false --password hunter2\n', {
    PATH: '/usr/bin:/bin',
  });
  const error: unknown = await (await useStore(t, server)).check('').catch((error: unknown) => error);
  t.match(error, { code: 'credentials_missing' });
  t.notMatch((error as Error).message, /hunter2/);
});
