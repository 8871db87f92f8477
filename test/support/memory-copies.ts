/**
 * A cache in memory, for tests of what stands on one: copies stay after their release, least recently used evicted first,
 * within a budget that counts what is open as well. Its files are MemoryFiles, or whatever the test makes of a path.
 */
import type {
  CopyMemory,
  CopySource,
  CopyTrust,
  CopyVerdict,
  LocalCopy,
} from '../../src/cache/local-copy.js';
import { TransientMemory } from '../../src/cache/private-copy.js';
import type { LocalFile } from '../../src/file/sparse-file.js';
import { versionIdentity } from '../../src/object-store/object-store.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { assert } from '../../src/runtime/assert.js';

export interface MemoryCopiesOptions {
  readonly bytesMax: number;
  readonly createFile: (path: string, size: number) => LocalFile;
  /** What the next copies that were released before are acquired as; default: as they were released. */
  readonly trust?: CopyTrust | undefined;
}

interface Kept {
  readonly path: string;
  readonly memory: CopyMemory;
  readonly file: LocalFile;
  trust: CopyTrust;
  verdict: CopyVerdict;
  reservedBytes: number;
  inUse: boolean;
}

export class MemoryCopies implements CopySource {
  /** By identity, least recently used first. */
  readonly #kept = new Map<string, Kept>();
  /** Of those that are in the cache no more, and not released yet. */
  readonly #detached = new Set<Kept>();
  readonly #options: MemoryCopiesOptions;
  #last = 0;
  bytesMax: number;

  constructor(options: MemoryCopiesOptions) {
    this.#options = options;
    this.bytesMax = options.bytesMax;
  }

  /** Copies that nobody uses. */
  get idleCount(): number {
    return [...this.#kept.values()].filter(({ inUse }) => !inUse).length;
  }

  /** Bytes that are there, used or not. */
  get bytes(): number {
    return this.#all.reduce((sum, { memory }) => sum + memory.availability.arrivedBytes, 0);
  }

  fileOf(copy: LocalCopy): LocalFile {
    const kept = this.#all.find(({ path }) => path === copy.path);
    assert(kept, 'the copy is not released yet');
    return kept.file;
  }

  acquire(version: ObjectVersion): LocalCopy {
    const identity = versionIdentity(version);
    const before = this.#kept.get(identity);
    assert(!before?.inUse, `${version.key} is acquired twice at once`);
    const kept = before ?? this.#create(version.size);
    const trust = before === undefined ? 'fresh' : (this.#options.trust ?? kept.trust);
    if (trust === 'unverified') kept.memory.availability.clear({ start: 0, end: version.size });
    kept.inUse = true;
    this.#kept.delete(identity);
    this.#kept.set(identity, kept);
    return this.#copyOf(identity, kept, trust);
  }

  /** Evicts what nobody uses until about `bytes` are free; says whether anything was. */
  free(bytes: number): boolean {
    const before = this.bytes;
    for (const [identity, kept] of this.#kept) {
      if (before - this.bytes >= bytes) break;
      if (!kept.inUse) this.#kept.delete(identity);
    }
    return this.bytes < before;
  }

  close(): void {}

  get #all(): Kept[] {
    return [...this.#kept.values(), ...this.#detached];
  }

  #create(size: number): Kept {
    this.#last += 1;
    const path = `memory:${this.#last}`;
    const file = this.#options.createFile(path, size);
    const memory = new TransientMemory(size);
    return { path, memory, file, trust: 'partial', verdict: 'unknown', reservedBytes: 0, inUse: true };
  }

  #reserve(kept: Kept, bytes: number): boolean {
    const reserved = () => this.#all.reduce((sum, { reservedBytes }) => sum + reservedBytes, 0);
    for (const [identity, other] of this.#kept) {
      if (reserved() + bytes <= this.bytesMax) break;
      if (!other.inUse) this.#kept.delete(identity);
    }
    if (reserved() + bytes > this.bytesMax) return false;
    kept.reservedBytes += bytes;
    return true;
  }

  #copyOf(identity: string, kept: Kept, trust: CopyTrust): LocalCopy {
    let isReleased = false;
    let isVouchedFor = trust !== 'unverified';
    const leave = () => {
      if (this.#kept.get(identity) !== kept) return;
      this.#kept.delete(identity);
      this.#detached.add(kept);
    };
    return {
      role: 'owner',
      path: kept.path,
      exists: trust !== 'fresh',
      memory: kept.memory,
      trust,
      verdict: kept.verdict,
      ownerId: undefined,
      get reservedBytes() {
        return kept.reservedBytes;
      },
      reserve: (bytes) => this.#reserve(kept, bytes),
      filled: (verdict) => {
        kept.trust = 'complete';
        kept.verdict = verdict;
      },
      verified: () => {
        isVouchedFor = true;
      },
      condemn: leave,
      detach: leave,
      isAlone: () => true,
      takeOver: () => 'gone',
      release: () => {
        if (isReleased) return;
        isReleased = true;
        kept.inUse = false;
        if (!isVouchedFor) kept.trust = 'unverified';
        const { arrivedBytes } = kept.memory.availability;
        kept.reservedBytes = arrivedBytes;
        this.#detached.delete(kept);
        if (arrivedBytes === 0 && this.#kept.get(identity) === kept) this.#kept.delete(identity);
      },
    };
  }
}
