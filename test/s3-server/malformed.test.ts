/** Nothing that comes over the socket ends the server or goes unanswered: each gets a proper S3 error. */
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import t from 'tap';
import { BUCKET, plainGet, sendRaw, setUp } from './harness.js';

const close = ['Host: localhost', 'Connection: close'];
const request = (line: string, headers: readonly string[] = [], body = '') =>
  [line, ...close, ...headers, '', body].join('\r\n');

t.test('requests that are no HTTP', async (t) => {
  const { server, client } = await setUp(t);
  for (const text of [
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    '\0\0\0\0\r\n\r\n',
    'GET /\r\nbad header\r\n\r\n',
    `GET / HTTP/1.1\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`,
  ]) {
    const answer = await sendRaw(server, text);
    t.match(answer.text, /^HTTP\/1.1 400 [^]*<Error><Code>/, JSON.stringify(text.slice(0, 30)));
  }
  t.equal(
    (await client.send(new ListObjectsV2Command({ Bucket: BUCKET }))).KeyCount,
    0,
    'and the server lives',
  );
});

t.test('requests that are no S3', async (t) => {
  const { server, client } = await setUp(t, { anonymousRead: true });
  const expected: readonly [string, string][] = [
    [plainGet('/%ff'), 'InvalidURI'],
    [plainGet('/bucket/%zz'), 'InvalidURI'],
    [plainGet('*'), 'InvalidURI'],
    [plainGet(`/bucket/${'x'.repeat(1025)}`), 'KeyTooLongError'],
    [plainGet('/missing/key'), 'NoSuchBucket'],
    [plainGet('/bucket?max-keys=-1'), 'InvalidArgument'],
    [plainGet('/bucket?max-keys=many'), 'InvalidArgument'],
    [plainGet('/bucket?encoding-type=xml'), 'InvalidArgument'],
    [plainGet('/bucket?list-type=2&continuation-token=%00'), 'InvalidArgument'],
    [plainGet('/bucket/k?partNumber=x'), 'NoSuchKey'],
    [plainGet('/bucket?acl'), 'NotImplemented'],
    [request('PATCH /bucket/k HTTP/1.1'), 'MethodNotAllowed'],
    [request('PUT /bucket/k HTTP/1.1', ['Content-Length: 2'], 'hi'), 'AccessDenied'],
    [
      plainGet('/bucket', [
        'Authorization: AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c',
        'x-amz-content-sha256: UNSIGNED-PAYLOAD',
      ]),
      'AuthorizationHeaderMalformed',
    ],
    [plainGet('/bucket', ['Authorization: Bearer x']), 'InvalidRequest'],
    [plainGet('/bucket?X-Amz-Signature=x'), 'AuthorizationQueryParametersError'],
  ];
  for (const [text, code] of expected) {
    const answer = await sendRaw(server, text);
    t.match(
      answer.text,
      new RegExp(`^HTTP/1.1 [345]\\d\\d [^]*<Error><Code>${code}</Code>`),
      text.slice(0, text.indexOf('\r\n')),
    );
  }
  t.equal((await client.send(new ListObjectsV2Command({ Bucket: BUCKET }))).KeyCount, 0);
});

t.test('a client that leaves in the middle of anything', async (t) => {
  const { server, client } = await setUp(t, { anonymousRead: true });
  await server.putSynthetic(BUCKET, 'k', { size: 50_000_000, seed: 1 });
  const { createConnection } = await import('node:net');
  for (const text of [
    'GET /bu',
    'GET /bucket/k HTTP/1.1\r\nHost: x\r\n\r\n',
    'PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc',
  ]) {
    await new Promise<void>((resolve) => {
      const socket = createConnection(server.port, '127.0.0.1', () =>
        socket.write(text, () => socket.resetAndDestroy()),
      );
      socket.once('close', () => resolve());
    });
  }
  t.equal((await client.send(new ListObjectsV2Command({ Bucket: BUCKET }))).KeyCount, 1);
});

t.test('random targets and headers never get an internal error or silence', async (t) => {
  const { server } = await setUp(t, { anonymousRead: true });
  await server.putObject(BUCKET, 'k', 'body');
  const path = fc.oneof(fc.constantFrom('/', '/bucket', '/bucket/', '/bucket/k'), fc.webPath());
  const parameter = fc.tuple(
    fc.constantFrom(
      'versionId',
      'partNumber',
      'uploadId',
      'prefix',
      'delimiter',
      'marker',
      'max-keys',
      'list-type',
      'versions',
      'uploads',
      'key-marker',
      'start-after',
      'continuation-token',
      'encoding-type',
      'response-content-type',
    ),
    fc.oneof(
      fc.webQueryParameters(),
      fc.constantFrom('', '0', '1', '2', 'url', '%00', '%0d%0a', '%F0%9F%98%80'),
    ),
  );
  const headerLine = fc.tuple(
    fc.constantFrom(
      'Range',
      'If-Match',
      'If-None-Match',
      'If-Modified-Since',
      'x-amz-checksum-mode',
      'x-amz-date',
    ),
    fc.string({ unit: 'grapheme-ascii', maxLength: 30 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'HEAD'),
      path,
      fc.array(parameter, { maxLength: 3 }),
      fc.array(headerLine, { maxLength: 2 }),
      async (method, path, parameters, headers) => {
        const query = parameters.map(([name, value]) => `${name}=${value.replaceAll('&', '')}`).join('&');
        const lines = headers.map(([name, value]) => `${name}: ${value}`);
        const answer = await sendRaw(server, request(`${method} ${path}?${query} HTTP/1.1`, lines));
        return /^HTTP\/1.1 (200|206|304|400|403|404|405|412|416|501) /.test(answer.text);
      },
    ),
    { numRuns: 200 },
  );
});
