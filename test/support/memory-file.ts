/**
 * A LocalFile in memory, for tests that control the schedule of every disk access (`step` is awaited before each) or
 * make some of them fail. Reading bytes that were never written is an error here, unlike the zeros of a real hole.
 */
import type { LocalFile } from '../../src/file/sparse-file.js';
import type { ByteRange } from '../../src/runtime/range.js';

export interface MemoryFileHooks {
  /** Awaited before each access; may throw what the disk would. */
  readonly step?: ((operation: 'read' | 'write', offset: number) => Promise<void> | void) | undefined;
  /** Gives the descriptor to lend, which is no real one; may throw what the system would. Without it none is lent. */
  readonly descriptor?: (() => number) | undefined;
}

export class MemoryFile implements LocalFile {
  readonly bytes: Uint8Array;
  readonly #written: Uint8Array;
  readonly #hooks: MemoryFileHooks;

  constructor(size: number, hooks: MemoryFileHooks = {}) {
    this.bytes = new Uint8Array(size);
    this.#written = new Uint8Array(size);
    this.#hooks = hooks;
  }

  async read(target: Uint8Array, offset: number): Promise<void> {
    await this.#hooks.step?.('read', offset);
    const unwritten = this.#written.subarray(offset, offset + target.length).indexOf(0);
    if (unwritten !== -1) throw new Error(`byte ${offset + unwritten} is read before it was written`);
    target.set(this.bytes.subarray(offset, offset + target.length));
  }

  /** @param onWritten called when they are, as a store's file does */
  async write(chunks: readonly Uint8Array[], offset: number, onWritten?: () => void): Promise<void> {
    await this.#hooks.step?.('write', offset);
    let at = offset;
    for (const chunk of chunks) {
      this.bytes.set(chunk, at);
      this.#written.fill(1, at, at + chunk.length);
      at += chunk.length;
    }
    onWritten?.();
  }

  lend<T>(use: (descriptor: number) => T): T {
    if (this.#hooks.descriptor === undefined) throw new Error('a file in memory has no descriptor');
    return use(this.#hooks.descriptor());
  }

  borrow(): never {
    throw new Error('a file in memory is not written by others');
  }

  /** What was punched out is as if it had never been written: reading it is an error. */
  punch({ start, end }: ByteRange): boolean {
    this.#written.fill(0, start, end);
    this.bytes.fill(0, start, end);
    return true;
  }

  /** A cache in memory opens it again. */
  async close(): Promise<void> {}
}

/** Takes any write and reads as zeros: for objects too large to hold, where only the requests matter. */
export class HoleFile implements LocalFile {
  async read(target: Uint8Array): Promise<void> {
    target.fill(0);
  }

  async write(_chunks: readonly Uint8Array[], _offset: number, onWritten?: () => void): Promise<void> {
    onWritten?.();
  }

  lend(): never {
    throw new Error('a hole has no descriptor');
  }

  borrow(): never {
    throw new Error('a hole has no descriptor');
  }

  punch(): boolean {
    return true;
  }

  async close(): Promise<void> {}
}
