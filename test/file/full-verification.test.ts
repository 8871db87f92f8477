/** Local files beside everything that the embedded server keeps of an object: of each kind, in one piece and in parts. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { verifyFully } from '../../src/file/full-verification.js';
import type { VerificationMeans } from '../../src/file/full-verification.js';
import { loadNativeAddon } from '../../src/native.js';
import type { ObjectStore } from '../../src/object-store/object-store.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { DEFAULT_CREDENTIALS } from '../../src/s3-server/server.js';
import { digestsOf } from '../support/digests.js';
import { BUCKET, currentVersion, useServer, useServerCredentials, useStore } from '../support/s3-fixture.js';
import { S3Writer } from '../support/s3-writer.js';

const MIB = 1024 * 1024;
const SIZE = 11 * MIB + 777;
const functions = checksumFunctions(loadNativeAddon());
const bytes = fillPattern(new Uint8Array(SIZE), 3, 0);
const parts = [bytes.subarray(0, 5 * MIB), bytes.subarray(5 * MIB, 11 * MIB), bytes.subarray(11 * MIB)];

useServerCredentials(t);
const server = await useServer(t);
const writer = new S3Writer({
  endpointUrl: server.endpoint,
  bucket: BUCKET,
  credentials: DEFAULT_CREDENTIALS,
});
t.teardown(() => writer.close());
const store = await useStore(t, server);

/** A file with the object's bytes, but for one, if so wished. */
function fileWith(wrongByteAt?: number) {
  const copy = bytes.slice();
  if (wrongByteAt !== undefined) copy[wrongByteAt] = (copy[wrongByteAt] ?? 0) ^ 128;
  const reads: number[] = [];
  const read = async (target: Uint8Array, offset: number) => {
    reads.push(offset);
    target.set(copy.subarray(offset, offset + target.length));
  };
  return { read, reads };
}

interface VerifyChanges {
  readonly means?: Partial<VerificationMeans>;
  readonly etag?: boolean;
  readonly wrongByteAt?: number;
  readonly signal?: AbortSignal;
}

async function verify(key: string, { means, etag = false, wrongByteAt, signal }: VerifyChanges = {}) {
  const { read, reads } = fileWith(wrongByteAt);
  const version = await currentVersion(store, key);
  const options = { etag, signal: signal ?? new AbortController().signal };
  const verification = await verifyFully(version, read, { server: store, functions, ...means }, options);
  return { ...verification, reads };
}

const IN_ONE_PIECE = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const;
const IN_PARTS = [
  ['CRC32', 'COMPOSITE'],
  ['CRC32C', 'COMPOSITE'],
  ['SHA1', 'COMPOSITE'],
  ['SHA256', 'COMPOSITE'],
  ['CRC32', 'FULL_OBJECT'],
  ['CRC64NVME', 'FULL_OBJECT'],
] as const;

for (const kind of IN_ONE_PIECE) {
  t.test(`an object in one piece with a ${kind}`, async (t) => {
    await writer.put(kind, bytes, kind);
    const right = await verify(kind);
    t.match(right, { result: 'matches', comparisons: [{ source: 'checksum', digest: { kind } }] });
    t.same(right.reads, [0, 4 * MIB, 8 * MIB], 'read once, 4 MiB at a time');
    for (const wrongByteAt of [0, 4 * MIB, SIZE - 1]) {
      t.equal((await verify(kind, { wrongByteAt })).result, 'differs');
    }
  });
}

for (const [ChecksumAlgorithm, ChecksumType] of IN_PARTS) {
  const key = `${ChecksumAlgorithm}-${ChecksumType}`;
  t.test(`an object in parts with a ${ChecksumType} ${ChecksumAlgorithm}`, async (t) => {
    await writer.putParts(key, parts, { ChecksumAlgorithm, ChecksumType });
    const right = await verify(key);
    const digest = {
      kind: ChecksumAlgorithm.toLowerCase(),
      parts: ChecksumType === 'COMPOSITE' ? 3 : undefined,
    };
    t.match(right, { result: 'matches', comparisons: [{ digest }] });
    for (const wrongByteAt of [5 * MIB - 1, 5 * MIB, SIZE - 1]) {
      t.equal((await verify(key, { wrongByteAt })).result, 'differs');
    }
  });
}

