/** What a HEAD says of an object's checksums, and what becomes of it when a server says something else. */
import t from 'tap';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { NO_CHECKSUMS, objectChecksumsOf } from '../../src/object-store/object-checksums.js';
import type { ChecksumAnswer } from '../../src/object-store/object-checksums.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { hurriedClock } from '../support/clocks.js';
import { useRawServer } from '../support/raw-server.js';
import { BUCKET, currentVersion, useServer, useServerCredentials, useStore } from '../support/s3-fixture.js';

useServerCredentials(t);
const server = await useServer(t);
await server.putObject(BUCKET, 'x', '123456789', { checksumAlgorithm: 'CRC64NVME' });

const VERSION = { etag: '"e1"', size: 9 };
const WHOLE: ChecksumAnswer = { ETag: '"e1"', ContentLength: 9, ChecksumType: 'FULL_OBJECT' };
const SHA1 = '98O8HYCOBHMq32eZZczDTKeuNEE=';
const SHA1_HEX = 'f7c3bc1d808e04732adf679965ccc34ca7ae3441';

const digestsIn = (fields: ChecksumAnswer) => objectChecksumsOf(VERSION, { ...WHOLE, ...fields }).digests;

t.test('checksums of whole objects are read, big-endian', async (t) => {
  t.same(digestsIn({ ChecksumCRC32: 'y/Q5Jg==' }), [{ kind: 'crc32', value: 'cbf43926' }]);
  t.same(digestsIn({ ChecksumCRC32C: '4waSgw==' }), [{ kind: 'crc32c', value: 'e3069283' }]);
  t.same(digestsIn({ ChecksumCRC64NVME: 'rosUhgp5mIg=' }), [
    { kind: 'crc64nvme', value: 'ae8b14860a799888' },
  ]);
  t.same(digestsIn({ ChecksumCRC32: 'AAAAAA==' }), [{ kind: 'crc32', value: '00000000' }]);
  t.same(digestsIn({ ChecksumSHA1: SHA1 }), [{ kind: 'sha1', value: SHA1_HEX }]);
  t.match(
    digestsIn({ ETag: 'e1', ChecksumCRC32: 'AAAAAA==' }),
    [{ kind: 'crc32' }],
    'an ETag without quotes',
  );
  t.same(
    digestsIn({ ChecksumSHA1: SHA1, ChecksumCRC32: 'y/Q5Jg==' }).map(({ kind }) => kind),
    ['crc32', 'sha1'],
    'the cheapest first',
  );
});

t.test('checksums of parts say of how many', async (t) => {
  const COMPOSITE = { ChecksumType: 'COMPOSITE' };
  t.same(digestsIn({ ...COMPOSITE, ChecksumCRC32: 'y/Q5Jg==-3' }), [
    { kind: 'crc32', value: 'cbf43926', parts: 3 },
  ]);
  t.same(digestsIn({ ChecksumType: undefined, ChecksumSHA1: `${SHA1}-10000` }), [
    { kind: 'sha1', value: SHA1_HEX, parts: 10_000 },
  ]);
});

t.test('a hash that does not say of what is of the whole, unless the object is of parts', async (t) => {
  const answer = { ...WHOLE, ChecksumType: undefined, ChecksumSHA1: SHA1 };
  t.same(objectChecksumsOf(VERSION, answer).digests, [{ kind: 'sha1', value: SHA1_HEX }]);
  const ofParts = { etag: '"e1-2"', size: 9 };
  t.same(objectChecksumsOf(ofParts, { ...answer, ETag: '"e1-2"' }).digests, []);
});

