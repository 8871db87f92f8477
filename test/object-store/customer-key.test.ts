/** Objects encrypted with a customer-provided key (SSE-C): its file, its way into requests, and what is said without it. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import t from 'tap';
import type { Test } from 'tap';
import { loadCustomerKey } from '../../src/object-store/customer-key.js';
import { createLogger, silentLogger } from '../../src/observability/logger.js';
import { DEFAULT_CREDENTIALS } from '../../src/s3-server/server.js';
import type { S3Server } from '../../src/s3-server/server.js';
import { fetch } from '../contract/contract-target.js';
import { hurriedClock } from '../support/clocks.js';
import {
  BUCKET,
  currentVersion,
  useFolder,
  useServer,
  useServerCredentials,
  useStore,
} from '../support/s3-fixture.js';
import { sendSigned, useConnection } from '../support/signed-get.js';

const { accessKeyId, secretAccessKey } = DEFAULT_CREDENTIALS;
const KEY = Buffer.from('0123456789abcdef0123456789ABCDEF');
const BASE64 = KEY.toString('base64');
const BODY = 'the bytes of an encrypted object';

async function useKeyFile(t: Test, content: Uint8Array | string, mode = 0o600): Promise<string> {
  const path = join(await useFolder(t), 'key');
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}

/** Keeps what is logged. */
function listening() {
  const lines: string[] = [];
  return { lines, logger: createLogger('trace', { write: (line) => void lines.push(line) }) };
}

async function putEncrypted(t: Test, server: S3Server, key: string, encryptionKey: Buffer): Promise<void> {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  t.teardown(() => client.destroy());
  const encryption = { SSECustomerAlgorithm: 'AES256', SSECustomerKey: encryptionKey.toString('base64') };
  await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: BODY, ...encryption }));
  await t.rejects(client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key })), {
    name: 'InvalidRequest',
  });
}

t.test('a key may stand in its file in three ways', async (t) => {
  const forms = {
    raw: KEY,
    base64: BASE64,
    hex: KEY.toString('hex'),
    HEX: KEY.toString('hex').toUpperCase(),
  };
  for (const [form, content] of Object.entries(forms)) {
    t.equal(await loadCustomerKey(await useKeyFile(t, content), silentLogger), BASE64, form);
  }
  for (const content of [`${BASE64}\n`, ` ${KEY.toString('hex')}\r\n\n`]) {
    t.equal(await loadCustomerKey(await useKeyFile(t, content), silentLogger), BASE64, 'white space around');
  }
  const any = Buffer.concat([Buffer.from('\n \n'), randomBytes(27), Buffer.from('\n\n')]);
  t.equal(
    await loadCustomerKey(await useKeyFile(t, any), silentLogger),
    any.toString('base64'),
    'raw as it is',
  );
  t.equal(await loadCustomerKey(undefined, silentLogger), undefined);
});

t.test('what is no key is refused without repeating it', async (t) => {
  const bad = {
    'got 0 bytes': '',
    'got 31 bytes': KEY.subarray(1),
    'got 33 bytes': `${KEY.toString()}\n`,
    'got 44 bytes': `${BASE64.slice(0, -1)}A`,
    'got 63 bytes': KEY.toString('hex').slice(1),
    'got 64 bytes': 'x'.repeat(64),
    'got more': KEY.toString('hex').repeat(1000),
  };
  for (const [problem, content] of Object.entries(bad)) {
    const path = await useKeyFile(t, content);
    const error: unknown = await loadCustomerKey(path, silentLogger).catch((error: unknown) => error);
    const message = new RegExp(
      `^the key file ${path} does not hold an AES-256 key: .* ${problem}; .*--sse-customer-key-file$`,
    );
    t.match(error, { name: 'ObjectStoreError', code: 'invalid_request', message });
    if (content.length > 0) t.notOk(inspect(error).includes(String(content).slice(0, 31)));
  }
  const folder = await useFolder(t);
  await mkdir(join(folder, 'directory'));
  for (const name of ['missing', 'directory']) {
    const path = join(folder, name);
    const message = new RegExp(`${path} cannot be read: .*--sse-customer-key-file`);
    await t.rejects(loadCustomerKey(path, silentLogger), { code: 'invalid_request', message });
  }
});

t.test('a key that others can read is used with a warning', async (t) => {
  for (const [mode, warnings] of [
    [0o600, 0],
    [0o400, 0],
    [0o640, 1],
    [0o604, 1],
  ] as const) {
    const { lines, logger } = listening();
    const path = await useKeyFile(t, KEY, mode);
    t.equal(await loadCustomerKey(path, logger), BASE64);
    t.equal(lines.length, warnings, mode.toString(8));
    t.ok(lines.every((line) => line.includes(path) && line.includes('chmod 600')));
  }
});

