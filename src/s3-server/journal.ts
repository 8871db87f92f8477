/**
 * The append-only file that holds the server's whole state except the large bodies. storage.ts replays it at
 * start and appends every change.
 *
 * A line is `crc32 (8 hex digits), space, JSON, newline`. A last line that is cut off or fails its checksum is
 * what a crash in the middle of an append leaves: it is dropped. A bad line anywhere else is damage and refused.
 * Appending is synchronous (some microseconds into the page cache), so that a change is on file and in memory in
 * one step that nothing can interleave. It survives the death of the process, not a power cut: no fsync.
 */
import * as fs from 'node:fs';
import { crc32 } from 'node:zlib';
import type { JournalRecord } from './model.js';

export class JournalDamagedError extends Error {
  override readonly name = 'JournalDamagedError';
  constructor(path: string, line: number) {
    super(
      `${path} is damaged at line ${line}: it was not written by this server or was changed since; use another folder`,
    );
  }
}

export class Journal {
  readonly #path: string;
  #fd: number;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /** Opens or creates the journal and passes every record to `replay`, oldest first. */
  static open(path: string, replay: (record: JournalRecord) => void): Journal {
    const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_APPEND, 0o600);
    try {
      const validBytes = replayLines(path, fs.readFileSync(fd), replay);
      fs.ftruncateSync(fd, validBytes);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
    return new Journal(path, fd);
  }

  /** All records are on file when this returns; when it throws, none counts (a torn line is taken back). */
  append(records: readonly JournalRecord[]): void {
    const bytes = Buffer.from(records.map(journalLine).join(''));
    const before = fs.fstatSync(this.#fd).size;
    try {
      writeFully(this.#fd, bytes);
    } catch (error) {
      fs.ftruncateSync(this.#fd, before);
      throw error;
    }
  }

  /** Replaces the whole content, by rename: a crash leaves the old journal or the new one. */
  rewrite(records: Iterable<JournalRecord>): void {
    const nextPath = `${this.#path}.next`;
    const fd = fs.openSync(nextPath, 'w', 0o600);
    try {
      for (const record of records) writeFully(fd, Buffer.from(journalLine(record)));
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(nextPath, this.#path);
    fs.closeSync(this.#fd);
    this.#fd = fs.openSync(this.#path, fs.constants.O_RDWR | fs.constants.O_APPEND);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

function journalLine(record: JournalRecord): string {
  const json = JSON.stringify(record);
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`;
}

/** Returns the length of the part that is valid. Works on bytes: a journal may exceed the longest string. */
function replayLines(path: string, content: Buffer, replay: (record: JournalRecord) => void): number {
  let start = 0;
  for (let line = 1; start < content.length; line++) {
    const end = content.indexOf(0x0a, start);
    const record = end < 0 ? undefined : parseLine(content.toString('utf8', start, end));
    if (record === undefined) {
      if (end >= 0 && end + 1 < content.length) throw new JournalDamagedError(path, line);
      return start;
    }
    replay(record);
    start = end + 1;
  }
  return start;
}

function parseLine(line: string): JournalRecord | undefined {
  const json = line.slice(9);
  if (line.slice(0, 8) !== crc32(json).toString(16).padStart(8, '0')) return undefined;
  return JSON.parse(json) as JournalRecord;
}

function writeFully(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += fs.writeSync(fd, bytes, done);
}
