/**
 * Brings the bytes of one object version into its part file, verified: resumes what an earlier attempt left, fetches the
 * rest, compares with the server's checksum. Called by bring.ts, which holds the file's lock. It leaves the part behind
 * in every case: complete and on the disk, or for another attempt.
 */
import type { DownloadTarget } from '../download/target.js';
import { StoreChecksums } from '../file/store-checksums.js';
import type { ChecksumDeps, ChecksumResult } from '../file/store-checksums.js';
import { BlockVerifier } from '../file/store-verification.js';
import type { VerificationDeps } from '../file/store-verification.js';
import { versionIdentity } from '../object-store/object-store.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import type { Slots } from '../object-store/slots.js';
import type { Logger } from '../observability/logger.js';
import { asError } from '../runtime/assert.js';
import { Availability } from '../runtime/availability.js';
import { BlockChecksums } from '../runtime/block-checksums.js';
import type { Clock } from '../runtime/clock.js';
import { PartMap } from './part-map.js';
import type { FilePaths } from './sync-folder.js';
import { TempFile } from './temp-file.js';
import { Transfer } from './transfer.js';
import type { Fetcher, TransferEnd } from './transfer.js';

export interface FetchFileDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly createFetcher: (target: DownloadTarget) => Fetcher;
  readonly checksums: ChecksumDeps;
  /** Whose turn it is to look at what an earlier attempt left. */
  readonly verifying: Slots;
  readonly checksumRange: VerificationDeps['checksumRange'];
}

export interface FetchRequest {
  readonly version: ObjectVersion;
  readonly paths: Pick<FilePaths, 'part' | 'map'>;
  /** The time that the file gets. */
  readonly modifiedMs: number;
  /** See `TransferOptions`. */
  readonly silenceMsMax: number;
  readonly signal: AbortSignal;
  /** Told where to look up how many bytes are there, before the first one comes. */
  readonly onBegin: (bytesDone: () => number) => void;
}

export interface Fetched {
  readonly end:
    | Exclude<TransferEnd, { kind: 'complete' }>
    /** All bytes are on the disk. */
    | { readonly kind: 'complete'; readonly checksum: ChecksumResult; readonly crc32c: number | undefined };
  readonly resumedBytes: number;
  readonly retries: number;
}

let transfersBegun = 0;

/** @throws what the local disk answers, or the server when it is asked for the checksum */
export async function fetchFile(request: FetchRequest, deps: FetchFileDeps): Promise<Fetched> {
  const { version, paths, signal } = request;
  const file = await TempFile.openToFill(paths.part, version.size);
  const availability = Availability.create(version.size);
  const checksums = BlockChecksums.create(version.size);
  let map: PartMap | undefined;
  try {
    request.onBegin(() => availability.arrivedBytes);
    const local = { file, availability, checksums };
    map = openMap(request, file, checksums);
    if (map !== undefined) await verify(local, signal, deps);
    const resumedBytes = availability.arrivedBytes;
    const { end, retries } = await complete(request, local, map, deps);
    return { end, retries, resumedBytes };
  } finally {
    map?.close();
    await file.close();
  }
}

interface Local {
  readonly file: TempFile;
  readonly availability: Availability;
  readonly checksums: BlockChecksums;
}

/** With what is noted in it, if that is of this file. A file of one block is there or not, and has none. */
function openMap(
  { version, paths }: FetchRequest,
  { hadSize }: TempFile,
  checksums: BlockChecksums,
): PartMap | undefined {
  if (checksums.blocks <= 1) return undefined;
  const identity = versionIdentity(version);
  const resumed = hadSize ? PartMap.resume(paths.map, identity, checksums) : undefined;
  return resumed ?? PartMap.create(paths.map, identity, checksums.blocks);
}

/** Publishes the blocks whose bytes are what was noted of them. */
async function verify(
  { file, availability, checksums }: Local,
  signal: AbortSignal,
  { checksums: { functions }, checksumRange, verifying, logger }: FetchFileDeps,
): Promise<void> {
  const verifier = new BlockVerifier(
    {
      id: file.path,
      file,
      availability,
      blocks: checksums,
      publish: (range) => void availability.publish(range),
    },
    { functions, checksumRange, turns: verifying, logger },
  );
  const onAbort = () => verifier.stop();
  signal.addEventListener('abort', onAbort, { once: true });
  verifier.start();
  if (signal.aborted) onAbort();
  await verifier.done;
  signal.removeEventListener('abort', onAbort);
}

async function complete(
  { version, modifiedMs, silenceMsMax, signal }: FetchRequest,
  local: Local,
  map: PartMap | undefined,
  deps: FetchFileDeps,
): Promise<Pick<Fetched, 'end' | 'retries'>> {
  const { file, availability, checksums } = local;
  transfersBegun += 1;
  const id = `f${transfersBegun}`;
  const comparison = compare({ id, version, availability, blocks: checksums }, file, deps);
  const transfer = new Transfer(
    version,
    local,
    {
      clock: deps.clock,
      functions: deps.checksums.functions,
      createFetcher: deps.createFetcher,
      told: (told) => comparison.sums.told(told),
      onPublished: (range) => {
        map?.advanced(range, availability, checksums);
        comparison.sums.advanced();
      },
    },
    { id, silenceMsMax },
  );
  const onAbort = () => comparison.sums.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const end = await transfer.run(signal);
    if (end.kind !== 'complete') return { end, retries: transfer.retries };
    const checksum = await comparison.result();
    if (signal.aborted) return { end: { kind: 'aborted' }, retries: transfer.retries };
    if (checksum !== 'differs') await file.settle(modifiedMs);
    const crc32c = checksums.combined('crc32c');
    return {
      end: { kind: 'complete', checksum, crc32c: crc32c === undefined ? undefined : Number(crc32c) },
      retries: transfer.retries,
    };
  } finally {
    signal.removeEventListener('abort', onAbort);
    comparison.sums.close();
  }
}

export interface Comparison {
  readonly sums: StoreChecksums;
  /** @throws ObjectStoreError when the server could not be asked */
  result(): Promise<ChecksumResult>;
}

/** A file beside the server's checksum of it. `sums` is to be closed. */
export function compare(
  store: {
    readonly id: string;
    readonly version: ObjectVersion;
    readonly availability: Availability;
    readonly blocks: BlockChecksums;
  },
  file: Pick<TempFile, 'read'>,
  { checksums, logger }: Pick<FetchFileDeps, 'checksums' | 'logger'>,
): Comparison {
  let failure: Error | undefined;
  const noted = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      failure = asError(error);
      throw failure;
    }
  };
  const server: ChecksumDeps['server'] = {
    objectChecksums: (version, signal) => noted(checksums.server.objectChecksums(version, signal)),
    partSizes: (version, parts, signal) => noted(checksums.server.partSizes(version, parts, signal)),
  };
  const sums = new StoreChecksums(store, file, {
    logger,
    onCorrupt: () => {},
    checksums: { ...checksums, server },
  });
  return {
    sums,
    result: async () => {
      const result = await sums.verdict;
      if (failure !== undefined) throw failure;
      return result;
    },
  };
}
