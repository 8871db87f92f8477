/**
 * Sums the bytes of one part as they pass, in the thread that writes them, and records each block that it saw whole in
 * the object's BlockChecksums. A block that the part begins or ends inside of stays unknown, and is summed from the local
 * file when that is complete.
 */
import { assert } from './assert.js';
import { BLOCK_BYTES } from './block-checksums.js';
import type { BlockChecksums } from './block-checksums.js';
import type { ChecksumFunctions } from './checksum-functions.js';
import type { CrcKind } from './crc.js';

export class BlockChecksummer {
  readonly #checksums: BlockChecksums;
  readonly #functions: ChecksumFunctions;
  #position: number;
  /** The block at `position` is summed from its first byte on, and not known yet. */
  #isSumming = false;
  /** The object's own kind, as it was when the block began; undefined when that is CRC32C, or cannot be computed here. */
  #kind: Exclude<CrcKind, 'crc32c'> | undefined;
  #crc32c = 0;
  #crc32 = 0;
  readonly #crc64nvme = new BigUint64Array(1);

  /** @param start where the first byte of `update` lies in the object. */
  constructor(checksums: BlockChecksums, functions: ChecksumFunctions, start: number) {
    this.#checksums = checksums;
    this.#functions = functions;
    this.#position = start;
  }

  /** Bytes `[from, to)` of `bytes` are the object's next ones. No memory is taken, but for CRC32 (a view). */
  update(bytes: Uint8Array, from: number, to: number): void {
    const { size } = this.#checksums;
    assert(this.#position + to - from <= size, `${to - from} bytes at ${this.#position} of ${size}`);
    for (let at = from; at < to;) {
      const inBlock = this.#position % BLOCK_BYTES;
      if (inBlock === 0) this.#begin();
      const blockEnd = Math.min(this.#position - inBlock + BLOCK_BYTES, size);
      const end = Math.min(to, at + blockEnd - this.#position);
      if (this.#isSumming) this.#add(bytes, at, end);
      this.#position += end - at;
      at = end;
      if (this.#isSumming && this.#position === blockEnd) this.#record();
    }
  }

  #begin(): void {
    const { kind } = this.#checksums;
    this.#isSumming = !this.#checksums.isKnown(this.#position / BLOCK_BYTES);
    const isComputable =
      kind !== 'crc32c' && (kind !== 'crc64nvme' || this.#functions.crc64nvme !== undefined);
    this.#kind = isComputable ? kind : undefined;
    this.#crc32c = 0;
    this.#crc32 = 0;
    this.#crc64nvme[0] = 0n;
  }

  #add(bytes: Uint8Array, start: number, end: number): void {
    this.#crc32c = this.#functions.crc32c(bytes, start, end, this.#crc32c);
    if (this.#kind === 'crc32') this.#crc32 = this.#functions.crc32(bytes, start, end, this.#crc32);
    if (this.#kind === 'crc64nvme') this.#functions.crc64nvme?.(bytes, start, end, this.#crc64nvme);
  }

  #record(): void {
    const block = Math.floor((this.#position - 1) / BLOCK_BYTES);
    this.#checksums.record(block, this.#crc32c, this.#own());
    this.#isSumming = false;
  }

  #own(): bigint | undefined {
    if (this.#kind === 'crc32') return BigInt(this.#crc32);
    return this.#kind === 'crc64nvme' ? this.#crc64nvme[0] : undefined;
  }
}
