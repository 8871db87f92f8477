/**
 * Sums each block of a store soon after it is whole in the local file, where no transport did that on the way: one that
 * came in pieces, or by JavaScript. Without its sum a block would be worth nothing after an unclean end. Owned by
 * StoreChecksums.
 *
 * Promises: beside reading and filling, one block of a store at a time. What was cleared again meanwhile is not recorded.
 */
import type { Availability } from '../runtime/availability.js';
import { BlockChecksummer } from '../runtime/block-checksummer.js';
import { BLOCK_BYTES } from '../runtime/block-checksums.js';
import type { BlockChecksums } from '../runtime/block-checksums.js';
import type { ChecksumFunctions } from '../runtime/checksum-functions.js';
import type { ByteRange } from '../runtime/range.js';
import type { LocalFile } from './sparse-file.js';

export class WholeBlocks {
  readonly #availability: Availability;
  readonly #blocks: BlockChecksums;
  readonly #file: Pick<LocalFile, 'read'>;
  readonly #functions: ChecksumFunctions;
  /** Whole, and to be summed. */
  readonly #due = new Set<number>();
  #isSumming = false;
  #closed = false;

  constructor(
    store: { readonly availability: Availability; readonly blocks: BlockChecksums },
    file: Pick<LocalFile, 'read'>,
    functions: ChecksumFunctions,
  ) {
    this.#availability = store.availability;
    this.#blocks = store.blocks;
    this.#file = file;
    this.#functions = functions;
  }

  /** Bytes of `range` were published. */
  arrived({ start, end }: ByteRange): void {
    const blockAfter = Math.ceil(end / BLOCK_BYTES);
    for (let block = Math.floor(start / BLOCK_BYTES); block < blockAfter; block++) {
      if (this.#isDue(block)) this.#due.add(block);
    }
    if (this.#due.size > 0 && !this.#isSumming) void this.#sumDue();
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#due.clear();
  }

  #isDue(block: number): boolean {
    return (
      !this.#closed &&
      this.#blocks.crc32c(block) === undefined &&
      this.#availability.has(this.#blocks.blockRange(block))
    );
  }

  async #sumDue(): Promise<void> {
    this.#isSumming = true;
    const buffer = new Uint8Array(BLOCK_BYTES);
    for (const block of this.#due) {
      this.#due.delete(block);
      // A file that cannot be read is no matter here: its readers will hear of it themselves.
      await this.#sum(block, buffer).catch(() => this.close());
    }
    this.#isSumming = false;
  }

  async #sum(block: number, buffer: Uint8Array): Promise<void> {
    const { generation } = this.#availability;
    // A transport may have been about to record it when it was published.
    if (!this.#isDue(block)) return;
    const { start, end } = this.#blocks.blockRange(block);
    await this.#file.read(buffer.subarray(0, end - start), start);
    if (this.#closed || this.#availability.generation !== generation) return;
    new BlockChecksummer(this.#blocks, this.#functions, start).update(buffer, 0, end - start);
  }
}
