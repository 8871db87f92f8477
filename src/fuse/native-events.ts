/**
 * The records that the addon hands over (src/native.ts, native/events.h), decoded: pure, little endian. One call of a
 * visitor for each record, in order. What belongs to a record is valid during that call only: the buffer is reused.
 *
 * 64-bit numbers become doubles. Those that Sluice hands out itself are safe integers; one that is not comes from
 * nowhere good, is not exact, and is refused by whoever looks it up.
 */
import type { DirectRead, DirectReadEnd } from '../file/direct-reads.js';

/** Of a record, its second word. */
export const EVENT_KIND = {
  request: 1,
  forget: 2,
  readEntered: 3,
  readWaiting: 4,
  readEnded: 5,
  readObserved: 6,
  released: 7,
  negotiated: 8,
  problem: 9,
  ended: 10,
} as const;

const READ_RESULTS = ['ok', 'deadline', 'interrupted', 'failed'] as const;

export interface NativeRequest {
  /** Names the request in the reply. */
  readonly slot: number;
  readonly opcode: number;
  readonly node: number;
  /** The kernel's bytes behind its header, complete and with names that end. */
  readonly body: Buffer;
}

export interface Negotiated {
  readonly major: number;
  readonly minor: number;
  /** Bits 0–31 and 32–63 of the features that both sides have. */
  readonly flags: number;
  readonly flags2: number;
  readonly readBytesMax: number;
  readonly threads: number;
  readonly cloned: boolean;
  readonly passthrough: boolean;
}

export interface NativeEvents {
  request(request: NativeRequest): void;
  forgotten(node: number, count: number): void;
  readEntered(file: number, read: DirectRead): void;
  readWaiting(file: number, read: DirectRead): void;
  readEnded(file: number, read: number, end: DirectReadEnd): void;
  readObserved(file: number, start: number, end: number): void;
  released(handle: number): void;
  negotiated(negotiated: Negotiated): void;
  problem(code: number, errno: number, detail: number): void;
  ended(errno: number): void;
}

/**
 * Decodes the first `bytes` of `buffer`. A record that cannot be decoded, or whose visitor throws, is told to `onError`;
 * those behind it are decoded all the same: somebody waits for each. @throws RangeError when there is no telling where
 * the next record begins
 */
export function decodeEvents(
  buffer: Buffer,
  bytes: number,
  events: NativeEvents,
  onError: (error: unknown, kind: number) => void,
): void {
  for (let at = 0; at < bytes;) {
    const length = buffer.readUInt32LE(at);
    if (length < 8 || length % 8 !== 0 || at + length > bytes) {
      throw new RangeError(`a record of ${length} bytes at ${at} of ${bytes}`);
    }
    try {
      decodeRecord(buffer, at, events);
    } catch (error) {
      onError(error, buffer.readUInt32LE(at + 4));
    }
    at += length;
  }
}

function decodeRecord(buffer: Buffer, at: number, events: NativeEvents): void {
  const kind = buffer.readUInt32LE(at + 4);
  switch (kind) {
    case EVENT_KIND.request:
      return events.request(requestAt(buffer, at));
    case EVENT_KIND.forget: {
      const count = buffer.readUInt32LE(at + 8);
      for (let pair = at + 16; pair < at + 16 + count * 16; pair += 16) {
        events.forgotten(readUint64(buffer, pair), readUint64(buffer, pair + 8));
      }
      return;
    }
    case EVENT_KIND.readEntered:
      return events.readEntered(buffer.readUInt32LE(at + 8), readAt(buffer, at));
    case EVENT_KIND.readWaiting:
      return events.readWaiting(buffer.readUInt32LE(at + 8), readAt(buffer, at));
    case EVENT_KIND.readEnded: {
      const result = READ_RESULTS[buffer.readUInt32LE(at + 12)] ?? 'failed';
      const end = { result, waitedMs: buffer.readDoubleLE(at + 24) };
      return events.readEnded(buffer.readUInt32LE(at + 8), readUint64(buffer, at + 16), end);
    }
    case EVENT_KIND.readObserved: {
      const start = readUint64(buffer, at + 16);
      return events.readObserved(buffer.readUInt32LE(at + 8), start, start + buffer.readUInt32LE(at + 12));
    }
    case EVENT_KIND.released:
      return events.released(readUint64(buffer, at + 8));
    case EVENT_KIND.negotiated:
      return events.negotiated(negotiatedAt(buffer, at));
    case EVENT_KIND.problem:
      return events.problem(
        buffer.readUInt32LE(at + 8),
        buffer.readUInt32LE(at + 12),
        readUint64(buffer, at + 16),
      );
    case EVENT_KIND.ended:
      return events.ended(buffer.readUInt32LE(at + 8));
    default:
      throw new RangeError(`a record of the unknown kind ${kind} at ${at}`);
  }
}

function requestAt(buffer: Buffer, at: number): NativeRequest {
  const bodyBytes = buffer.readUInt32LE(at + 36);
  return {
    slot: buffer.readUInt32LE(at + 8),
    opcode: buffer.readUInt32LE(at + 12),
    node: readUint64(buffer, at + 16),
    body: buffer.subarray(at + 40, at + 40 + bodyBytes),
  };
}

function readAt(buffer: Buffer, at: number): DirectRead {
  const start = readUint64(buffer, at + 24);
  return {
    id: readUint64(buffer, at + 16),
    handle: readUint64(buffer, at + 32),
    start,
    end: start + buffer.readUInt32LE(at + 12),
    ageMs: buffer.readDoubleLE(at + 40),
  };
}

function negotiatedAt(buffer: Buffer, at: number): Negotiated {
  return {
    major: buffer.readUInt32LE(at + 8),
    minor: buffer.readUInt32LE(at + 12),
    flags: buffer.readUInt32LE(at + 16),
    flags2: buffer.readUInt32LE(at + 20),
    readBytesMax: buffer.readUInt32LE(at + 24),
    threads: buffer.readUInt32LE(at + 28),
    cloned: buffer.readUInt32LE(at + 32) !== 0,
    passthrough: buffer.readUInt32LE(at + 36) !== 0,
  };
}

export function readUint64(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 2 ** 32;
}
