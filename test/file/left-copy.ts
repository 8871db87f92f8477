/** A copy as a process may leave it behind, for tests of what is trusted of it. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { SparseFile } from '../../src/file/sparse-file.js';
import { BlockVerifier } from '../../src/file/store-verification.js';
import type { VerificationDeps } from '../../src/file/store-verification.js';
import { Slots } from '../../src/object-store/slots.js';
import { createLogger } from '../../src/observability/logger.js';
import { Availability } from '../../src/runtime/availability.js';
import { BlockChecksummer } from '../../src/runtime/block-checksummer.js';
import { BLOCK_BYTES, BlockChecksums } from '../../src/runtime/block-checksums.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import { fillPattern } from '../../src/runtime/pattern.js';

const SEED = 7;
/** As a machine without the addon has them. */
export const functions = checksumFunctions(undefined);

export interface LeftCopyOptions {
  /** Blocks that came; default: all. */
  readonly written?: readonly number[];
  readonly deps?: Partial<VerificationDeps>;
}

/** The copy that a process left behind: a file, and what was noted of its blocks. */
export class LeftCopy {
  readonly path: string;
  readonly size: number;
  readonly file: SparseFile;
  readonly blocks: BlockChecksums;
  readonly availability: Availability;
  readonly published: number[] = [];
  readonly lines: Record<string, unknown>[] = [];
  readonly #deps: VerificationDeps;

  private constructor(path: string, size: number, deps: Partial<VerificationDeps>) {
    this.path = path;
    this.size = size;
    const onProblem = (error: Error) => {
      throw error;
    };
    this.file = new SparseFile({ path, size, exists: false, onProblem });
    this.blocks = BlockChecksums.create(size);
    this.availability = Availability.create(size);
    const write = (line: string) => void this.lines.push(JSON.parse(line) as Record<string, unknown>);
    this.#deps = { functions, turns: new Slots(1), logger: createLogger('info', { write }), ...deps };
  }

  /** All of `written` came, and was summed on the way; the rest are holes. */
  static async of(path: string, size: number, options: LeftCopyOptions = {}): Promise<LeftCopy> {
    const copy = new LeftCopy(path, size, options.deps ?? {});
    copy.blocks.expectKind('crc32');
    for (const block of options.written ?? copy.all) {
      const { start, end } = copy.blocks.blockRange(block);
      const bytes = fillPattern(new Uint8Array(end - start), SEED, start);
      await copy.file.write([bytes], start);
      new BlockChecksummer(copy.blocks, functions, start).update(bytes, 0, bytes.length);
    }
    return copy;
  }

  get all(): number[] {
    return Array.from({ length: this.blocks.blocks }, (_, block) => block);
  }

  flip(offset: number): void {
    const byte = Buffer.alloc(1);
    const descriptor = openSync(this.path, 'r+');
    readSync(descriptor, byte, 0, 1, offset);
    byte[0] = (byte[0] ?? 0) ^ 1;
    writeSync(descriptor, byte, 0, 1, offset);
    closeSync(descriptor);
  }

  verifier(): BlockVerifier {
    return new BlockVerifier(
      {
        id: 's1',
        file: this.file,
        availability: this.availability,
        blocks: this.blocks,
        publish: (range) => {
          this.published.push(range.start / BLOCK_BYTES);
          this.availability.publish(range);
        },
      },
      this.#deps,
    );
  }
}
