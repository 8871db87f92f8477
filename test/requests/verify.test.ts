import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { VerificationMeans } from '../../src/file/full-verification.js';
import { NO_CHECKSUMS } from '../../src/object-store/object-checksums.js';
import { verifyCopy } from '../../src/requests/verify.js';
import type { VerifyDeps } from '../../src/requests/verify.js';
import { BLOCK_BYTES } from '../../src/runtime/block-checksums.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import { addon, contentOf, fill, flip, openCache, version } from '../cache/cache-rig.js';

const OBJECT = version('model');

/** A cache with a complete copy of OBJECT, and where its data file is. */
async function filledCache(t: { testdir(): string; teardown(step: () => void): void }) {
  const directory = t.testdir();
  const cache = await openCache(join(directory, 'cache'));
  t.teardown(() => cache.close());
  const copy = cache.acquire(OBJECT);
  fill(copy, OBJECT);
  const { path } = copy;
  copy.release();
  const verify = async (rest: Partial<VerifyDeps> = {}) => {
    const [found] = cache.list({ state: 'complete' });
    if (found === undefined) throw new Error('there is no complete copy');
    const { signal } = new AbortController();
    const functions = checksumFunctions(addon);
    return verifyCopy(found, { cache, functions, signal, ...rest });
  };
  return { cache, path, verify };
}

const sumNatively = { checksumRange: addon.checksumRange.bind(addon) };

t.test('a good copy is right, summed by the addon or here', async (t) => {
  const { cache, verify } = await filledCache(t);
  t.strictSame(await verify(), { kind: 'right', serverSays: undefined });
  t.strictSame(await verify(sumNatively), { kind: 'right', serverSays: undefined });
  t.match(cache.list(), [{ state: 'complete', openCount: 0, verdict: 'matches' }]);
});

t.test('looking at a copy is no use of it: what is evicted first stays so', async (t) => {
  const { cache, verify } = await filledCache(t);
  const before = cache.list();
  await verify();
  await verify(sumNatively);
  t.strictSame(cache.list(), before);
});

for (const offset of [0, BLOCK_BYTES - 1, BLOCK_BYTES, OBJECT.size - 1]) {
  t.test(`a flipped byte at ${offset} is found, and the copy removed`, async (t) => {
    const { cache, path, verify } = await filledCache(t);
    flip(path, offset);
    const start = Math.floor(offset / BLOCK_BYTES) * BLOCK_BYTES;
    const end = Math.min(start + BLOCK_BYTES, OBJECT.size);
    const reason = `bytes ${start} to ${end} are not those that were fetched`;
    t.strictSame(await verify(sumNatively), { kind: 'wrong', reason });
    t.strictSame(cache.list(), []);
    t.throws(() => readFileSync(path), { code: 'ENOENT' });
  });
}

t.test('bytes that changed without a trace are found as well', async (t) => {
  const { cache, verify } = await filledCache(t);
  const copy = cache.acquire(OBJECT);
  copy.memory.checksums.forget(1);
  copy.memory.checksums.record(1, 12_345, undefined);
  t.equal(copy.trust, 'complete', 'the file looks as it did');
  copy.release();
  t.match(await verify(), { kind: 'wrong', reason: /^bytes 1048576 to 2097152 / });
  t.strictSame(cache.list(), []);
});

t.test('a block without a checksum is neither right nor wrong', async (t) => {
  const { cache, path, verify } = await filledCache(t);
  const copy = cache.acquire(OBJECT);
  copy.memory.checksums.forget(1);
  copy.release();
  t.strictSame(await verify(), { kind: 'unknown', reason: '1 of 4 blocks have no checksum' });
  t.match(cache.list(), [{ state: 'complete' }]);
  writeFileSync(path, contentOf(OBJECT, 0, OBJECT.size));
  t.match(await verify(), { kind: 'wrong' }, 'not when the file was touched besides');
  t.strictSame(cache.list(), []);
});

t.test('a copy that was touched, and is right, is believed again', async (t) => {
  const { cache, path, verify } = await filledCache(t);
  writeFileSync(path, contentOf(OBJECT, 0, OBJECT.size));
  t.match(await verify(), { kind: 'right' });
  t.match(cache.list(), [{ state: 'complete', verdict: 'matches' }]);
  const copy = cache.acquire(OBJECT);
  t.equal(copy.trust, 'complete');
  copy.release();
});

t.test('a file that was cut is wrong', async (t) => {
  const { cache, path, verify } = await filledCache(t);
  truncateSync(path, 10);
  t.match(await verify(), { kind: 'wrong', reason: 'its files were missing, or cut' });
  t.strictSame(cache.list(), []);
});

t.test('what the server says counts, if it is asked', async (t) => {
  const server = (digests: readonly object[]): VerifyDeps['server'] => {
    const answers = {
      objectChecksums: async () => ({ ...NO_CHECKSUMS, digests }),
      partSizes: async () => undefined,
    };
    return async () => answers as unknown as VerificationMeans['server'];
  };
  const { cache, verify } = await filledCache(t);
  t.match(await verify({ server: server([]) }), { kind: 'right', serverSays: 'none' });
  const wrong = { kind: 'sha256', value: '0'.repeat(64) };
  t.match(await verify({ server: server([wrong]) }), {
    kind: 'wrong',
    reason: 'its sha256 is not the one that the server keeps of the object',
  });
  t.strictSame(cache.list(), []);
});

t.test('a server that cannot be asked harms no copy', async (t) => {
  const { cache, verify } = await filledCache(t);
  const server = async () => Promise.reject(new Error('unreachable'));
  await t.rejects(verify({ server }), new Error('unreachable'));
  t.match(cache.list(), [{ state: 'complete', openCount: 0 }]);
});

t.test('one that was evicted meanwhile is gone', async (t) => {
  const { cache, verify } = await filledCache(t);
  const [found] = cache.list();
  cache.evict({});
  if (found === undefined) throw new Error('there is no copy');
  const { signal } = new AbortController();
  const deps = { cache, functions: checksumFunctions(addon), signal };
  t.strictSame(await verifyCopy(found, deps), { kind: 'gone' });
  await t.rejects(verify());
  t.strictSame(cache.list(), []);
});