t.test('an ETag counts when it is asked for, and a mismatch is no difference', async (t) => {
  await server.putObject(BUCKET, 'plain', bytes);
  t.same(await verify('plain'), { result: 'none', comparisons: [], incomparable: [], reads: [] });
  t.match(await verify('plain', { etag: true }), { result: 'matches', comparisons: [{ source: 'etag' }] });
  const wrong = await verify('plain', { etag: true, wrongByteAt: 7 });
  t.match(wrong, { result: 'none', comparisons: [{ source: 'etag', digest: { kind: 'md5' } }] });
  t.not(wrong.comparisons[0]?.got, wrong.comparisons[0]?.digest.value);

  await writer.putParts('etag-parts', parts, { ChecksumAlgorithm: 'SHA256' });
  t.match(await verify('etag-parts', { etag: true }), {
    result: 'matches',
    comparisons: [{ source: 'checksum' }, { source: 'etag', digest: { parts: 3 } }],
  });
  await server.putSynthetic(BUCKET, 'no-md5', { size: SIZE, seed: 3, partBytes: 5 * MIB });
  t.equal((await verify('no-md5', { etag: true })).result, 'none', 'one that only looks like an MD5');
});

t.test('what cannot be compared here is said, and is no match', async (t) => {
  const withoutAddon = await verify('crc64nvme', { means: { functions: checksumFunctions(undefined) } });
  t.match(withoutAddon, {
    result: 'unknown',
    comparisons: [],
    incomparable: [{ kind: 'crc64nvme' }],
    reads: [],
  });
  const silent: Pick<ObjectStore, 'objectChecksums' | 'partSizes'> = {
    objectChecksums: (version, signal) => store.objectChecksums(version, signal),
    partSizes: async () => undefined,
  };
  const sizeless = await verify('SHA1-COMPOSITE', { means: { server: silent }, etag: true });
  t.match(sizeless, { result: 'unknown', comparisons: [], incomparable: [{ kind: 'sha1', parts: 3 }] });
});

t.test('it ends with its signal, and with the file', async (t) => {
  const aborter = new AbortController();
  const version = await currentVersion(store, 'sha256');
  const means = { server: store, functions };
  const read = async () => aborter.abort(new Error('enough'));
  await t.rejects(verifyFully(version, read, means, { etag: false, signal: aborter.signal }), /enough/);
  const failing = async () => Promise.reject(new Error('EIO'));
  const { signal } = new AbortController();
  await t.rejects(verifyFully(version, failing, means, { etag: false, signal }), /EIO/);
});

t.test('digests are those of Node, whatever the sizes of parts', async (t) => {
  const hash = (of: Uint8Array) => createHash('sha1').update(of).digest();
  t.same(await digestsOf(bytes, [{ kind: 'sha1' }, { kind: 'md5' }]), [
    hash(bytes).toString('hex'),
    createHash('md5').update(bytes).digest('hex'),
  ]);
  for (const sizes of [
    [SIZE],
    [1, SIZE - 1],
    [MIB, MIB, SIZE - 2 * MIB],
    [4 * MIB, 0, SIZE - 4 * MIB],
    [SIZE, 0],
  ]) {
    let at = 0;
    const each = sizes.map((size) => hash(bytes.subarray(at, (at += size))));
    t.same(
      await digestsOf(bytes, [{ kind: 'sha1', partSizes: sizes }]),
      [hash(Buffer.concat(each)).toString('hex')],
      String(sizes),
    );
  }
  t.same(await digestsOf(new Uint8Array(), [{ kind: 'sha1' }, { kind: 'crc32' }]), [
    hash(new Uint8Array()).toString('hex'),
    '00000000',
  ]);
  await t.rejects(digestsOf(bytes, [{ kind: 'sha1', partSizes: [5] }]), /longer than its parts/);
  await t.rejects(digestsOf(bytes, [{ kind: 'sha1', partSizes: [SIZE, 5] }]), /shorter than its parts/);
});