t.test('with its key an object is read on both ways', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  await putEncrypted(t, server, 'k', KEY);
  const sseCustomerKeyFile = await useKeyFile(t, KEY);
  const store = await useStore(t, server, { sseCustomerKeyFile });
  const version = await currentVersion(store, 'k');
  const { outcome, bytes } = await fetch({ store }, version, 4, 9);
  t.same([outcome, Buffer.from(bytes).toString()], [{ kind: 'complete' }, BODY.slice(4, 9)]);

  const { signedRequests } = await useConnection(t, server, { sseCustomerKeyFile });
  const request = await signedRequests.get(version);
  const answer = await sendSigned(request, { range: 'bytes=4-8', 'if-match': version.etag });
  t.same([answer.status, answer.body.toString()], [206, BODY.slice(4, 9)]);
  t.ok(
    request.headers.some(([, value]) => value === BASE64),
    'the key is in a header',
  );
  t.notMatch(request.target, encodeURIComponent(BASE64), 'and not in the query');
  const headers = request.headers.filter(([, value]) => value !== BASE64);
  t.equal((await sendSigned({ ...request, headers })).status, 403, 'it is signed');
});

t.test('without the key, or with another, the option is named', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  await putEncrypted(t, server, 'mine', KEY);
  await server.putObject(BUCKET, 'plain', BODY);
  const unlocked = await useStore(t, server, { sseCustomerKeyFile: await useKeyFile(t, KEY) });
  const version = await currentVersion(unlocked, 'mine');

  const without = await useStore(t, server);
  const give = /\(SSE-C\): give the key with --sse-customer-key-file$/;
  await t.rejects(without.head('mine'), { code: 'invalid_request', message: give });
  t.match((await fetch({ store: without }, version, 0, 1)).outcome, {
    kind: 'denied',
    error: { message: give },
  });

  const wrong = await useStore(t, server, { sseCustomerKeyFile: await useKeyFile(t, randomBytes(32)) });
  const another = /encrypted with another key than that of --sse-customer-key-file/;
  await t.rejects(wrong.head('mine'), { code: 'access_denied', message: another });
  t.match((await fetch({ store: wrong }, version, 0, 1)).outcome, {
    kind: 'denied',
    error: { message: another },
  });

  const leaveOut = /leave out --sse-customer-key-file/;
  await t.rejects(unlocked.head('plain'), { code: 'invalid_request', message: leaveOut });
  const plain = await currentVersion(without, 'plain');
  t.match((await fetch({ store: unlocked }, plain, 0, 1)).outcome, {
    kind: 'denied',
    error: { message: leaveOut },
  });
});

t.test('the key gets into no error and no log', async (t) => {
  useServerCredentials(t);
  const server = await useServer(t);
  const { lines, logger } = listening();
  const sseCustomerKeyFile = await useKeyFile(t, KEY);
  const { clock } = hurriedClock();
  const collected: unknown[] = [];
  for (const endpoint of [server.endpoint, 'http://127.0.0.1:1']) {
    const store = await useStore(t, { endpoint }, { sseCustomerKeyFile }, { logger, clock });
    collected.push(await store.head('missing').catch((error: unknown) => error));
    const version = { endpoint, bucket: BUCKET, key: 'missing', etag: '"e"', size: 10 };
    collected.push((await fetch({ store }, version, 0, 10)).outcome);
  }
  for (const error of collected) logger.error({ err: error }, 'as a caller may log it');
  t.ok(lines.length > 4);
  const text = inspect(collected, { depth: 20, showHidden: true }) + lines.join('');
  for (const form of [BASE64, KEY.toString('hex'), KEY.toString()]) t.notOk(text.includes(form));
});

t.test('a key that goes over plain HTTP to another machine is a warning', async (t) => {
  useServerCredentials(t);
  const sseCustomerKeyFile = await useKeyFile(t, KEY);
  const warnings = async (endpoint: string) => {
    const { lines, logger } = listening();
    await useStore(t, { endpoint }, { sseCustomerKeyFile }, { logger });
    return lines.filter((line) => line.includes('plain HTTP')).length;
  };
  t.equal(await warnings('http://s3.test:9000'), 1);
  t.equal(await warnings('https://s3.test'), 0);
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3:9000', '[::1]:9000']) {
    t.equal(await warnings(`http://${host}`), 0, host);
  }
});
