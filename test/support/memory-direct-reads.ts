/**
 * A session that answers reads outside JavaScript, in memory: it keeps the promises of direct-reads.ts from the native
 * side, and notes in `violations` what the store breaks of its own. What it has to tell waits until the test lets the
 * store hear it (`tell`), as it does in the native side's queue.
 */
import type { Availability } from '../../src/runtime/availability.js';
import type {
  DirectFile,
  DirectRead,
  DirectReadEnd,
  DirectReadListener,
  DirectReads,
} from '../../src/file/direct-reads.js';

/** Told as the time that each read waited. */
export const WAITED_MS = 1234;

export class MemoryDirectReads implements DirectReads {
  readonly violations: string[] = [];
  readonly files: MemoryDirectFile[] = [];
  /** Thrown by every `attach` while it is set. */
  attachError: Error | undefined;
  /** Tell of each read that begins. */
  tracesReads = false;
  #readIdLast = 0;

  open(availability: Availability, listener: DirectReadListener): MemoryDirectFile {
    const file = new MemoryDirectFile(this, this.files.length + 1, availability, listener);
    this.files.push(file);
    return file;
  }

  /** The file opened last. */
  get file(): MemoryDirectFile {
    const file = this.files.at(-1);
    if (file === undefined) throw new Error('no file was opened');
    return file;
  }

  nextReadId(): number {
    this.#readIdLast += 1;
    return this.#readIdLast;
  }
}

export class MemoryDirectFile implements DirectFile {
  readonly id: number;
  descriptor: number | undefined;
  isOpen = true;
  isRevoked = false;
  /** Reads that wait. */
  readonly parked = new Map<number, DirectRead>();
  /** How each read ended, and what it was failed with. */
  readonly ends = new Map<
    number,
    { readonly result: DirectReadEnd['result']; readonly error?: Error | undefined }
  >();
  readonly #session: MemoryDirectReads;
  readonly #availability: Availability;
  readonly #listener: DirectReadListener;
  readonly #hadBytes: boolean;
  readonly #events: (() => void)[] = [];

  constructor(
    session: MemoryDirectReads,
    id: number,
    availability: Availability,
    listener: DirectReadListener,
  ) {
    this.#session = session;
    this.id = id;
    this.#availability = availability;
    this.#listener = listener;
    this.#hadBytes = this.#hasBytes();
  }

  // What the store calls.

  attach(descriptor: number): void {
    this.#expect(this.isOpen, 'attach after close');
    this.#expect(this.descriptor === undefined, 'attached twice');
    this.#expect(this.#hadBytes || !this.#hasBytes(), 'bytes were published before the file was attached');
    if (this.#session.attachError) throw this.#session.attachError;
    this.descriptor = descriptor;
  }

  published(): void {
    this.#expect(this.isOpen, 'published after close');
    this.#expect(this.descriptor !== undefined, 'published before attach');
    for (const read of this.parked.values()) if (this.#availability.has(read)) this.#end(read.id, 'ok');
  }

  fail(read: DirectRead, error: Error): void {
    this.#expect(this.isOpen, 'fail after close');
    if (this.parked.has(read.id)) this.#end(read.id, 'failed', error);
  }

  revoke(): void {
    this.#expect(this.isOpen, 'revoke after close');
    this.isRevoked = true;
    for (const { id } of this.parked.values()) this.#end(id, 'failed');
  }

  close(): void {
    this.#expect(this.isOpen, 'closed twice');
    for (const { id } of this.parked.values()) this.#end(id, 'failed');
    this.isOpen = false;
    this.#events.length = 0;
  }

  // What the test does as the kernel, or as time.

  /** A read comes: answered when its bytes are there, else parked. Returns its id. */
  read(start: number, end: number, ageMs = 0): number {
    const read = { id: this.#session.nextReadId(), handle: 1, start, end, ageMs };
    const { tracesReads } = this.#session;
    if (tracesReads) this.#events.push(() => this.#listener.entered(read));
    if (this.#availability.has(read)) {
      this.#expect(this.descriptor !== undefined, 'bytes are there and no file to read them from');
      this.ends.set(read.id, { result: 'ok' });
      if (tracesReads) this.#events.push(() => this.#listener.ended(read.id, { result: 'ok', waitedMs: 0 }));
      if (!this.#availability.complete) this.#events.push(() => this.#listener.observed(start, end));
    } else {
      this.parked.set(read.id, read);
      this.#events.push(() => this.#listener.waiting(read));
    }
    return read.id;
  }

  /** A read that waits ends for a reason of the native side's own. */
  end(id: number, result: 'deadline' | 'interrupted' | 'failed'): void {
    if (this.parked.has(id)) this.#end(id, result);
  }

  /** Bytes of a read that waits had come, and were cleared before it took them. */
  waitAgain(id: number): void {
    const read = this.parked.get(id);
    if (read !== undefined) this.#events.push(() => this.#listener.waiting(read));
  }

  /** Lets the store hear what happened, `count` events at most. */
  tell(count = Infinity): void {
    for (let told = 0; told < count; told += 1) {
      const event = this.#events.shift();
      if (event === undefined) return;
      event();
    }
  }

  #end(id: number, result: DirectReadEnd['result'], error?: Error): void {
    this.parked.delete(id);
    this.ends.set(id, { result, error });
    this.#events.push(() => this.#listener.ended(id, { result, waitedMs: WAITED_MS }));
  }

  #hasBytes(): boolean {
    return this.#availability.contiguousBytes + this.#availability.arrivedBytes > 0;
  }

  #expect(condition: boolean, violation: string): void {
    if (!condition) this.#session.violations.push(violation);
  }
}
