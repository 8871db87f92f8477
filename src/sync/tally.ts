/** Counts what becomes of the files of one synchronisation, for the view of it and for the summary. */
import type { FileEnd } from './file-end.js';
import type { WantedFile } from './names.js';
import type { SyncSummary } from './report.js';

/** A file that is worked on. */
interface Running {
  readonly file: WantedFile;
  bytesDone: () => number;
}

export class Tally {
  #filesTotal: number | undefined;
  #bytesTotal: number | undefined;
  #filesDone = 0;
  #bytesDone = 0;
  #milliseconds = 0;
  readonly #running = new Set<Running>();
  readonly #counts = { succeeded: 0, skipped: 0, retried: 0, failed: 0, deleted: 0, refused: 0, bytes: 0 };

  listed(files: readonly WantedFile[], refused: number): void {
    this.#filesTotal = files.length;
    this.#bytesTotal = bytesOf(files);
    this.#counts.refused = refused;
  }

  /** Returns how to tell where its bytes are counted, and how to tell that it ended. */
  begin(file: WantedFile): {
    readonly onBegin: (bytesDone: () => number) => void;
    readonly end: () => void;
  } {
    const running: Running = { file, bytesDone: () => 0 };
    this.#running.add(running);
    return {
      onBegin: (bytesDone) => {
        running.bytesDone = bytesDone;
      },
      end: () => void this.#running.delete(running),
    };
  }

  /** For good. */
  ended({ info }: WantedFile, end: FileEnd, milliseconds: number): void {
    if (end.kind === 'elsewhere' || end.kind === 'aborted') return;
    this.#filesDone += 1;
    if (end.kind === 'failed') {
      this.#counts.failed += 1;
      return;
    }
    this.#bytesDone += info.size;
    if (end.kind !== 'fetched') {
      this.#counts.skipped += 1;
      return;
    }
    this.#counts.succeeded += 1;
    this.#counts.bytes += end.bytes;
    this.#milliseconds += milliseconds;
    if (end.retried) this.#counts.retried += 1;
  }

  deleted(): void {
    this.#counts.deleted += 1;
  }

  /** Files that were not tried, or could not be deleted. */
  failed(files: number): void {
    this.#counts.failed += files;
  }

  view() {
    const running = [...this.#running].map(({ file, bytesDone }) => ({
      name: file.name,
      bytesDone: bytesDone(),
      size: file.info.size,
    }));
    return {
      filesDone: this.#filesDone,
      filesTotal: this.#filesTotal,
      bytesDone: running.reduce((sum, { bytesDone }) => sum + bytesDone, this.#bytesDone),
      bytesTotal: this.#bytesTotal,
      running,
    };
  }

  summary(): Omit<SyncSummary, 'bytesFetched' | 'milliseconds' | 'stopped' | 'dryRun'> {
    const { succeeded } = this.#counts;
    const millisecondsPerFile = succeeded === 0 ? 0 : Math.round(this.#milliseconds / succeeded);
    return { ...this.#counts, millisecondsPerFile };
  }
}

export function bytesOf(files: readonly WantedFile[]): number {
  return files.reduce((sum, { info }) => sum + info.size, 0);
}
