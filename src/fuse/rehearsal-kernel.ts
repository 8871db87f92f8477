/**
 * Plays the kernel and the addon for one file: the records of a lookup, an open and a read that waits, and the replies to
 * them, so that native-session.ts can run what the first reader of a mount will run. Promise: what was opened is closed
 * and what was looked up is forgotten, whatever becomes of the read.
 */
import type { Filesystem } from '../filesystem/filesystem.js';
import { ROOT_NODE } from '../filesystem/filesystem.js';
import { MODE_CACHED } from '../native.js';
import type { NativeFileId, NativeOpenMode, NativeSession } from '../native.js';
import { Deferred } from '../runtime/deferred.js';
import { OPCODE } from './fuse-protocol.js';
import { EVENT_KIND, readUint64 } from './native-events.js';

interface Opened {
  readonly handle: number;
  /** Undefined when reads of it go through JavaScript. */
  readonly file: NativeFileId | undefined;
}

/** One read of one page, which programs begin with. */
const READ_BYTES = 4096;
const REPLY_BYTES = 4096;
const OPEN_IN_BYTES = 8;
const READ_ID = 1;

export class RehearsalKernel implements Pick<NativeSession, 'reply' | 'replyOpen'> {
  readonly replies = Buffer.alloc(REPLY_BYTES);
  readonly #tell: (records: Buffer) => void;
  #answered = new Deferred<void>();
  #opened: Opened | undefined;

  /** @param tell takes records as the addon's `onEvents` would */
  constructor(tell: (records: Buffer) => void) {
    this.#tell = tell;
  }

  reply(_slot: number, error: number): boolean {
    if (error === 0) this.#answered.resolve();
    else this.#answered.reject(new Error(`errno ${error}`));
    return true;
  }

  replyOpen(_slot: number, handle: number, file: NativeFileId): NativeOpenMode {
    this.#opened = { handle, file };
    this.#answered.resolve();
    return MODE_CACHED;
  }

  /** Looks up, opens, reads and closes the file `name` of the root. Rejects when any of it fails. */
  async readFile(name: string, filesystem: Pick<Filesystem, 'read'>): Promise<void> {
    await this.#ask(OPCODE.lookup, ROOT_NODE, Buffer.from(`${name}\0`));
    // `fuse_entry_out` begins with the node.
    const node = readUint64(this.replies, 0);
    try {
      await this.#ask(OPCODE.open, node, Buffer.alloc(OPEN_IN_BYTES));
      // `fuse_open_out` begins with the handle.
      const opened = this.#opened ?? { handle: readUint64(this.replies, 0), file: undefined };
      try {
        await this.#read(opened, filesystem);
      } finally {
        this.#tell(releasedRecord(opened.handle));
      }
    } finally {
      this.#tell(forgetRecord(node));
    }
  }

  async #read({ handle, file }: Opened, filesystem: Pick<Filesystem, 'read'>): Promise<void> {
    if (file !== undefined) this.#tell(waitingRecord(file, handle));
    // Waits for the same bytes.
    await filesystem.read({ handle, offset: 0, target: Buffer.alloc(READ_BYTES) });
    if (file !== undefined) this.#tell(endedRecord(file));
  }

  #ask(opcode: number, node: number, body: Buffer): Promise<void> {
    this.#answered = new Deferred();
    this.#tell(requestRecord(opcode, node, body));
    return this.#answered.promise;
  }
}

/** Of `bytes` (a multiple of 8): its length, its kind, and zeros. */
function record(kind: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUInt32LE(bytes, 0);
  buffer.writeUInt32LE(kind, 4);
  return buffer;
}

function requestRecord(opcode: number, node: number, body: Buffer): Buffer {
  const buffer = record(EVENT_KIND.request, 40 + Math.ceil(body.length / 8) * 8);
  buffer.writeUInt32LE(opcode, 12);
  buffer.writeBigUInt64LE(BigInt(node), 16);
  buffer.writeUInt32LE(body.length, 36);
  body.copy(buffer, 40);
  return buffer;
}

function waitingRecord(file: NativeFileId, handle: number): Buffer {
  const buffer = record(EVENT_KIND.readWaiting, 48);
  buffer.writeUInt32LE(file, 8);
  buffer.writeUInt32LE(READ_BYTES, 12);
  buffer.writeBigUInt64LE(BigInt(READ_ID), 16);
  buffer.writeBigUInt64LE(BigInt(handle), 32);
  return buffer;
}

function endedRecord(file: NativeFileId): Buffer {
  const buffer = record(EVENT_KIND.readEnded, 32);
  buffer.writeUInt32LE(file, 8);
  buffer.writeBigUInt64LE(BigInt(READ_ID), 16);
  return buffer;
}

function releasedRecord(handle: number): Buffer {
  const buffer = record(EVENT_KIND.released, 16);
  buffer.writeBigUInt64LE(BigInt(handle), 8);
  return buffer;
}

function forgetRecord(node: number): Buffer {
  const buffer = record(EVENT_KIND.forget, 32);
  buffer.writeUInt32LE(1, 8);
  buffer.writeBigUInt64LE(BigInt(node), 16);
  buffer.writeBigUInt64LE(1n, 24);
  return buffer;
}
