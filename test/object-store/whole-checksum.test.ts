/** What a HEAD says of an object's checksum, and what becomes of it when a server says something else. */
import t from 'tap';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { wholeChecksumOf } from '../../src/object-store/whole-checksum.js';
import type { ChecksumAnswer } from '../../src/object-store/whole-checksum.js';
import { hurriedClock } from '../support/clocks.js';
import { useRawServer } from '../support/raw-server.js';
import { BUCKET, currentVersion, useServer, useServerCredentials, useStore } from '../support/s3-fixture.js';

useServerCredentials(t);
const server = await useServer(t);
await server.putObject(BUCKET, 'x', '123456789', { checksumAlgorithm: 'CRC64NVME' });

const VERSION = { etag: '"e1"', size: 9 };
const WHOLE: ChecksumAnswer = { ETag: '"e1"', ContentLength: 9, ChecksumType: 'FULL_OBJECT' };

t.test('the three CRCs of whole objects are read, big-endian', async (t) => {
  const told = (fields: ChecksumAnswer) => wholeChecksumOf(VERSION, { ...WHOLE, ...fields });
  t.same(told({ ChecksumCRC32: 'y/Q5Jg==' }), { kind: 'crc32', value: 0xcbf43926n });
  t.same(told({ ChecksumCRC32C: '4waSgw==' }), { kind: 'crc32c', value: 0xe3069283n });
  t.same(told({ ChecksumCRC64NVME: 'rosUhgp5mIg=' }), { kind: 'crc64nvme', value: 0xae8b14860a799888n });
  t.same(told({ ChecksumCRC32: 'AAAAAA==' }), { kind: 'crc32', value: 0n });
  t.match(told({ ETag: 'e1', ChecksumCRC32: 'AAAAAA==' }), { kind: 'crc32' }, 'an ETag without quotes');
});

const NOTHING: Readonly<Record<string, ChecksumAnswer>> = {
  'no checksum': {},
  'a checksum of parts': { ChecksumType: 'COMPOSITE', ChecksumCRC32: 'y/Q5Jg==-3' },
  'a checksum that does not say of what': { ChecksumType: undefined, ChecksumCRC32: 'y/Q5Jg==' },
  'a CRC of another length': { ChecksumCRC32: 'rosUhgp5mIg=' },
  'text that is no base64': { ChecksumCRC32C: 'not base64!' },
  'another ETag': { ETag: '"e2"', ChecksumCRC32: 'y/Q5Jg==' },
  'another size': { ContentLength: 10, ChecksumCRC32: 'y/Q5Jg==' },
};

for (const [title, fields] of Object.entries(NOTHING)) {
  t.test(`${title} tells nothing`, async (t) => {
    t.equal(wholeChecksumOf(VERSION, { ...WHOLE, ...fields }), undefined);
  });
}

t.test('a server that refuses the request, or this header of it, tells nothing', async (t) => {
  for (const status of [400, 403, 404, 405, 412]) {
    const refusing = await useRawServer(t, ({ headers }, response) => {
      response.writeHead(headers['x-amz-checksum-mode'] === 'ENABLED' ? status : 500).end();
    });
    const store = await useStore(t, refusing);
    const version: ObjectVersion = { endpoint: store.endpoint, bucket: BUCKET, key: 'x', ...VERSION };
    t.equal(await store.wholeChecksum(version), undefined, `${status}`);
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
  t.match(await store.wholeChecksum(version), { kind: 'crc64nvme', value: 0xae8b14860a799888n });
  remove();
  t.teardown(server.faults.add({ operation: 'HeadObject', fault: { kind: 'internal-error' } }));
  const error = await store.wholeChecksum(version).catch((error: unknown) => error);
  t.ok(error instanceof ObjectStoreError && error.code === 'server_error', String(error));
});
