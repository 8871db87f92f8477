/** A part sink that keeps what it was given, for tests of the object-store layer. */
import type { PartSink } from '../../src/object-store/object-store.js';

export class CollectingSink implements PartSink {
  readonly chunks: Uint8Array[] = [];
  readonly #onChunk: (received: number) => void | Promise<void>;
  #received = 0;

  /** `onChunk` is called with the bytes received so far; what it returns or throws is the sink's. */
  constructor(onChunk: (received: number) => void | Promise<void> = () => {}) {
    this.#onChunk = onChunk;
  }

  write(chunk: Uint8Array): void | Promise<void> {
    this.chunks.push(chunk);
    this.#received += chunk.length;
    return this.#onChunk(this.#received);
  }

  /** As of a sink with a file; nothing to do here. */
  dispose(): void {}

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}
