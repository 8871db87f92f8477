/**
 * A part sink with a local file, for tests of the transport that writes into one by itself: the bytes are read back from
 * the file, as far as they were reported, and must have been published by then.
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LocalPlace, ObjectChecksums, PartSink } from '../../src/object-store/object-store.js';
import { Availability } from '../../src/runtime/availability.js';
import { BlockChecksums } from '../../src/runtime/block-checksums.js';
import { sharedMemoryOf } from '../../src/runtime/shared-memory.js';

export interface LendingSinkHooks {
  /** Called when bytes were reported, with those received so far. */
  readonly onReport?: (received: number) => void;
  /** Lends a descriptor that cannot be written to. */
  readonly readOnly?: boolean;
  readonly failed?: (error: Error) => void;
}

export class LendingSink implements PartSink {
  readonly availability: Availability;
  readonly checksums: BlockChecksums;
  /** Times that the file was lent, and given back. */
  lent = 0;
  released = 0;
  /** What came of the server's checksums with the bytes. */
  readonly told: ObjectChecksums[] = [];
  #end: number;
  /** Bytes that were handed over instead: by the SDK's path. */
  handedOver = 0;
  readonly #start: number;
  readonly #folder: string;
  readonly #descriptor: number;
  readonly #hooks: LendingSinkHooks;

  /** @param size of the object @param start of the part */
  constructor(size: number, start: number, hooks: LendingSinkHooks = {}) {
    this.availability = Availability.create(size);
    this.checksums = BlockChecksums.create(size);
    this.#start = start;
    this.#end = start;
    this.#hooks = hooks;
    this.#folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    const path = join(this.#folder, 'part');
    const writable = openSync(path, 'w+');
    ftruncateSync(writable, size);
    if (hooks.readOnly === true) closeSync(writable);
    this.#descriptor = hooks.readOnly === true ? openSync(path, 'r') : writable;
  }

  /** The SDK's path takes over what the socket transport leaves to it. */
  write(chunk: Uint8Array): void {
    writeSync(this.#descriptor, chunk, 0, chunk.length, this.#end);
    this.#end += chunk.length;
    this.handedOver += chunk.length;
  }

  readonly lend = (): LocalPlace => {
    this.lent += 1;
    return {
      descriptor: this.#descriptor,
      memory: sharedMemoryOf(this),
      nativeFile: undefined,
      told: (checksums) => {
        this.told.push(checksums);
      },
      advanced: (end) => {
        if (end < this.#end) throw new Error(`the part moved back from ${this.#end} to ${end}`);
        this.#end = end;
        this.#hooks.onReport?.(this.received);
      },
      failed: (error) => {
        if (this.#hooks.failed === undefined) throw error;
        this.#hooks.failed(error);
      },
      release: () => {
        this.released += 1;
      },
    };
  };

  get received(): number {
    return this.#end - this.#start;
  }

  /** What was reported. */
  get bytes(): Buffer {
    const bytes = Buffer.alloc(this.received);
    readSync(this.#descriptor, bytes, 0, bytes.length, this.#start);
    if (this.received > this.handedOver && !this.availability.has({ start: this.#start, end: this.#end })) {
      const { pageBytes } = this.availability;
      const whole = { start: this.#start, end: Math.floor(this.#end / pageBytes) * pageBytes };
      // The page that the end cuts is published when it is whole, or as the end of the gap-free prefix.
      if (whole.end > whole.start && !this.availability.has(whole))
        throw new Error('bytes were not published');
    }
    return bytes;
  }

  dispose(): void {
    closeSync(this.#descriptor);
    rmSync(this.#folder, { recursive: true });
  }
}
