/** Known answers: the worked examples of "Authenticating Requests (AWS Signature Version 4)", S3 API reference. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { ChunkedDecoder } from '../../src/s3-server/chunked-decoder.js';
import { S3Error } from '../../src/s3-server/errors.js';
import type { RequestTarget } from '../../src/s3-server/request.js';
import { queryPairs } from '../../src/s3-server/request.js';
import { verifySignature, type SignaturePolicy } from '../../src/s3-server/sigv4.js';

const EMPTY_SHA256 = createHash('sha256').digest('hex');
const HOST = 'examplebucket.s3.amazonaws.com';
const SCOPE = 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request';
const policy: SignaturePolicy = {
  region: 'us-east-1',
  credentials: [
    { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
  ],
  wallTimeMs: Date.UTC(2013, 4, 24),
};

function target(method: string, url: string, headers: Record<string, string>): RequestTarget {
  const [rawPath = '', rawQuery = ''] = url.split('?');
  return {
    method,
    rawPath,
    rawQuery,
    bucket: undefined,
    key: undefined,
    query: new Map(queryPairs(rawQuery)),
    headers: { host: HOST, ...headers },
  };
}

function signed(
  method: string,
  url: string,
  headers: Record<string, string>,
  signature: string,
): RequestTarget {
  const all = { 'x-amz-date': '20130524T000000Z', 'x-amz-content-sha256': EMPTY_SHA256, ...headers };
  const names = ['host', ...Object.keys(all)].sort().join(';');
  const authorization = `AWS4-HMAC-SHA256 Credential=${SCOPE},SignedHeaders=${names},Signature=${signature}`;
  return target(method, url, { ...all, authorization });
}

function code(target: RequestTarget, changed: Partial<SignaturePolicy> = {}): string {
  try {
    verifySignature(target, { ...policy, ...changed });
  } catch (error) {
    return error instanceof S3Error ? error.code : String(error);
  }
  return 'accepted';
}

const getWithRange = signed(
  'GET',
  '/test.txt',
  { range: 'bytes=0-9' },
  'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
);

t.test('the published examples verify', async (t) => {
  t.equal(code(getWithRange), 'accepted', 'GET with a Range');
  const put = {
    date: 'Fri, 24 May 2013 00:00:00 GMT',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
  };
  t.equal(
    code(
      signed(
        'PUT',
        '/test$file.text',
        put,
        '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
      ),
    ),
    'accepted',
    'PUT',
  );
  t.equal(
    code(
      signed('GET', '/?lifecycle', {}, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'),
    ),
    'accepted',
    'a parameter without value',
  );
  t.equal(
    code(
      signed(
        'GET',
        '/?max-keys=2&prefix=J',
        {},
        '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
      ),
    ),
    'accepted',
    'list',
  );
});

const presignedQuery = [
  'X-Amz-Algorithm=AWS4-HMAC-SHA256',
  `X-Amz-Credential=${encodeURIComponent(SCOPE)}`,
  'X-Amz-Date=20130524T000000Z',
  'X-Amz-Expires=86400',
  'X-Amz-SignedHeaders=host',
  'X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
].join('&');

t.test('a presigned URL is good until it expires', async (t) => {
  const presigned = target('GET', `/test.txt?${presignedQuery}`, {});
  t.equal(code(presigned), 'accepted');
  t.equal(code(presigned, { wallTimeMs: policy.wallTimeMs + 86_400_000 }), 'accepted', 'at the last moment');
  t.equal(code(presigned, { wallTimeMs: policy.wallTimeMs + 86_400_001 }), 'AccessDenied', 'after it');
  t.equal(code(presigned, { wallTimeMs: policy.wallTimeMs - 3_600_000 }), 'AccessDenied', 'long before it');
  t.equal(
    code(target('GET', `/other.txt?${presignedQuery}`, {})),
    'SignatureDoesNotMatch',
    'for another key',
  );
  t.equal(
    code(target('GET', `/test.txt?${presignedQuery}`, { 'x-amz-extra': '1' })),
    'AccessDenied',
    'with an unsigned x-amz- header',
  );
  t.equal(
    code(target('GET', `/test.txt?${presignedQuery.replace('86400', '0')}`, {})),
    'AuthorizationQueryParametersError',
  );
  t.equal(
    code(target('GET', `/test.txt?${presignedQuery.replace('&X-Amz-Date=20130524T000000Z', '')}`, {})),
    'AuthorizationQueryParametersError',
  );
});

t.test('what is not as it was signed is refused, with the code S3 gives', async (t) => {
  const { headers } = getWithRange;
  t.equal(code({ ...getWithRange, headers: { ...headers, range: 'bytes=0-10' } }), 'SignatureDoesNotMatch');
  t.equal(code({ ...getWithRange, method: 'PUT' }), 'SignatureDoesNotMatch');
  t.equal(
    code({ ...getWithRange, headers: { ...headers, 'x-amz-acl': 'public' } }),
    'AccessDenied',
    'added header',
  );
  t.equal(code(getWithRange, { credentials: [] }), 'InvalidAccessKeyId');
  t.equal(code(getWithRange, { region: 'eu-west-1' }), 'AuthorizationHeaderMalformed');
  const secret = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'other' };
  t.equal(code(getWithRange, { credentials: [secret] }), 'SignatureDoesNotMatch');
  const temporary = [{ ...(policy.credentials[0] ?? secret), sessionToken: 'token' }];
  t.equal(code(getWithRange, { credentials: temporary }), 'InvalidToken');
  t.equal(code(target('GET', '/', { authorization: 'AWS key:signature' })), 'InvalidRequest', 'version 2');
  t.equal(
    code(
      target('GET', '/', {
        authorization: 'AWS4-HMAC-SHA256 nonsense',
        'x-amz-content-sha256': EMPTY_SHA256,
      }),
    ),
    'AuthorizationHeaderMalformed',
  );
});

t.test('a clock may be off by 15 minutes, not more', async (t) => {
  const minutes = (count: number) => ({ wallTimeMs: policy.wallTimeMs + count * 60_000 });
  t.equal(code(getWithRange, minutes(15)), 'accepted');
  t.equal(code(getWithRange, minutes(-15)), 'accepted');
  t.equal(code(getWithRange, minutes(15.1)), 'RequestTimeTooSkewed');
  t.equal(code(getWithRange, minutes(-15.1)), 'RequestTimeTooSkewed');
});

t.test('signed chunks: the published example verifies, a changed byte does not', async (t) => {
  const headers = {
    'content-encoding': 'aws-chunked',
    'content-length': '66824',
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'x-amz-decoded-content-length': '66560',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
  };
  const seed = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9';
  const request = signed('PUT', '/examplebucket/chunkObject.txt', headers, seed);
  const hosted = { ...request, headers: { ...request.headers, host: 's3.amazonaws.com' } };
  const chunk = (size: number, signature: string) =>
    `${size.toString(16)};chunk-signature=${signature}\r\n${'a'.repeat(size)}\r\n`;
  const body = Buffer.from(
    [
      chunk(65536, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648'),
      chunk(1024, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497'),
      chunk(0, 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9'),
    ].join(''),
  );
  const decoder = () => new ChunkedDecoder(verifySignature(hosted, policy).chunkVerifier);
  const good = decoder();
  t.equal(Buffer.concat(good.push(body)).length, 66560);
  t.ok(good.isDone);
  const changed = Buffer.from(body);
  changed[1000] = 0x62;
  t.throws(() => decoder().push(changed), { code: 'SignatureDoesNotMatch' });
});
