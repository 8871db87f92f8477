/** The sizes of an object's parts: by one listing, by HEADs where there is none, and not at all when they make no sense. */
import t from 'tap';
import { partSizesOf } from '../../src/object-store/part-sizes.js';
import type { PartHead, PartsPage } from '../../src/object-store/part-sizes.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { DEFAULT_CREDENTIALS } from '../../src/s3-server/server.js';
import { hurriedClock } from '../support/clocks.js';
import { useRawServer } from '../support/raw-server.js';
import { BUCKET, currentVersion, useServer, useServerCredentials, useStore } from '../support/s3-fixture.js';
import { S3Writer } from '../support/s3-writer.js';

useServerCredentials(t);
const server = await useServer(t);
const MIB = 1024 * 1024;
const VERSION = { etag: '"e-3"', size: 30 };

t.test('parts with checksums are listed, a thousand in an answer', async (t) => {
  const writer = new S3Writer({
    endpointUrl: server.endpoint,
    bucket: BUCKET,
    credentials: DEFAULT_CREDENTIALS,
  });
  t.teardown(() => writer.close());
  const part = new Uint8Array(5 * MIB);
  await writer.putParts('listed', [part, new Uint8Array(6 * MIB), new Uint8Array(7)], {
    ChecksumAlgorithm: 'SHA256',
  });
  const store = await useStore(t, server);
  t.same(await store.partSizes(await currentVersion(store, 'listed'), 3), [5 * MIB, 6 * MIB, 7]);

  const marks: number[] = [];
  const page = async (marker: number): Promise<PartsPage> => {
    marks.push(marker);
    const parts = Array.from({ length: Math.min(1000, 2500 - marker) }, (_, i) => ({
      number: marker + i + 1,
      bytes: 2,
    }));
    return { etag: 'e-3', partsTotal: 2500, parts };
  };
  const sizes = await partSizesOf({ etag: '"e-3"', size: 5000 }, 2500, { page, head: unexpected });
  t.equal(sizes?.length, 2500);
  t.same(marks, [0, 1000, 2000]);
});

t.test('parts without checksums are asked for one by one', async (t) => {
  await server.putSynthetic(BUCKET, 'asked', { size: 11 * MIB, seed: 1, partBytes: 2 * MIB });
  const store = await useStore(t, server);
  const before = server.counters.operation('HeadObject').requests;
  const version = await currentVersion(store, 'asked');
  t.same(
    await store.partSizes(version, 6),
    [2, 2, 2, 2, 2, 1].map((mib) => mib * MIB),
  );
  t.equal(server.counters.operation('HeadObject').requests - before, 7);
  t.equal(await store.partSizes(version, 5), undefined, 'it has six');
});

t.test('a part that is the whole object needs no question', async (t) => {
  t.same(await partSizesOf(VERSION, 1, { page: unexpected, head: unexpected }), [30]);
});

t.test('answers that make no sense tell nothing', async (t) => {
  const listing = (...bytes: readonly (number | undefined)[]): PartsPage => ({
    etag: 'e-3',
    partsTotal: 3,
    parts: bytes.map((size, i) => ({ number: i + 1, bytes: size })),
  });
  const none: PartHead = { etag: undefined, partsTotal: undefined, bytes: undefined };
  const pages: Readonly<Record<string, PartsPage>> = {
    'another object': { ...listing(10, 10, 10), etag: 'other-3' },
    'another count': { ...listing(10, 10, 10), partsTotal: 4 },
    'a page that is empty': listing(),
    'a part without a size': listing(10, undefined, 20),
    'another order': { ...listing(), parts: [3, 2, 1].map((number) => ({ number, bytes: 10 })) },
    'another sum': listing(10, 10, 11),
    'more parts than there are': listing(10, 10, 5, 5),
  };
  for (const [title, page] of Object.entries(pages)) {
    const requests = { page: async () => page, head: async () => none };
    t.equal(await partSizesOf(VERSION, 3, requests), undefined, title);
  }
  const nothing = async () => listing();
  const heads: Readonly<Record<string, PartHead>> = {
    'another object': { etag: '"other"', partsTotal: 3, bytes: 10 },
    'a server that ignores the part’s number': { etag: '"e-3"', partsTotal: undefined, bytes: 30 },
    'another sum': { etag: '"e-3"', partsTotal: 3, bytes: 11 },
  };
  for (const [title, head] of Object.entries(heads)) {
    t.equal(await partSizesOf(VERSION, 3, { page: nothing, head: async () => head }), undefined, title);
  }
  let asked = 0;
  const head = async () => {
    asked += 1;
    return { etag: '"e-3"', partsTotal: 1001, bytes: 1 };
  };
  t.equal(await partSizesOf({ etag: '"e-3"', size: 1001 }, 1001, { page: nothing, head }), undefined);
  t.equal(asked, 0, 'too many to be asked for');
});

t.test('a server that knows neither request is asked once for each', async (t) => {
  for (const status of [400, 403, 404, 412, 501]) {
    const refusing = await useRawServer(t, (_request, response) => void response.writeHead(status).end());
    const { clock } = hurriedClock();
    const store = await useStore(t, refusing, {}, { clock });
    const version: ObjectVersion = { endpoint: store.endpoint, bucket: BUCKET, key: 'x', ...VERSION };
    t.equal(await store.partSizes(version, 3), undefined, `${status}`);
    t.match(
      refusing.requests.map(({ method, url }) => `${method} ${url}`),
      [/^GET .*attributes/, /^HEAD .*partNumber=1/],
    );
    t.equal(refusing.requests.length, 2);
  }
});

async function unexpected(): Promise<never> {
  throw new Error('this was not to be asked');
}
