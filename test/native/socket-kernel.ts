/**
 * The kernel's side of a FUSE connection over a socket, for tests of the addon without a mount: one request at a time,
 * written by hand as linux/fuse.h lays it out. The C++ harness (native/test) is the one that hurries.
 */
import { closeSync, readSync, writeSync } from 'node:fs';

const IN_HEADER_BYTES = 40;
const OUT_HEADER_BYTES = 16;
export const OPCODE = { lookup: 1, open: 14, read: 15, release: 18, init: 26, forget: 2 } as const;

export interface SocketReply {
  readonly unique: number;
  /** 0 or a positive errno. */
  readonly error: number;
  readonly body: Buffer;
}

export class SocketKernel {
  readonly #socket: number;
  #uniqueLast = 0;

  constructor(socket: number) {
    this.#socket = socket;
  }

  /** Returns the number that the reply will carry. */
  send(opcode: number, node: number, body: Uint8Array = new Uint8Array(0)): number {
    this.#uniqueLast += 2;
    const message = Buffer.alloc(IN_HEADER_BYTES + body.length);
    message.writeUInt32LE(message.length, 0);
    message.writeUInt32LE(opcode, 4);
    message.writeBigUInt64LE(BigInt(this.#uniqueLast), 8);
    message.writeBigUInt64LE(BigInt(node), 16);
    message.writeUInt32LE(process.pid, 32);
    message.set(body, IN_HEADER_BYTES);
    writeSync(this.#socket, message);
    return this.#uniqueLast;
  }

  /** Waits for the next reply; blocks this thread. */
  receive(): SocketReply {
    const header = this.#exactly(OUT_HEADER_BYTES);
    const body = this.#exactly(header.readUInt32LE(0) - OUT_HEADER_BYTES);
    return { unique: Number(header.readBigUInt64LE(8)), error: -header.readInt32LE(4), body };
  }

  /** Answers to INIT as Linux 6.12 would ask: protocol 7.41, everything on offer. */
  init(): SocketReply {
    const body = Buffer.alloc(64);
    body.writeUInt32LE(7, 0);
    body.writeUInt32LE(41, 4);
    body.writeUInt32LE(1 << 20, 8);
    body.writeUInt32LE(0xffff_ffff, 12);
    body.writeUInt32LE(0xffff_ffff, 16);
    this.send(OPCODE.init, 0, body);
    return this.receive();
  }

  read(node: number, handle: number, offset: number, length: number): number {
    const body = Buffer.alloc(40);
    body.writeBigUInt64LE(BigInt(handle), 0);
    body.writeBigUInt64LE(BigInt(offset), 8);
    body.writeUInt32LE(length, 16);
    return this.send(OPCODE.read, node, body);
  }

  close(): void {
    closeSync(this.#socket);
  }

  #exactly(bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes);
    for (let at = 0; at < bytes;) {
      const count = readSync(this.#socket, buffer, at, bytes - at, null);
      if (count === 0) throw new Error(`the session closed its side after ${at} of ${bytes} bytes`);
      at += count;
    }
    return buffer;
  }
}
