/**
 * Compares the local copy of an object with the checksums that the server keeps of it. Made by each TempFileStore; says
 * what came of it in `result`, and by `onCorrupt` that the copy is not the object.
 *
 * Promises: all of it happens beside reading and filling, which wait for none of it. The server is asked once, when much
 * of the object has come, unless it told with the object's bytes. What the transports summed on the way is used for the
 * CRC of the whole; the rest of it, and every other kind of checksum, is summed from the local file once that is complete.
 */
import type { Logger } from '../observability/logger.js';
import { isWholeCrc } from '../object-store/object-checksums.js';
import type { WholeCrc } from '../object-store/object-checksums.js';
import type { ObjectChecksums, ObjectDigest, ObjectVersion } from '../object-store/object-store.js';
import type { Slots } from '../object-store/slots.js';
import { abort, createAborter } from '../runtime/aborter.js';
import type { Availability } from '../runtime/availability.js';
import { BlockChecksummer } from '../runtime/block-checksummer.js';
import { BLOCK_BYTES, BlockChecksums } from '../runtime/block-checksums.js';
import { Deferred } from '../runtime/deferred.js';
import type { ByteRange } from '../runtime/range.js';
import { isComputable } from './digest-bytes.js';
import { compare, isEqual, judge, planComparison } from './full-verification.js';
import type {
  ChecksumResult,
  Comparison,
  ComparisonPlan,
  Verification,
  VerificationMeans,
} from './full-verification.js';
import type { LocalFile } from './sparse-file.js';
import { WholeBlocks } from './whole-blocks.js';

export type { ChecksumResult };

/** What a complete copy is compared with before it is relied on: `--verify`. */
export type VerifyMode =
  /** The CRC of the whole object, of the kinds that parts' CRCs give. */
  | 'crc'
  /** Every checksum that the server keeps, for which the copy is read again. */
  | 'full'
  /** The same, and its ETag, where that may be an MD5; if it differs, that is only said. */
  | 'etag'
  /** Nothing: the server is not asked. */
  | 'off';

/** Of all stores of a mount. */
export interface ChecksumDeps extends VerificationMeans {
  readonly verify: VerifyMode;
  /**
   * A few stores ask at a time, so that thousands of small files leave connections to lookups; and one is summed at a time,
   * since the disk would serve two no faster.
   */
  readonly asking: Slots;
  readonly summing: Slots;
}

export interface StoreChecksumsDeps {
  readonly logger: Logger;
  readonly checksums: ChecksumDeps;
  /** Called once, when the complete local copy differs. */
  readonly onCorrupt: () => void;
}

/** What is checked. */
export interface ChecksummedStore {
  readonly id: string;
  readonly version: ObjectVersion;
  readonly availability: Availability;
  /** The sums of its blocks, where there are some from before; else they are begun anew. */
  readonly blocks?: BlockChecksums | undefined;
  /** What came of it when this very copy was compared before: `matches` and `none` are not asked for again. */
  readonly resultBefore?: ChecksumResult | undefined;
}

/**
 * A few random reads are no reason to ask the server; a quarter of the object is, and what two seconds of a slow line
 * bring. Blocks that arrived before lack the object's own kind and are summed again: 64 MiB take 50 ms.
 */
const ASK_BYTES = 64 * 1024 * 1024;
const ASK_SHARE = 1 / 4;

interface Plan {
  /** Combined from the blocks'. */
  readonly crc: WholeCrc | undefined;
  /** Summed from the complete file. */
  readonly rest: ComparisonPlan;
}

export class StoreChecksums {
  /**
   * What has come of it once the copy is complete: settles when it was compared or turned out not to be comparable, and
   * at `close` at the latest. Never rejects.
   */
  readonly verdict: Promise<ChecksumResult>;
  readonly #store: ChecksummedStore;
  readonly #file: Pick<LocalFile, 'read'>;
  readonly #deps: StoreChecksumsDeps;
  readonly #blocks: BlockChecksums;
  readonly #wholeBlocks: WholeBlocks;
  readonly #closing = createAborter();
  readonly #complete = new Deferred<void>();
  readonly #verdict = new Deferred<ChecksumResult>();
  #told: ObjectChecksums | undefined;
  #begun = false;
  #result: ChecksumResult = 'unknown';

