/**
 * Compares the local copy of an object with the checksum that the server keeps of it. Made by each TempFileStore; says
 * what came of it in `result`, and by `onCorrupt` that the copy is not the object.
 *
 * Promises: all of it happens beside reading and filling, which wait for none of it. The server is asked once, when much
 * of the object has come. What the transports summed on the way (`buffer`) is used; the rest is summed from the local
 * file once that is complete, 1 MiB at a time.
 */
import type { Logger } from '../observability/logger.js';
import type { ObjectVersion, WholeChecksum } from '../object-store/object-store.js';
import type { Slots } from '../object-store/slots.js';
import { createAborter } from '../runtime/aborter.js';
import type { Availability } from '../runtime/availability.js';
import { BlockChecksummer } from '../runtime/block-checksummer.js';
import { BLOCK_BYTES, BlockChecksums } from '../runtime/block-checksums.js';
import type { ChecksumFunctions } from '../runtime/checksum-functions.js';
import { Deferred } from '../runtime/deferred.js';
import type { LocalFile } from './sparse-file.js';

export type ChecksumResult =
  /** Not compared yet, or it cannot be: the server could not be asked, or this machine has no such checksum. */
  | 'unknown'
  /** The server keeps no checksum of the whole object. */
  | 'none'
  | 'matches'
  | 'differs';

/** Of all stores of a mount. */
export interface ChecksumDeps {
  readonly functions: ChecksumFunctions;
  readonly wholeChecksum: (version: ObjectVersion, signal: AbortSignal) => Promise<WholeChecksum | undefined>;
  /**
   * One store asks at a time, so that thousands of small files leave the connections to lookups; and one is summed at a
   * time, since the disk would serve two no faster.
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
  readonly #closing = createAborter();
  readonly #complete = new Deferred<void>();
  readonly #verdict = new Deferred<ChecksumResult>();
  #begun = false;
  #result: ChecksumResult = 'unknown';

  constructor(store: ChecksummedStore, file: Pick<LocalFile, 'read'>, deps: StoreChecksumsDeps) {
    this.#store = store;
    this.#file = file;
    this.#deps = deps;
    this.#blocks = store.blocks ?? BlockChecksums.create(store.version.size);
    this.verdict = this.#verdict.promise;
    this.#result = store.resultBefore ?? 'unknown';
    // No byte of an empty object can be wrong.
    if (store.version.size === 0) this.#result = 'none';
    this.#begun = this.#result !== 'unknown';
    if (this.#begun) void this.#complete.promise.then(() => this.#verdict.resolve(this.#result));
    if (store.availability.complete) this.advanced();
  }

  get result(): ChecksumResult {
    return this.#result;
  }

  /** The shared memory of the BlockChecksums, for those who write the file from another thread. */
  get buffer(): SharedArrayBuffer {
    return this.#blocks.buffer;
  }

  /** Bytes were published. */
  advanced(): void {
    const { complete, arrivedBytes, size } = this.#store.availability;
    if (complete) this.#complete.resolve();
    if (this.#begun || (!complete && arrivedBytes < Math.min(size * ASK_SHARE, ASK_BYTES))) return;
    this.#begun = true;
    void this.#judge();
  }

  /** Ends all of it. Idempotent. */
  close(): void {
    this.#closing.abort();
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
    const { checksums, logger, onCorrupt } = this.#deps;
    const { signal } = this.#closing;
    const expected = await inTurn(checksums.asking, signal, () => this.#ask());
    if (expected === undefined) return;
    this.#blocks.expectKind(expected.kind);
    await this.#complete.promise;
    const got = await inTurn(checksums.summing, signal, () => this.#sum(expected));
    if (got === undefined || signal.aborted) return;
    const { id, version } = this.#store;
    if (got === expected.value) {
      this.#result = 'matches';
      logger.debug({ store: id, key: version.key, kind: expected.kind }, 'checksum matches');
      return;
    }
    this.#result = 'differs';
    logger.error(
      { store: id, key: version.key, etag: version.etag, ...describe(expected, got) },
      `what arrived of ${version.key} is not the object: its checksum differs; the next open fetches it again`,
    );
    onCorrupt();
  }

  /** What the server says; undefined when there is nothing to compare with. */
  async #ask(): Promise<WholeChecksum | undefined> {
    const { functions, wholeChecksum } = this.#deps.checksums;
    const expected = await wholeChecksum(this.#store.version, this.#closing.signal);
    if (expected === undefined) this.#result = 'none';
    return expected?.kind === 'crc64nvme' && functions.crc64nvme === undefined ? undefined : expected;
  }

  /** Of the whole local file; undefined when closed meanwhile. */
  async #sum({ kind }: WholeChecksum): Promise<bigint | undefined> {
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

function describe({ kind, value }: WholeChecksum, got: bigint) {
  const digits = kind === 'crc64nvme' ? 16 : 8;
  const hex = (crc: bigint) => crc.toString(16).padStart(digits, '0');
  return { kind, expected: hex(value), got: hex(got) };
}
