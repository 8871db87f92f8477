/**
 * Reads complete copies and compares them with what is known of their bytes: the CRC32Cs of their blocks, noted as they
 * came, and, if the server is to be asked, what it keeps of the object. A copy that differs is removed. Called by
 * `sluice cache verify`, one copy after the other, while daemons may have them open.
 */
import { closeSync, fstatSync, openSync, read } from 'node:fs';
import { promisify } from 'node:util';
import type { Cache } from '../cache/cache.js';
import type { CopyVerdict, LocalCopy } from '../cache/local-copy.js';
import { isEqual, verifyFully } from '../file/full-verification.js';
import type { VerificationMeans } from '../file/full-verification.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import { asError } from '../runtime/assert.js';
import { BLOCK_BYTES } from '../runtime/block-checksums.js';
import type { BlockChecksums } from '../runtime/block-checksums.js';
import type { ChecksumFunctions } from '../runtime/checksum-functions.js';

const readAt = promisify(read);

/** What the index says of the copy: cache/cached-object.ts. */
export interface VerifiedObject {
  readonly id: number;
  readonly version: ObjectVersion;
  readonly verdict: CopyVerdict;
  readonly checksum: string | undefined;
}

export interface VerifyDeps {
  readonly cache: Pick<Cache, 'hold' | 'list'>;
  readonly functions: ChecksumFunctions;
  /** The CRC32C of a range of a file, off the event loop, where the addon is. */
  readonly checksumRange?: ((descriptor: number, start: number, end: number) => Promise<number>) | undefined;
  /** Who keeps the object's own checksums; undefined: only what is known here is compared. */
  readonly server?: ((version: ObjectVersion) => Promise<VerificationMeans['server']>) | undefined;
  readonly signal: AbortSignal;
}

export type CopyFinding =
  /** Every byte is what came. `serverSays`: what the server's own checksums said of it, if it was asked. */
  | { readonly kind: 'right'; readonly serverSays: 'matches' | 'none' | 'unknown' | undefined }
  /** Some of its blocks have no noted sum, so that nothing speaks for them, and nothing against. It was kept. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** It was removed. */
  | { readonly kind: 'wrong'; readonly reason: string }
  /** It was evicted, or is being filled again. */
  | { readonly kind: 'gone' };

/** @throws ObjectStoreError when the server cannot be asked, and the signal's reason when it aborted */
export async function verifyCopy(object: VerifiedObject, deps: VerifyDeps): Promise<CopyFinding> {
  const { version } = object;
  if (!isThere(object, deps.cache)) return { kind: 'gone' };
  const copy = deps.cache.hold(version);
  try {
    const isBelieved = copy.trust === 'complete';
    if (copy.role !== 'owner' || copy.trust === 'partial') return { kind: 'gone' };
    if (copy.trust === 'fresh') {
      copy.condemn();
      return wrong('its files were missing, or cut');
    }
    const found = await examine(copy, version, deps);
    // Of one that nobody vouches for, that is not enough.
    const finding = found.kind === 'unknown' && !isBelieved ? wrong(found.reason) : found;
    if (finding.kind === 'wrong') copy.condemn();
    if (finding.kind === 'right' && !isBelieved) {
      copy.memory.availability.publish({ start: 0, end: version.size });
      copy.verified();
      copy.filled(finding.serverSays ?? object.verdict, object.checksum);
    }
    return finding;
  } finally {
    copy.release();
  }
}

/** Else there would be a new one once it is held. */
function isThere({ id, version: { endpoint, bucket, key } }: VerifiedObject, cache: VerifyDeps['cache']) {
  return cache.list({ endpoint, bucket, key, state: 'complete' }).some((object) => object.id === id);
}

async function examine(copy: LocalCopy, version: ObjectVersion, deps: VerifyDeps): Promise<CopyFinding> {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(copy.path, 'r');
    const { size } = fstatSync(descriptor);
    if (size !== version.size) return wrong(`its file has ${size} bytes, not ${version.size}`);
    const finding = await examineBlocks(descriptor, copy.memory.checksums, deps);
    return finding ?? (await askServer(descriptor, version, deps));
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === undefined || syscall === undefined) throw error;
    return wrong(`its file cannot be read (${asError(error).message})`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Undefined when all of them are right. */
async function examineBlocks(
  descriptor: number,
  blocks: BlockChecksums,
  deps: VerifyDeps,
): Promise<CopyFinding | undefined> {
  const sum = summer(descriptor, deps);
  let unknown = 0;
  for (let block = 0; block < blocks.blocks; block += 1) {
    deps.signal.throwIfAborted();
    const noted = blocks.crc32c(block);
    if (noted === undefined) {
      unknown += 1;
      continue;
    }
    const { start, end } = blocks.blockRange(block);
    if ((await sum(start, end)) !== noted) {
      return wrong(`bytes ${start} to ${end} are not those that were fetched`);
    }
  }
  if (unknown === 0) return undefined;
  return { kind: 'unknown', reason: `${unknown} of ${blocks.blocks} blocks have no checksum` };
}

function summer(descriptor: number, { checksumRange, functions }: VerifyDeps) {
  if (checksumRange !== undefined) {
    return (start: number, end: number) => checksumRange(descriptor, start, end);
  }
  const buffer = new Uint8Array(BLOCK_BYTES);
  return async (start: number, end: number) => {
    await readWhole(descriptor, buffer.subarray(0, end - start), start);
    return functions.crc32c(buffer, 0, end - start, 0);
  };
}

async function readWhole(descriptor: number, target: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < target.length;) {
    const { bytesRead } = await readAt(descriptor, target, done, target.length - done, offset + done);
    if (bytesRead === 0) throw new Error('the file became shorter while it was read');
    done += bytesRead;
  }
}

async function askServer(
  descriptor: number,
  version: ObjectVersion,
  { server, functions, signal }: VerifyDeps,
): Promise<CopyFinding> {
  if (server === undefined) return { kind: 'right', serverSays: undefined };
  const readFile = (target: Uint8Array, offset: number) => readWhole(descriptor, target, offset);
  const means = { server: await server(version), functions };
  const { result, comparisons } = await verifyFully(version, readFile, means, { etag: false, signal });
  if (result !== 'differs') return { kind: 'right', serverSays: result };
  const [differing] = comparisons.filter((one) => !isEqual(one));
  return wrong(`its ${differing?.digest.kind} is not the one that the server keeps of the object`);
}

function wrong(reason: string): CopyFinding {
  return { kind: 'wrong', reason };
}
