/**
 * The addon without a kernel: what a session asks of it is noted, events are what the test hands over, in the buffer
 * that is shared. As the real one it refuses a second reply to a slot, and takes bodies from the start of `replies`.
 */
import { closeSync, openSync } from 'node:fs';
import { MODE_CACHED, MODE_GONE, NATIVE_STATS } from '../../src/native.js';
import type { NativeAddon, NativeOpenMode, NativeSession, NativeSessionOptions } from '../../src/native.js';
import { requestRecord } from './packed.js';

export type ToldReply =
  | { readonly errno: number; readonly body: Buffer }
  | { readonly open: number; readonly file: number; readonly flags: number };

export class FakeSession implements NativeSession {
  readonly options: NativeSessionOptions;
  /** Handed out and not answered yet. */
  readonly waiting = new Set<number>();
  readonly replies = new Map<number, ToldReply>();
  readonly invalidated: (readonly [parent: number, name: string])[] = [];
  readonly failed: (readonly [read: number, errno: number])[] = [];
  readonly figures = new Map<(typeof NATIVE_STATS)[number], number>();
  /** What the next replies answer instead of reaching the kernel. */
  isKernelGone = false;
  openMode: NativeOpenMode = MODE_CACHED;
  isStopped = false;
  #slotLast = 0;

  constructor(options: NativeSessionOptions) {
    this.options = options;
  }

  /** Hands over events, as one batch. */
  emit(...records: readonly Buffer[]): void {
    const bytes = Buffer.concat(records);
    this.options.events.set(bytes);
    this.options.onEvents(bytes.length);
    // The buffer is used again at once.
    this.options.events.fill(0xee, 0, bytes.length);
  }

  /** Hands over a request; returns its slot. */
  request(opcode: number, node: number, body: Uint8Array = new Uint8Array()): number {
    const slot = ++this.#slotLast;
    this.waiting.add(slot);
    this.emit(requestRecord(slot, opcode, node, body));
    return slot;
  }

  /** A reply that is there: nothing may still wait when the event loop had its turn. */
  async answered(slot: number): Promise<ToldReply> {
    for (let turns = 0; turns < 100 && this.waiting.has(slot); turns++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const reply = this.replies.get(slot);
    if (!reply) throw new Error(`request ${slot} was not answered`);
    return reply;
  }

  reply(slot: number, errno: number, bytes: number): boolean {
    this.#answer(slot, { errno, body: Buffer.from(this.options.replies.subarray(0, bytes)) });
    return !this.isKernelGone;
  }

  replyOpen(slot: number, handle: number, file: number, flags: number): NativeOpenMode {
    this.#answer(slot, { open: handle, file, flags });
    return this.isKernelGone ? MODE_GONE : this.openMode;
  }

  failRead(read: number, errno: number): boolean {
    this.failed.push([read, errno]);
    return !this.isKernelGone;
  }

  invalidateEntry(parent: number, name: Uint8Array): void {
    this.invalidated.push([parent, Buffer.from(name).toString()]);
  }

  invalidateInode(): void {}

  stats(target: Float64Array): void {
    for (const [index, name] of NATIVE_STATS.entries()) target[index] = this.figures.get(name) ?? 0;
  }

  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    closeSync(this.options.descriptor);
  }

  #answer(slot: number, reply: ToldReply): void {
    if (!this.waiting.delete(slot)) throw new Error(`slot ${slot} holds no request`);
    this.replies.set(slot, reply);
  }
}

function notOfSessions(): never {
  throw new Error('a session neither maps files nor computes checksums');
}

/** What the fake mounts is noted; its descriptors are real ones, of /dev/null. */
export class FakeAddon implements NativeAddon {
  readonly addonInterface = 3;
  readonly calls: string[] = [];
  /** Thrown by `mount` or `startSession`. */
  mountError: Error | undefined;
  startError: Error | undefined;
  /** What fusermount3 would have sent. */
  descriptorSent = true;
  session: FakeSession | undefined;
  #fileLast = 0;

  async mount(source: string, mountpoint: string, options: string): Promise<number> {
    this.calls.push(`mount ${source} ${mountpoint} ${options}`);
    if (this.mountError) throw this.mountError;
    return openSync('/dev/null', 'r');
  }

  socketPair(): [ours: number, theirs: number] {
    return [openSync('/dev/null', 'r'), openSync('/dev/null', 'r')];
  }

  receiveDescriptor(): number {
    return this.descriptorSent ? openSync('/dev/null', 'r') : -1;
  }

  openFile(availability: Int32Array): number {
    this.calls.push(`open of ${availability.byteLength} bytes`);
    return ++this.#fileLast;
  }

  attachFile(file: number, descriptor: number): void {
    this.calls.push(`attach ${file} ${descriptor}`);
  }

  filePublished(file: number): void {
    this.calls.push(`published ${file}`);
  }

  revokeFile(file: number): void {
    this.calls.push(`revoke ${file}`);
  }

  closeFile(file: number): void {
    this.calls.push(`close ${file}`);
  }

  lockFile = notOfSessions;
  mapFile = notOfSessions;
  unmapFile = notOfSessions;
  punchHole = notOfSessions;
  checksumRange = notOfSessions;
  crc32c = notOfSessions;
  crc64nvme = notOfSessions;

  startSession(options: NativeSessionOptions): FakeSession {
    if (this.startError) throw this.startError;
    this.session = new FakeSession(options);
    return this.session;
  }
}
