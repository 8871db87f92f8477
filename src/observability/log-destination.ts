/**
 * Where log lines go: a file that is rotated by size, or standard error. Every line is written before `write`
 * returns, so that the last ones before a crash are there (which is why no stream package does this: they buffer).
 * A log that cannot be written never stops the mount: its lines are dropped, counted, and the count is logged.
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { asError } from '../runtime/assert.js';
import type { Clock } from '../runtime/clock.js';
import { makeFolder } from '../runtime/make-folder.js';

export interface LogDestination {
  /** One line with its line break. Never throws. */
  write(line: string): void;
  /** Lines after it are dropped. */
  close(): void;
}

/** At `info` some kilobytes a day; with --trace-reads 50 MiB hold about 200,000 reads. */
export const LOG_LIMITS = {
  fileBytesMax: 10 * 1024 * 1024,
  /** The current file and the older ones, `.1` being the youngest. */
  filesMax: 5,
} as const;

export interface LogLimits {
  readonly fileBytesMax: number;
  readonly filesMax: number;
}

/** The log file cannot be opened; the message says why and what to do. */
export class LogFileError extends Error {
  override readonly name = 'LogFileError';
}

/** Opens `path` for appending, its folder created for the user alone. @throws LogFileError */
export function openLogFile(path: string, clock: Clock, limits: LogLimits = LOG_LIMITS): LogDestination {
  return new LogFile(path, openLogDescriptor(path), clock, limits);
}

/** The same as a bare descriptor, for what a child process writes. @throws LogFileError */
export function openLogDescriptor(path: string): number {
  try {
    makeFolder(dirname(path), 0o700);
    return openSync(path, 'a', 0o600);
  } catch (error) {
    const reason = asError(error).message;
    throw new LogFileError(
      `the log file ${path} cannot be written (${reason}); choose another with --log-file`,
      { cause: error },
    );
  }
}

/** Standard error as it is: for a foreground mount whose output somebody collects. */
export function standardError(): LogDestination {
  return {
    write: (line) => {
      tryWrite(2, line);
    },
    close: () => {},
  };
}

class LogFile implements LogDestination {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #limits: LogLimits;
  #fd: number | undefined;
  #bytes: number;
  #linesDropped = 0;
  #closed = false;

  constructor(path: string, fd: number, clock: Clock, limits: LogLimits) {
    this.#path = path;
    this.#fd = fd;
    this.#bytes = fstatSync(fd).size;
    this.#clock = clock;
    this.#limits = limits;
  }

  write(line: string): void {
    if (this.#closed) return;
    const bytes = Buffer.byteLength(line);
    if (this.#bytes > 0 && this.#bytes + bytes > this.#limits.fileBytesMax) this.#rotate();
    if (this.#linesDropped > 0 && this.#append(this.#droppedLine())) this.#linesDropped = 0;
    if (!this.#append(line)) this.#linesDropped += 1;
  }

  close(): void {
    this.#closed = true;
    this.#closeFile();
  }

  #closeFile(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #rotate(): void {
    this.#closeFile();
    for (let age = this.#limits.filesMax - 1; age > 0; age--) {
      tryRename(age === 1 ? this.#path : `${this.#path}.${age - 1}`, `${this.#path}.${age}`);
    }
  }

  #append(line: string): boolean {
    const fd = (this.#fd ??= this.#reopen());
    if (fd === undefined) return false;
    const written = tryWrite(fd, line);
    this.#bytes += written;
    return written === Buffer.byteLength(line);
  }

  /** A file that cannot be opened after a rotation is tried again with the next line. */
  #reopen(): number | undefined {
    try {
      const fd = openLogDescriptor(this.#path);
      this.#bytes = fstatSync(fd).size;
      return fd;
    } catch {
      return undefined;
    }
  }

  #droppedLine(): string {
    const lines = this.#linesDropped;
    return `${JSON.stringify({ level: 40, time: this.#clock.wallTimeMs(), msg: 'log lines dropped', lines })}\n`;
  }
}

/** Bytes written; fewer than there are when the disk is full, the reader is gone, or it does not keep up. */
function tryWrite(fd: number, line: string): number {
  const bytes = Buffer.from(line);
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(fd, bytes, written);
  } catch {
    // Reported by the count; there is no other place to report it.
  }
  return written;
}

/** An age that does not exist yet is no error, and one that cannot be moved only makes the rotation shorter. */
function tryRename(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch {
    // The file stays under its name and grows on.
  }
}
