import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as https from 'node:https';
import { join } from 'node:path';
import { HeadBucketCommand } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { serveS3, type ServeS3Options } from '../../src/s3-server/serve.js';
import { useFolder } from '../support/s3-fixture.js';
import { clientFor, failure } from './harness.js';

async function serve(t: Test, options: Partial<ServeS3Options> = {}) {
  const served = await serveS3({ dir: await useFolder(t), port: 0, environment: {}, ...options });
  t.teardown(() => served.server.close());
  return served;
}

t.test('the lines say how to use the server', async (t) => {
  const { server, lines } = await serve(t, { bucket: 'models' });
  const text = lines.join('\n');
  t.match(text, server.endpoint);
  t.match(text, 'AWS_ACCESS_KEY_ID=sluice AWS_SECRET_ACCESS_KEY=sluice-secret sluice mount s3://models ');
  t.match(text, `--endpoint-url ${server.endpoint}`);
  t.equal(
    await failure(clientFor(t, server).send(new HeadBucketCommand({ Bucket: 'models' }))),
    'no failure',
  );
});

t.test(
  'credentials: options before environment before the default pair; chosen secrets are not printed',
  async (t) => {
    const environment = {
      AWS_ACCESS_KEY_ID: 'from-environment',
      AWS_SECRET_ACCESS_KEY: 'environment-secret',
    };
    const byEnvironment = await serve(t, { environment });
    t.match(byEnvironment.lines.join(), 'from-environment');
    t.notMatch(byEnvironment.lines.join(), 'environment-secret');
    const byOption = await serve(t, {
      environment,
      accessKey: 'mine',
      secretKey: 'my-secret',
      bucket: 'models',
    });
    t.notMatch(byOption.lines.join(), 'my-secret');
    const head = (accessKeyId: string, secretAccessKey: string) =>
      failure(
        clientFor(t, byOption.server, { credentials: { accessKeyId, secretAccessKey } }).send(
          new HeadBucketCommand({ Bucket: 'models' }),
        ),
      );
    t.equal(await head('mine', 'my-secret'), 'no failure');
    t.match(await head('from-environment', 'environment-secret'), /^403/);
    const half = await serve(t, { environment: { AWS_ACCESS_KEY_ID: 'only' } });
    t.match(half.lines.join(), 'sluice-secret', 'half a pair in the environment is none');
  },
);

t.test('the server simulates the network that it was given', async (t) => {
  const { server } = await serve(t, { network: { roundTripMs: 20, connectionBytesPerSecond: 1000 } });
  t.match(server.faults, { roundTripMs: 20, connectionBytesPerSecond: 1000 });
  const plain = await serve(t);
  t.match(plain.server.faults, { roundTripMs: 0, connectionBytesPerSecond: 0 });
});

t.test('options that cannot be obeyed are refused with what to do', async (t) => {
  const refused = (options: Partial<ServeS3Options>, message: RegExp) =>
    t.rejects(serve(t, options), { name: 'ServeS3OptionsError', message });
  await refused({ host: '0.0.0.0' }, /use 127\.0\.0\.1/);
  await refused({ host: 'example.org' }, /use 127\.0\.0\.1/);
  await refused({ accessKey: 'a' }, /access key was given without the secret key/);
  await refused({ secretKey: 'a' }, /secret key was given without the access key/);
  await refused({ tlsCertFile: 'cert.pem' }, /both/);
  await refused(
    { tlsCertFile: '/nonexistent', tlsKeyFile: '/nonexistent' },
    /cannot read the TLS (certificate|key) file \/nonexistent/,
  );
  const text = join(await useFolder(t), 'text');
  writeFileSync(text, 'no key');
  await refused({ tlsCertFile: text, tlsKeyFile: text }, /not a PEM file/);
  await t.rejects(serve(t, { bucket: 'Not_A_Bucket' }), {
    code: 'InvalidBucketName',
    message: /3 to 63 .* got "Not_A_Bucket"/,
  });
});

t.test('other addresses only when asked for', async (t) => {
  const { server } = await serve(t, { host: '0.0.0.0', allowRemote: true });
  t.match(server.endpoint, /^http:\/\/0\.0\.0\.0:\d+$/);
  const loopback = await serve(t, { host: '127.0.0.2' });
  t.match(loopback.server.endpoint, 'http://127.0.0.2:');
});

t.test('TLS', async (t) => {
  const dir = await useFolder(t);
  const [tlsCertFile, tlsKeyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      tlsKeyFile,
      '-out',
      tlsCertFile,
      ...subject,
    ],
    { stdio: 'ignore' },
  );
  const { server, lines } = await serve(t, {
    tlsCertFile,
    tlsKeyFile,
    anonymousRead: true,
    bucket: 'models',
  });
  t.match(lines.join('\n'), `--ca-bundle ${tlsCertFile}`);
  await server.putSynthetic('models', 'k', { size: 100_000, seed: 1 });
  const read = () =>
    new Promise<string>((resolve, reject) => {
      https
        .get(`${server.endpoint}/models/k`, { ca: readFileSync(tlsCertFile), agent: false }, (answer) => {
          let bytes = 0;
          answer.on('data', (piece: Buffer) => (bytes += piece.length));
          answer.on('end', () => resolve(`${answer.statusCode} ${bytes}`));
          answer.on('error', () => resolve(`broken after ${bytes}`));
        })
        .on('error', reject);
    });
  t.equal(await read(), '200 100000');
  server.faults.add({ operation: 'GetObject', fault: { kind: 'reset', at: { atByte: 500 } } });
  t.equal(await read(), 'broken after 500');
});
