/**
 * Finds out what of a local copy can be trusted, after an end that nobody saw: each block whose bytes have the CRC32C
 * that was noted when they came is published again, the sums of all others are forgotten. Made by TempFileStore for a
 * copy whose availability was cleared for it; knows neither why nor what is fetched instead.
 *
 * Promises: no byte is published that was not summed first. What a reader needs is verified at once, the rest behind it
 * in the order of the file, one block at a time among all stores of the mount. A file of the wrong length, or one that
 * cannot be read, is not trusted from there on. A block that a fetch brings meanwhile is the fetch's.
 */
import { fstat } from 'node:fs';
import { promisify } from 'node:util';
import type { Logger } from '../observability/logger.js';
import type { Slots } from '../object-store/slots.js';
import { abort, createAborter } from '../runtime/aborter.js';
import { asError } from '../runtime/assert.js';
import type { Availability } from '../runtime/availability.js';
import { BLOCK_BYTES } from '../runtime/block-checksums.js';
import type { BlockChecksums } from '../runtime/block-checksums.js';
import type { ChecksumFunctions } from '../runtime/checksum-functions.js';
import { Deferred } from '../runtime/deferred.js';
import type { ByteRange } from '../runtime/range.js';
import type { BorrowedFile, LocalFile } from './sparse-file.js';

const statOf = promisify(fstat);

/** Of all stores of a mount. */
export interface VerificationDeps {
  readonly functions: Pick<ChecksumFunctions, 'crc32c'>;
  /** The CRC32C of a range of a file, off the event loop, where the addon is: see `NativeAddon`. */
  readonly checksumRange?: ((descriptor: number, start: number, end: number) => Promise<number>) | undefined;
  /** Whose turn it is in the background: one block of one store. */
  readonly turns: Slots;
  readonly logger: Logger;
}

/** What is verified. */
export interface UnverifiedCopy {
  /** For the log. */
  readonly id: string;
  readonly file: Pick<LocalFile, 'borrow' | 'read'>;
  /** Says nothing of the copy yet; fetches may publish in it meanwhile. */
  readonly availability: Pick<Availability, 'has'>;
  /** Of before; the CRC32Cs are believed as far as bytes have them. */
  readonly blocks: BlockChecksums;
  /** The bytes are right: to be published. Called once for a block, never after `stop`. */
  readonly publish: (range: ByteRange) => void;
}

/** How many blocks of a copy were found right, and how many wrong, of those whose sum was noted. */
export interface VerificationOutcome {
  readonly blocksRight: number;
  readonly blocksWrong: number;
}

export class BlockVerifier {
  /**
   * Settles when nothing is looked at any more, since every block was or since `stop` was called, and the file was given
   * back. What was not looked at by then keeps its noted sum, for another time. Never rejects.
   */
  readonly done: Promise<VerificationOutcome>;
  readonly #copy: UnverifiedCopy;
  readonly #deps: VerificationDeps;
  readonly #done = new Deferred<VerificationOutcome>();
  readonly #stopping = createAborter();
  /** By block: 1 when nothing about it remains to be found out. */
  readonly #settled: Uint8Array;
  readonly #underWay = new Map<number, Promise<void>>();
  /** In which blocks are read into JavaScript: one for each that is under way at once. */
  readonly #buffers: Uint8Array[] = [];
  /** Undefined inside: it cannot be used. */
  #borrowed: Promise<BorrowedFile | undefined> | undefined;
  #started = false;
  #distrusted = false;
  #blocksRight = 0;
  #blocksWrong = 0;

  constructor(copy: UnverifiedCopy, deps: VerificationDeps) {
    this.#copy = copy;
    this.#deps = deps;
    this.done = this.#done.promise;
    const { blocks } = copy;
    this.#settled = new Uint8Array(blocks.blocks);
    for (let block = 0; block < blocks.blocks; block++) {
      if (blocks.crc32c(block) === undefined) this.#settled[block] = 1;
    }
    // Nothing says whether these are right: they are summed again when the copy is complete.
    blocks.forgetOwn();
  }

