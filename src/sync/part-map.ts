/**
 * Which blocks of a file have come, and their CRC32Cs, beside the file that is being fetched: so that another process can
 * go on where this one was killed. Appended to as blocks become known; nothing in it is believed that the bytes in the
 * file do not bear out.
 *
 * Layout: one line of JSON with the version, then 8 bytes per block, little endian: uint32 number, uint32 CRC32C.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { BLOCK_BYTES } from '../runtime/block-checksums.js';
import type { BlockChecksums } from '../runtime/block-checksums.js';
import type { Availability } from '../runtime/availability.js';
import type { ByteRange } from '../runtime/range.js';

const RECORD_BYTES = 8;

export class PartMap {
  readonly #descriptor: number;
  /** By block: the CRC32C that was noted last, or -1. */
  readonly #noted: Float64Array;

  private constructor(descriptor: number, noted: Float64Array) {
    this.#descriptor = descriptor;
    this.#noted = noted;
  }

  /** An empty one. @throws NodeJS.ErrnoException */
  static create(path: string, version: string, blocks: number): PartMap {
    const descriptor = openSync(path, 'w', 0o600);
    writeSync(descriptor, `${JSON.stringify(version)}\n`);
    return new PartMap(descriptor, new Float64Array(blocks).fill(-1));
  }

  /**
   * What is noted of this very version, taken into `checksums`; undefined when nothing is.
   * @throws NodeJS.ErrnoException when it cannot be read and written
   */
  static resume(path: string, version: string, checksums: BlockChecksums): PartMap | undefined {
    const bytes = readIfThere(path);
    const headEnd = bytes === undefined ? -1 : bytes.indexOf('\n');
    if (bytes === undefined || bytes.toString('utf8', 0, headEnd) !== JSON.stringify(version))
      return undefined;
    const records = bytes.subarray(headEnd + 1);
    const noted = new Float64Array(checksums.blocks).fill(-1);
    for (let at = 0; at + RECORD_BYTES <= records.length; at += RECORD_BYTES) {
      const block = records.readUInt32LE(at);
      if (block < noted.length) noted[block] = records.readUInt32LE(at + 4);
    }
    for (const [block, crc32c] of noted.entries())
      if (crc32c >= 0) checksums.record(block, crc32c, undefined);
    const descriptor = openSync(path, 'a', 0o600);
    // A record that was cut off would shift all that follow.
    ftruncateSync(descriptor, bytes.length - (records.length % RECORD_BYTES));
    return new PartMap(descriptor, noted);
  }

  /** Bytes of `range` were published: what is known of its blocks is noted. */
  advanced({ start, end }: ByteRange, availability: Availability, checksums: BlockChecksums): void {
    const records: number[] = [];
    const after = Math.min(Math.ceil(end / BLOCK_BYTES), this.#noted.length);
    for (let block = Math.floor(start / BLOCK_BYTES); block < after; block++) {
      const crc32c = checksums.crc32c(block);
      if (crc32c === undefined || crc32c === this.#noted[block]) continue;
      if (!availability.has(checksums.blockRange(block))) continue;
      this.#noted[block] = crc32c;
      records.push(block, crc32c);
    }
    if (records.length === 0) return;
    const bytes = Buffer.alloc(records.length * 4);
    for (const [at, value] of records.entries()) bytes.writeUInt32LE(value, at * 4);
    writeSync(this.#descriptor, bytes);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
