/**
 * A cursor over the beginning of an object that arrives in pieces, one behind the other: what gguf.ts walks with. Of a
 * piece it keeps only what the cursor has not passed. Numbers are little-endian.
 */
import { readUint64, viewOf } from './parser.js';

export class ByteFeed {
  #bytes: Uint8Array;
  #view: DataView;
  /** Into `#bytes`, or beyond it: what was skipped need not have come. */
  #at = 0;
  #fedBytes: number;

  constructor(head: Uint8Array) {
    this.#bytes = head;
    this.#view = viewOf(head);
    this.#fedBytes = head.length;
  }

  /** How much of the object was fed. */
  get fedBytes(): number {
    return this.#fedBytes;
  }

  /** Where the cursor is in the object. */
  get position(): number {
    return this.#fedBytes - this.#bytes.length + this.#at;
  }

  /** The bytes that follow on those fed before. */
  push(bytes: Uint8Array): void {
    const passed = Math.min(this.#at, this.#bytes.length);
    this.#bytes =
      passed === this.#bytes.length ? bytes : Buffer.concat([this.#bytes.subarray(passed), bytes]);
    this.#view = viewOf(this.#bytes);
    this.#at -= passed;
    this.#fedBytes += bytes.length;
  }

  /** True when `count` bytes can be taken. */
  has(count: number): boolean {
    return this.#at + count <= this.#bytes.length;
  }

  skip(count: number): void {
    this.#at += count;
  }

  // To be called only for what `has` says is there.

  uint32(): number {
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  uint64(): number {
    const value = readUint64(this.#view, this.#at);
    this.#at += 8;
    return value;
  }

  text(bytes: number): string {
    const start = this.#at;
    this.#at += bytes;
    return Buffer.from(this.#bytes.subarray(start, this.#at)).toString('latin1');
  }
}