  /** Begins with the whole copy, in the background. Idempotent. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    void this.#verifyAll();
  }

  /** Resolves when each byte of `range` that is right was published, or nothing will be any more. Never rejects. */
  async need({ start, end }: ByteRange): Promise<void> {
    this.start();
    const blockAfter = Math.min(Math.ceil(end / BLOCK_BYTES), this.#settled.length);
    for (let block = Math.floor(start / BLOCK_BYTES); block < blockAfter; block++) await this.#verify(block);
  }

  /** Nothing is published from here on. Idempotent. */
  stop(): void {
    abort(this.#stopping);
    // There may be nothing to end.
    this.start();
  }

  async #verifyAll(): Promise<void> {
    const { turns } = this.#deps;
    for (let block = 0; block < this.#settled.length; block++) {
      if (this.#settled[block] === 1) continue;
      if (!(await turns.acquire(this.#stopping.signal))) break;
      await this.#verify(block);
      turns.release();
    }
    await Promise.all(this.#underWay.values());
    (await this.#borrowed)?.release();
    const outcome = { blocksRight: this.#blocksRight, blocksWrong: this.#blocksWrong };
    this.#deps.logger.debug({ store: this.#copy.id, ...outcome }, 'the local copy of before was verified');
    this.#done.resolve(outcome);
  }

  /** Never rejects; at most one look at each block is under way. */
  async #verify(block: number): Promise<void> {
    if (this.#settled[block] === 1 || this.#stopping.signal.aborted) return;
    let look = this.#underWay.get(block);
    if (look === undefined) {
      look = this.#look(block).finally(() => this.#underWay.delete(block));
      this.#underWay.set(block, look);
    }
    await look;
  }

  async #look(block: number): Promise<void> {
    const { availability, blocks, publish } = this.#copy;
    const range = blocks.blockRange(block);
    // A fetch was faster, and left the noted sum as it was.
    const isNeeded = !availability.has(range);
    const sum = isNeeded ? await this.#sum(range) : undefined;
    if (this.#stopping.signal.aborted || this.#settled[block] === 1) return;
    this.#settled[block] = 1;
    if (sum !== undefined && sum === blocks.crc32c(block)) {
      this.#blocksRight += 1;
      publish(range);
      return;
    }
    if (isNeeded) this.#blocksWrong += 1;
    blocks.forget(block);
  }

  /** The CRC32C of what is in the file; undefined when that cannot be used. */
  async #sum(range: ByteRange): Promise<number | undefined> {
    const borrowed = await (this.#borrowed ??= this.#borrow());
    if (borrowed === undefined) return undefined;
    const { checksumRange } = this.#deps;
    try {
      if (checksumRange !== undefined) {
        return await checksumRange(borrowed.descriptor, range.start, range.end);
      }
      return await this.#sumHere(range);
    } catch (error) {
      this.#distrust(asError(error).message);
      return undefined;
    }
  }

  async #sumHere({ start, end }: ByteRange): Promise<number> {
    const buffer = this.#buffers.pop() ?? new Uint8Array(BLOCK_BYTES);
    await this.#copy.file.read(buffer.subarray(0, end - start), start);
    const sum = this.#deps.functions.crc32c(buffer, 0, end - start, 0);
    this.#buffers.push(buffer);
    return sum;
  }

  async #borrow(): Promise<BorrowedFile | undefined> {
    const { file, blocks } = this.#copy;
    let borrowed: BorrowedFile | undefined;
    try {
      borrowed = file.borrow();
      const { size } = await statOf(borrowed.descriptor);
      if (size === blocks.size) return borrowed;
      this.#distrust(`it has ${size} bytes, not ${blocks.size}`);
    } catch (error) {
      this.#distrust(asError(error).message);
    }
    borrowed?.release();
    return undefined;
  }

  /** Nothing that was not looked at is. */
  #distrust(reason: string): void {
    if (this.#distrusted || this.#stopping.signal.aborted) return;
    this.#distrusted = true;
    const { id, blocks } = this.#copy;
    for (let block = 0; block < this.#settled.length; block++) {
      if (this.#settled[block] === 1) continue;
      this.#settled[block] = 1;
      this.#blocksWrong += 1;
      blocks.forget(block);
    }
    this.#deps.logger.warn(
      { store: id, reason },
      'the local copy of before cannot be used; it is fetched again',
    );
  }
}