const NOTHING: Readonly<Record<string, ChecksumAnswer>> = {
  'no checksum': {},
  'a checksum of parts that does not say of how many': {
    ChecksumType: 'COMPOSITE',
    ChecksumCRC32: 'y/Q5Jg==',
  },
  'a checksum of the whole and of parts at once': { ChecksumCRC32: 'y/Q5Jg==-3' },
  'a checksum of no parts': { ChecksumType: 'COMPOSITE', ChecksumCRC32: 'y/Q5Jg==-0' },
  'a checksum of more parts than there can be': {
    ChecksumType: 'COMPOSITE',
    ChecksumCRC32: 'y/Q5Jg==-10001',
  },
  'a CRC that does not say of what': { ChecksumType: undefined, ChecksumCRC32: 'y/Q5Jg==' },
  'a type that nobody knows': { ChecksumType: 'OTHER', ChecksumSHA1: SHA1 },
  'a CRC of another length': { ChecksumCRC32: 'rosUhgp5mIg=' },
  'text that is no base64': { ChecksumCRC32C: 'not base64!' },
  'another ETag': { ETag: '"e2"', ChecksumCRC32: 'y/Q5Jg==' },
  'another size': { ContentLength: 10, ChecksumCRC32: 'y/Q5Jg==' },
};

for (const [title, fields] of Object.entries(NOTHING)) {
  t.test(`${title} tells nothing`, async (t) => {
    t.same(objectChecksumsOf(VERSION, { ...WHOLE, ...fields }), NO_CHECKSUMS);
  });
}

t.test('an ETag may be an MD5 by its form, and if the encryption allows it', async (t) => {
  const md5 = '25f9e794323b453885f5181f1b624d0b';
  const etagDigest = (etag: string, fields: ChecksumAnswer = {}) =>
    objectChecksumsOf({ etag: `"${etag}"`, size: 9 }, { ...WHOLE, ETag: etag, ...fields }).etag;
  t.same(etagDigest(md5), { kind: 'md5', value: md5 });
  t.same(etagDigest(md5, { ServerSideEncryption: 'AES256' }), { kind: 'md5', value: md5 });
  t.same(etagDigest(`${md5}-12`), { kind: 'md5', value: md5, parts: 12 });
  for (const ServerSideEncryption of ['aws:kms', 'aws:kms:dsse']) {
    t.equal(etagDigest(md5, { ServerSideEncryption }), undefined, ServerSideEncryption);
  }
  t.equal(etagDigest(md5, { SSECustomerAlgorithm: 'AES256' }), undefined);
  for (const etag of ['e1', md5.toUpperCase(), `${md5}0`, `${md5}-0`, `${md5}-10001`, `${md5}-x`]) {
    t.equal(etagDigest(etag), undefined, etag);
  }
});

t.test('a server that refuses the request, or this header of it, tells nothing', async (t) => {
  for (const status of [400, 403, 404, 405, 412, 501]) {
    const refusing = await useRawServer(t, ({ headers }, response) => {
      response.writeHead(headers['x-amz-checksum-mode'] === 'ENABLED' ? status : 500).end();
    });
    const store = await useStore(t, refusing);
    const version: ObjectVersion = { endpoint: store.endpoint, bucket: BUCKET, key: 'x', ...VERSION };
    t.same(await store.objectChecksums(version), NO_CHECKSUMS, `${status}`);
    t.equal(refusing.requests.length, 1, 'and is not asked again');
    t.equal(refusing.requests[0]?.headers['if-match'], '"e1"');
  }
});

t.test('a server that cannot answer is asked again, and then it is an error', async (t) => {
  const { clock } = hurriedClock();
  const store = await useStore(t, server, {}, { clock });
  const version = await currentVersion(store, 'x');
  const remove = server.faults.add({
    operation: 'HeadObject',
    attempts: 3,
    fault: { kind: 'internal-error' },
  });
  t.match(await store.objectChecksums(version), {
    digests: [{ kind: 'crc64nvme', value: 'ae8b14860a799888' }],
  });
  remove();
  t.teardown(server.faults.add({ operation: 'HeadObject', fault: { kind: 'internal-error' } }));
  const error = await store.objectChecksums(version).catch((error: unknown) => error);
  t.ok(error instanceof ObjectStoreError && error.code === 'server_error', String(error));
});