  constructor(store: ChecksummedStore, file: Pick<LocalFile, 'read'>, deps: StoreChecksumsDeps) {
    this.#store = store;
    this.#file = file;
    this.#deps = deps;
    this.#blocks = store.blocks ?? BlockChecksums.create(store.version.size);
    this.#wholeBlocks = new WholeBlocks(
      { availability: store.availability, blocks: this.#blocks },
      file,
      deps.checksums.functions,
    );
    this.verdict = this.#verdict.promise;
    this.#result = resultFromStart(store, deps.checksums.verify);
    this.#begun = this.#result !== 'unknown' || deps.checksums.verify === 'off';
    if (this.#begun) void this.#complete.promise.then(() => this.#verdict.resolve(this.#result));
    if (store.availability.complete) this.advanced();
  }

  get result(): ChecksumResult {
    return this.#result;
  }

  /** For those who write the file from another thread. */
  get blocks(): BlockChecksums {
    return this.#blocks;
  }

  /** What the server keeps of the object came with its bytes: there is nothing to ask. */
  told(checksums: ObjectChecksums): void {
    this.#told = checksums;
  }

  /** This process published `range`. */
  arrived(range: ByteRange): void {
    this.#wholeBlocks.arrived(range);
  }

  /** Bytes were published, by whomever. */
  advanced(): void {
    const { complete, arrivedBytes, size } = this.#store.availability;
    if (complete) this.#complete.resolve();
    if (this.#begun || (!complete && arrivedBytes < Math.min(size * ASK_SHARE, ASK_BYTES))) return;
    this.#begun = true;
    void this.#judge();
  }

  /** Ends all of it. Idempotent. */
  close(): void {
    abort(this.#closing);
    this.#wholeBlocks.close();
    this.#complete.resolve();
    this.#verdict.resolve(this.#result);
  }

  /** Never rejects. */
  async #judge(): Promise<void> {
    await this.#check().catch((error: unknown) => this.#gaveUp(error));
    await this.#complete.promise;
    this.#verdict.resolve(this.#result);
  }

  async #check(): Promise<void> {
    const { asking, summing } = this.#deps.checksums;
    const { signal } = this.#closing;
    const plan = await inTurn(asking, signal, () => this.#ask());
    if (plan === undefined) return;
    if (plan.crc === undefined && plan.rest.comparable.length === 0) {
      this.#result = judge([], plan.rest.incomparable).result;
      return;
    }
    if (plan.crc !== undefined) this.#blocks.expectKind(plan.crc.kind);
    await this.#complete.promise;
    const verification = await inTurn(summing, signal, () => this.#compare(plan));
    if (verification === undefined || signal.aborted) return;
    this.#result = verification.result;
    this.#report(verification);
  }

  /** What of it is to be compared, by what the server says. */
  async #ask(): Promise<Plan> {
    const { checksums } = this.#deps;
    const { version } = this.#store;
    const { signal } = this.#closing;
    const told = this.#told ?? (await checksums.server.objectChecksums(version, signal));
    const crc = told.digests.find((digest): digest is WholeCrc => this.#isOfBlocks(digest));
    const isRest = (digest: ObjectDigest) =>
      digest !== crc && (checksums.verify !== 'crc' || (crc === undefined && isWholeCrc(digest)));
    const rest = { digests: told.digests.filter(isRest), etag: told.etag };
    const etag = checksums.verify === 'etag';
    return { crc, rest: await planComparison(version, rest, checksums, { etag, signal }) };
  }

  /** The blocks' CRCs give it; of the object's own kind they have one only, and that may be known from before. */
  #isOfBlocks(digest: ObjectDigest): boolean {
    const { kind } = this.#blocks;
    if (!isWholeCrc(digest) || !isComputable(digest.kind, this.#deps.checksums.functions)) return false;
    return digest.kind === 'crc32c' || kind === undefined || kind === digest.kind;
  }

  /** Undefined when closed meanwhile. */
  async #compare({ crc, rest }: Plan): Promise<Verification | undefined> {
    const comparisons: Comparison[] = [];
    if (crc !== undefined) {
      const sum = await this.#sum(crc);
      if (sum === undefined) return undefined;
      const got = sum.toString(16).padStart(crc.value.length, '0');
      comparisons.push({ source: 'checksum', digest: crc, got });
    }
    const { checksums } = this.#deps;
    const { size } = this.#store.version;
    const read = (target: Uint8Array, offset: number) => this.#file.read(target, offset);
    comparisons.push(...(await compare({ size, read }, rest, checksums, this.#closing.signal)));
    return judge(comparisons, rest.incomparable);
  }

  /** Of the whole local file; undefined when closed meanwhile. */
  async #sum({ kind }: WholeCrc): Promise<bigint | undefined> {
    const missing = this.#blocks.missingBlocks();
    const buffer = missing.length > 0 ? new Uint8Array(BLOCK_BYTES) : new Uint8Array();
    for (const block of missing) {
      const { start, end } = this.#blocks.blockRange(block);
      await this.#file.read(buffer.subarray(0, end - start), start);
      if (this.#closing.signal.aborted) return undefined;
      new BlockChecksummer(this.#blocks, this.#deps.checksums.functions, start).update(
        buffer,
        0,
        end - start,
      );
    }
    return this.#blocks.combined(kind);
  }

  #report({ result, comparisons }: Verification): void {
    const { logger, onCorrupt } = this.#deps;
    const { id, version } = this.#store;
    const facts = { store: id, key: version.key, etag: version.etag };
    for (const comparison of comparisons) {
      const { source, digest, got } = comparison;
      const { kind, parts, value: expected } = digest;
      const compared = { ...facts, kind, parts, expected, got };
      if (isEqual(comparison)) logger.debug({ ...facts, kind, parts, source }, 'checksum matches');
      else if (source === 'etag') {
        logger.warn(
          compared,
          `the ETag of ${version.key} is not the MD5 of what arrived; it need not be one`,
        );
      } else {
        logger.error(
          compared,
          `what arrived of ${version.key} is not the object: its checksum differs; the next open fetches it again`,
        );
      }
    }
    if (result === 'differs') onCorrupt();
  }

  /** The server cannot be asked, or the local file cannot be read: its readers will hear of that themselves. */
  #gaveUp(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    const { id, version } = this.#store;
    this.#deps.logger.info({ store: id, key: version.key, err: error }, 'the checksum could not be compared');
  }
}

/** What `work` gives, done when it is its turn; undefined when `signal` aborted before. */
async function inTurn<T>(
  turns: Slots,
  signal: AbortSignal,
  work: () => Promise<T | undefined>,
): Promise<T | undefined> {
  if (!(await turns.acquire(signal))) return undefined;
  try {
    return await work();
  } finally {
    turns.release();
  }
}

/** What is known without asking; `unknown` when the server is to be asked, if ever. */
function resultFromStart({ version, resultBefore }: ChecksummedStore, verify: VerifyMode): ChecksumResult {
  // No byte of an empty object can be wrong.
  if (version.size === 0) return 'none';
  // With other kinds in play there may be one after all.
  if (resultBefore === 'none' && verify !== 'crc') return 'unknown';
  return resultBefore === 'differs' ? 'unknown' : (resultBefore ?? 'unknown');
}
