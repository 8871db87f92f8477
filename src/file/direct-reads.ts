/**
 * Reads that are answered outside JavaScript: what a TempFileStore tells a session that serves its file natively, and
 * what it hears back. Declared here by the file layer; fuse/native-files.ts implements `DirectReads`, and
 * store-direct-reads.ts is the listener of each store.
 *
 * A direct read looks at the shared availability itself. Bytes that are there never reach this layer; a read of bytes
 * that are not there waits on the native side, with its own deadline, and this layer is asked to fetch them. Of a read
 * are heard, in order: `entered` (only while reads are traced), `waiting` (only when bytes were missing; again when they came
 * and were cleared before the read took them), `ended` (exactly once, when one of the others was).
 */
import type { Availability } from '../runtime/availability.js';

export interface DirectReads {
  /** Registers a store's local file, until `close`. */
  open(availability: Availability, listener: DirectReadListener): DirectFile;
}

/** One store's file as the native side knows it. After `close` nothing may be called, and nothing is heard. */
export interface DirectFile {
  readonly id: number;
  /** The file exists now. Called before anything is published; the descriptor is duplicated. */
  attach(descriptor: number): void;
  /** Bytes were published just now: reads that wait look again. */
  published(): void;
  /** Ends a read that waits; does nothing when it ended already. */
  fail(read: DirectRead, error: Error): void;
  /** The file is not the object: every read of it fails from now on, whether its bytes are there or not. */
  revoke(): void;
  close(): void;
}

export interface DirectReadListener {
  /** A read begins. Heard only while reads are traced. */
  entered(read: DirectRead): void;
  /** A read waits for bytes that were not there. It may have ended by now; `ended` follows then. */
  waiting(read: DirectRead): void;
  ended(id: number, end: DirectReadEnd): void;
  /** `[start, end)` was read while the file was incomplete: for fetching ahead. Some may be left out under load. */
  observed(start: number, end: number): void;
}

export interface DirectRead {
  /** Trace id, counted up from 1 over all direct reads of the session. */
  readonly id: number;
  /** The open file handle it came through. */
  readonly handle: number;
  readonly start: number;
  readonly end: number;
  /** How long ago it came. */
  readonly ageMs: number;
}

export interface DirectReadEnd {
  /** `deadline`: it waited too long; `failed`: by `fail`, a close, or the local disk. */
  readonly result: 'ok' | 'deadline' | 'interrupted' | 'failed';
  readonly waitedMs: number;
}
