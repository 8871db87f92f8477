/**
 * The digests of a local file, as S3 computes them: of all its bytes, or of the digests of its parts. One pass for any
 * number of them. Used by full-verification.ts.
 *
 * Gentle: 4 MiB are read at a time by the thread pool, and summed 1 MiB at a time with the event loop's turn in between
 * (MD5, the slowest, takes 2 ms for that).
 */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DigestKind } from '../object-store/object-store.js';
import { assert, unreachable } from '../runtime/assert.js';
import type { ChecksumFunctions } from '../runtime/checksum-functions.js';

/** Something to compute. */
export interface DigestPlan {
  readonly kind: DigestKind;
  /** The digest is of the digests of parts of these sizes, which add up to the file's; absent: of the bytes. */
  readonly partSizes?: readonly number[] | undefined;
}

export interface DigestedFile {
  readonly size: number;
  /** Fills `target` from `offset`. */
  readonly read: (target: Uint8Array, offset: number) => Promise<void>;
}

const READ_BYTES = 4 * 1024 * 1024;
const SUM_BYTES = 1024 * 1024;

/** This machine has the means for such a digest. */
export function isComputable(kind: DigestKind, functions: ChecksumFunctions): boolean {
  return kind !== 'crc64nvme' || functions.crc64nvme !== undefined;
}

/**
 * Lower-case hex for each of `plans`. @throws what `read` throws, and the signal's reason when it aborted
 */
export async function digestBytes(
  { size, read }: DigestedFile,
  plans: readonly DigestPlan[],
  functions: ChecksumFunctions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const sums = plans.map(({ kind, partSizes }) =>
    partSizes === undefined ? startSum(kind, functions) : new SumOfParts(kind, partSizes, functions),
  );
  const buffer = new Uint8Array(Math.min(size, READ_BYTES));
  for (let offset = 0; offset < size; offset += buffer.length) {
    const bytes = buffer.subarray(0, Math.min(buffer.length, size - offset));
    await read(bytes, offset);
    for (let from = 0; from < bytes.length; from += SUM_BYTES) {
      signal.throwIfAborted();
      for (const sum of sums) sum.update(bytes.subarray(from, from + SUM_BYTES));
      await nextTurn();
    }
  }
  return sums.map((sum) => sum.digest().toString('hex'));
}

interface RunningSum {
  update(bytes: Uint8Array): void;
  /** Called once. */
  digest(): Buffer;
}

function startSum(kind: DigestKind, functions: ChecksumFunctions): RunningSum {
  switch (kind) {
    case 'crc32':
    case 'crc32c':
      return new RunningCrc32(functions[kind]);
    case 'crc64nvme':
      return new RunningCrc64(functions);
    case 'md5':
    case 'sha1':
    case 'sha256':
    case 'sha512':
      return createHash(kind);
    default:
      return unreachable(kind);
  }
}

class RunningCrc32 implements RunningSum {
  readonly #next: ChecksumFunctions['crc32'];
  #crc = 0;

  constructor(next: ChecksumFunctions['crc32']) {
    this.#next = next;
  }

  update(bytes: Uint8Array): void {
    this.#crc = this.#next(bytes, 0, bytes.length, this.#crc);
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#crc);
    return bytes;
  }
}

class RunningCrc64 implements RunningSum {
  readonly #functions: ChecksumFunctions;
  readonly #state = new BigUint64Array(1);

  constructor(functions: ChecksumFunctions) {
    assert(isComputable('crc64nvme', functions), 'CRC64NVME takes the addon');
    this.#functions = functions;
  }

  update(bytes: Uint8Array): void {
    this.#functions.crc64nvme?.(bytes, 0, bytes.length, this.#state);
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(this.#state[0] ?? 0n);
    return bytes;
  }
}

class SumOfParts implements RunningSum {
  readonly #kind: DigestKind;
  readonly #functions: ChecksumFunctions;
  readonly #sizes: readonly number[];
  readonly #whole: RunningSum;
  #part: RunningSum;
  /** Which part comes, and what is missing of it. */
  #index = 0;
  #missing: number;

  constructor(kind: DigestKind, sizes: readonly number[], functions: ChecksumFunctions) {
    this.#kind = kind;
    this.#functions = functions;
    this.#sizes = sizes;
    this.#whole = startSum(kind, functions);
    this.#part = startSum(kind, functions);
    this.#missing = sizes[0] ?? 0;
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      while (this.#missing === 0) this.#nextPart();
      const end = Math.min(bytes.length, at + this.#missing);
      this.#part.update(bytes.subarray(at, end));
      this.#missing -= end - at;
      at = end;
    }
  }

  digest(): Buffer {
    // The last part of an upload may be empty.
    while (this.#missing === 0 && this.#index < this.#sizes.length - 1) this.#nextPart();
    assert(this.#missing === 0, 'a file is shorter than its parts');
    this.#whole.update(this.#part.digest());
    return this.#whole.digest();
  }

  #nextPart(): void {
    this.#index += 1;
    const size = this.#sizes[this.#index];
    assert(size !== undefined, 'a file is longer than its parts');
    this.#whole.update(this.#part.digest());
    this.#part = startSum(this.#kind, this.#functions);
    this.#missing = size;
  }
}
