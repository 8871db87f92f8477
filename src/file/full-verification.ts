/**
 * Whether a complete local file is the object, by everything that the server keeps of it: checksums of the whole and of
 * its parts, and if so wished its ETag. Called by `sluice cache verify` for one copy after the other, and by
 * store-checksums.ts with `--verify=full`; neither waits for it before it serves anything that was verified before.
 *
 * An ETag is no checksum: that it matches says something, that it does not says nothing.
 */
import type {
  ObjectChecksums,
  ObjectDigest,
  ObjectStore,
  ObjectVersion,
} from '../object-store/object-store.js';
import type { ChecksumFunctions } from '../runtime/checksum-functions.js';
import { digestBytes, isComputable } from './digest-bytes.js';
import type { DigestedFile, DigestPlan } from './digest-bytes.js';

export type ChecksumResult =
  /** Not compared yet, or it cannot be: the server could not be asked, or this machine has no such checksum. */
  | 'unknown'
  /** The server keeps no checksum of the whole object. */
  | 'none'
  | 'matches'
  | 'differs';

/** A digest of the server beside that of the local file. */
export interface Comparison {
  readonly source: 'checksum' | 'etag';
  readonly digest: ObjectDigest;
  /** Lower-case hex, as `digest.value`. */
  readonly got: string;
}

export interface Verification {
  readonly result: ChecksumResult;
  readonly comparisons: readonly Comparison[];
  /** What the server keeps and could not be compared: the sizes of its parts are not told, or the means are missing here. */
  readonly incomparable: readonly ObjectDigest[];
}

export interface VerificationMeans {
  readonly server: Pick<ObjectStore, 'objectChecksums' | 'partSizes'>;
  readonly functions: ChecksumFunctions;
}

export interface VerificationOptions {
  /** Compare the ETag, too, where it may be an MD5. */
  readonly etag: boolean;
  readonly signal: AbortSignal;
}

/**
 * Asks the server, and reads the file if there is something to compare it with.
 * @throws ObjectStoreError when the server cannot be asked, what the file throws, and the signal's reason when it aborted
 */
export async function verifyFully(
  version: ObjectVersion,
  read: DigestedFile['read'],
  means: VerificationMeans,
  options: VerificationOptions,
): Promise<Verification> {
  const told = await means.server.objectChecksums(version, options.signal);
  const plan = await planComparison(version, told, means, options);
  return judge(await compare({ size: version.size, read }, plan, means, options.signal), plan.incomparable);
}

type Comparable = DigestPlan & Pick<Comparison, 'source' | 'digest'>;

export interface ComparisonPlan {
  readonly comparable: readonly Comparable[];
  readonly incomparable: readonly ObjectDigest[];
}

/** Asks the server for the sizes of parts where they matter. @throws ObjectStoreError when it cannot be asked */
export async function planComparison(
  version: ObjectVersion,
  { digests, etag }: ObjectChecksums,
  { server, functions }: VerificationMeans,
  options: VerificationOptions,
): Promise<ComparisonPlan> {
  const comparable: Comparable[] = [];
  const incomparable: ObjectDigest[] = [];
  const sizesOf = memoized((parts: number) => server.partSizes(version, parts, options.signal));
  const add = async (source: Comparison['source'], digest: ObjectDigest) => {
    const { kind, parts } = digest;
    const isPossible = isComputable(kind, functions);
    const partSizes = parts !== undefined && isPossible ? await sizesOf(parts) : undefined;
    if (isPossible && (parts === undefined || partSizes !== undefined)) {
      comparable.push({ source, digest, kind, partSizes });
    } else if (source === 'checksum') incomparable.push(digest);
  };
  for (const digest of digests) await add('checksum', digest);
  if (options.etag && etag !== undefined) await add('etag', etag);
  return { comparable, incomparable };
}

/** @throws what the file throws, and the signal's reason when it aborted */
export async function compare(
  file: DigestedFile,
  { comparable }: ComparisonPlan,
  { functions }: Pick<VerificationMeans, 'functions'>,
  signal: AbortSignal,
): Promise<readonly Comparison[]> {
  if (comparable.length === 0) return [];
  const got = await digestBytes(file, comparable, functions, signal);
  return comparable.map(({ source, digest }, i) => ({ source, digest, got: got[i] ?? '' }));
}

export function judge(
  comparisons: readonly Comparison[],
  incomparable: readonly ObjectDigest[],
): Verification {
  return { result: resultOf(comparisons, incomparable), comparisons, incomparable };
}

function resultOf(comparisons: readonly Comparison[], incomparable: readonly ObjectDigest[]): ChecksumResult {
  if (comparisons.some((one) => one.source === 'checksum' && !isEqual(one))) return 'differs';
  if (comparisons.some(isEqual)) return 'matches';
  return incomparable.length > 0 ? 'unknown' : 'none';
}

export function isEqual({ digest, got }: Comparison): boolean {
  return digest.value === got;
}

function memoized<T>(ask: (parts: number) => Promise<T>): (parts: number) => Promise<T> {
  const answers = new Map<number, Promise<T>>();
  return (parts) => {
    const answer = answers.get(parts) ?? ask(parts);
    answers.set(parts, answer);
    return answer;
  };
}
