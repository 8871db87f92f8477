/**
 * What was fetched into a directory: per file the version, and the stamp that it had when it was in place and verified.
 * A file of lines that workers only append to, so that several may share it. Used by bring.ts and deletions.ts.
 *
 * Everything in it is a hint: a line that is lost, cut off or old means that its file is compared by checksum or fetched
 * again, since a stamp that does not match says nothing. Lines are only believed for the stamp that they name.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { Stamp } from './sync-folder.js';

/** One file that was fetched and verified. */
export interface KnownFile {
  /** See `versionIdentity`. */
  readonly version: string;
  readonly stamp: Stamp;
  /** Of all its bytes, where it was computed. */
  readonly crc32c?: number | undefined;
}

/** The file is written anew when at least so many of its lines, and more than half of them, are superseded. */
const DEAD_LINES_MIN = 1000;
const READ_BYTES = 1024 * 1024;

export class FileState {
  readonly #path: string;
  readonly #known = new Map<string, KnownFile>();
  #descriptor: number;
  #readTo = 0;
  #lines = 0;
  /** Files that were put in place since this was opened. */
  readonly #news = new Set<string>();
  #isOpen = false;

  /** Creates it when it is missing. @throws NodeJS.ErrnoException */
  constructor(path: string) {
    this.#path = path;
    this.#descriptor = openSync(path, 'a+', 0o600);
    this.refresh();
    // A line that a crash cut off must not swallow the next one.
    if (this.#readTo < fstatSync(this.#descriptor).size) writeSync(this.#descriptor, '\n');
    this.#isOpen = true;
  }

  /** A worker, maybe this one, has put the file in place since this was opened. */
  isNews(name: string): boolean {
    return this.#news.has(name);
  }

  get(name: string): KnownFile | undefined {
    return this.#known.get(name);
  }

  /** Takes in what other workers have written since. */
  refresh(): void {
    this.#follow();
    const chunk = Buffer.allocUnsafe(READ_BYTES);
    let rest = '';
    for (;;) {
      const bytes = readSync(this.#descriptor, chunk, 0, chunk.length, this.#readTo + rest.length);
      if (bytes === 0) return;
      // Lines are ASCII: one byte is one character.
      const text = rest + chunk.toString('latin1', 0, bytes);
      const end = text.lastIndexOf('\n') + 1;
      for (const line of text.slice(0, end).split('\n')) this.#take(line);
      this.#readTo += end;
      rest = text.slice(end);
    }
  }

  record(name: string, file: KnownFile): void {
    this.#known.set(name, file);
    this.#append(name, file);
  }

  /** The file is not there any more. */
  forget(name: string): void {
    if (this.#known.delete(name)) this.#append(name, undefined);
  }

  /**
   * Writes it anew without what is superseded, when that is worth it. One worker at a time; others may append meanwhile.
   * @param isTrue whether a file still has its stamp
   */
  compact(isTrue: (name: string, file: KnownFile) => boolean): void {
    this.refresh();
    if (this.#lines - this.#known.size < Math.max(DEAD_LINES_MIN, this.#lines / 2)) return;
    for (const [name, file] of this.#known) if (!isTrue(name, file)) this.#known.delete(name);
    const before = this.#descriptor;
    const fresh = `${this.#path}.new`;
    const lines = [...this.#known].map(([name, file]) => lineOf(name, file));
    writeFileSync(fresh, lines.join(''), { mode: 0o600 });
    renameSync(fresh, this.#path);
    this.#descriptor = openSync(this.#path, 'a+', 0o600);
    // Who appended before the rename did so to the old file; who does after it finds that out by itself.
    const late = readFrom(before, this.#readTo);
    closeSync(before);
    if (late !== '') writeSync(this.#descriptor, late);
    this.#readTo = 0;
    this.#lines = 0;
    this.refresh();
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #append(name: string, file: KnownFile | undefined): void {
    const line = lineOf(name, file);
    do {
      this.#follow();
      writeSync(this.#descriptor, line);
    } while (!this.#isCurrent());
  }

  /** Another worker may have written the file anew. */
  #follow(): void {
    if (this.#isCurrent()) return;
    closeSync(this.#descriptor);
    this.#descriptor = openSync(this.#path, 'a+', 0o600);
    this.#readTo = 0;
    this.#lines = 0;
  }

  #isCurrent(): boolean {
    const there = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    return there === undefined || there.ino === fstatSync(this.#descriptor, { bigint: true }).ino;
  }

  #take(line: string): void {
    if (line === '') return;
    this.#lines += 1;
    const entry = parseLine(line);
    if (entry === undefined) return;
    const [name, file] = entry;
    if (file === undefined) this.#known.delete(name);
    else {
      // Lines that are read again, since the file was written anew, are no news.
      if (this.#isOpen && this.#known.get(name)?.stamp !== file.stamp) this.#news.add(name);
      this.#known.set(name, file);
    }
  }
}

/** `[name, version, stamp, crc32c]` or `[name]`, in ASCII. */
function lineOf(name: string, file: KnownFile | undefined): string {
  const fields = file === undefined ? [name] : [name, file.version, file.stamp, file.crc32c ?? null];
  const text = JSON.stringify(fields);
  return `${text.replaceAll(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

function parseLine(line: string): readonly [string, KnownFile | undefined] | undefined {
  try {
    const fields = JSON.parse(line) as unknown;
    if (!Array.isArray(fields)) return undefined;
    const [name, version, stamp, crc32c] = fields as readonly unknown[];
    if (typeof name !== 'string') return undefined;
    if (fields.length === 1) return [name, undefined];
    if (typeof version !== 'string' || typeof stamp !== 'string') return undefined;
    return [name, { version, stamp, crc32c: typeof crc32c === 'number' ? crc32c : undefined }];
  } catch {
    return undefined;
  }
}

function readFrom(descriptor: number, offset: number): string {
  const bytes = Buffer.alloc(Math.max(0, fstatSync(descriptor).size - offset));
  return bytes.toString('latin1', 0, readSync(descriptor, bytes, 0, bytes.length, offset));
}
