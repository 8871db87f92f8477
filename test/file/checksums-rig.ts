/** A store of pattern bytes and a server whose answers the test gives, for the tests of StoreChecksums. */
import { StoreChecksums } from '../../src/file/store-checksums.js';
import type { ChecksumDeps, ChecksummedStore } from '../../src/file/store-checksums.js';
import type { ObjectChecksums, ObjectDigest, ObjectVersion } from '../../src/object-store/object-store.js';
import { createLogger } from '../../src/observability/logger.js';
import { Availability } from '../../src/runtime/availability.js';
import { BlockChecksummer } from '../../src/runtime/block-checksummer.js';
import type { CrcKind } from '../../src/runtime/crc.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { MemoryFile } from '../support/memory-file.js';
import { crcHex, serverCrcOf } from '../support/plain-crc.js';
import { checksumDeps } from '../support/store-harness.js';

export const MIB = 1024 * 1024;

export function versionOf(size: number): ObjectVersion {
  return { endpoint: 'e', bucket: 'b', key: 'model', etag: '"1"', size };
}

export function told(...digests: readonly ObjectDigest[]): ObjectChecksums {
  return { digests, etag: undefined };
}

export async function crcOf(kind: CrcKind, bytes: Uint8Array): Promise<ObjectChecksums> {
  return told({ kind, value: crcHex(kind, await serverCrcOf(kind, bytes)) });
}

export const WRONG = told({ kind: 'crc32c', value: '00000001' });

/** A store of pattern bytes, of which nothing has arrived yet, and a server that answers when the test says so. */
export class Rig {
  readonly bytes: Uint8Array;
  readonly availability: Availability;
  readonly lines: Record<string, unknown>[] = [];
  readonly asked: { readonly version: ObjectVersion; readonly signal: AbortSignal }[] = [];
  readonly answer = new Deferred<ObjectChecksums>();
  partSizes: readonly number[] | undefined;
  /** Offsets at which the local file was read. */
  readonly reads: number[] = [];
  readonly deps: ChecksumDeps;
  readonly checksums: StoreChecksums;
  corrupt = 0;
  onRead: () => Promise<void> | void = () => {};
  readonly #file: MemoryFile;

  constructor(size: number, changes: Partial<ChecksumDeps> = {}, store: Partial<ChecksummedStore> = {}) {
    this.bytes = fillPattern(new Uint8Array(size), 5, 0);
    this.availability = Availability.create(size);
    this.#file = new MemoryFile(size, {
      step: (operation, offset) => {
        if (operation === 'write') return undefined;
        this.reads.push(offset);
        return this.onRead();
      },
    });
    const objectChecksums = (version: ObjectVersion, signal = new AbortController().signal) => {
      this.asked.push({ version, signal });
      return this.answer.promise;
    };
    this.deps = checksumDeps({ objectChecksums, partSizes: async () => this.partSizes }, changes);
    const write = (line: string) => void this.lines.push(JSON.parse(line) as Record<string, unknown>);
    this.checksums = new StoreChecksums(
      { id: 's1', version: versionOf(size), availability: this.availability, ...store },
      this.#file,
      {
        logger: createLogger('info', { write }),
        checksums: this.deps,
        onCorrupt: () => (this.corrupt += 1),
      },
    );
  }

  /** `[start, end)` is in the file and published; the transport summed it, when it is one that does. */
  async arrive(start: number, end: number, transport: 'sums' | 'does not sum' = 'does not sum') {
    const part = this.bytes.subarray(start, end);
    await this.#file.write([part], start);
    const { blocks } = this.checksums;
    if (transport === 'sums')
      new BlockChecksummer(blocks, this.deps.functions, start).update(part, 0, part.length);
    this.availability.publish({ start, end });
    this.checksums.advanced();
  }
}
