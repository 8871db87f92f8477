/** What a run has done so far, and what it is at: counts for its messages. Used by the runs; knows nothing of them. */
import type { FileMessage, ProgressMessage, RunSummary, RunningFile } from './messages.js';

/** More would not be shown, and a message is not to grow with the number of connections. */
const RUNNING_TOLD_MAX = 32;

/** One object that is worked on, in the version that it has now. */
export interface Work {
  readonly key: string;
  size: number;
  /** Bytes that were there at first; undefined until that is known. */
  found: number | undefined;
  arrived: number;
  /** Bytes that came of versions that were replaced. */
  fetchedBefore: number;
}

export class Tally {
  readonly #running = new Set<Work>();
  #files = 0;
  #bytes = 0;
  #filesDone = 0;
  #bytesDone = 0;
  #unmatched = 0;
  #bytesFetched = 0;
  #bytesCached = 0;
  #lost = 0;
  readonly #results = { fetched: 0, cached: 0, failed: 0 };
  #pinned = 0;
  #unpinned = 0;

  get bytes(): number {
    return this.#bytes;
  }

  found({ size }: { readonly size: number }): void {
    this.#files += 1;
    this.#bytes += size;
  }

  unmatched(): void {
    this.#unmatched += 1;
  }

  pinned(count: number): void {
    this.#pinned += count;
  }

  unpinned(count: number): void {
    this.#unpinned += count;
  }

  lost(count: number): void {
    this.#lost += count;
  }

  begin({ key, size }: { readonly key: string; readonly size: number }): Work {
    const work: Work = { key, size, found: undefined, arrived: 0, fetchedBefore: 0 };
    this.#running.add(work);
    return work;
  }

  /** The work on it was given up: it counts as not done. */
  drop(work: Work): void {
    this.#running.delete(work);
    this.#bytesFetched += fetchedOf(work);
  }

  end(work: Work, { size, result, bytesFetched }: FileMessage): void {
    this.#running.delete(work);
    this.#results[result] += 1;
    this.#filesDone += 1;
    this.#bytesFetched += bytesFetched;
    if (result === 'failed') return;
    this.#bytesDone += size;
    this.#bytesCached += work.found ?? 0;
  }

  progress(isComplete: boolean): ProgressMessage {
    const running = [...this.#running];
    const sum = (of: (work: Work) => number) => running.reduce((total, work) => total + of(work), 0);
    return {
      event: 'progress',
      filesDone: this.#filesDone,
      filesTotal: isComplete ? this.#files : null,
      bytesDone: this.#bytesDone + sum(({ arrived }) => arrived),
      bytesTotal: isComplete ? this.#bytes : null,
      bytesFetched: this.#bytesFetched + sum(fetchedOf),
      running: running.slice(0, RUNNING_TOLD_MAX).map(runningFile),
    };
  }

  summary(): RunSummary {
    return {
      files: this.#files,
      bytes: this.#bytes,
      ...this.#results,
      pinned: this.#pinned,
      unpinned: this.#unpinned,
      unmatched: this.#unmatched,
      bytesFetched: this.#bytesFetched,
      bytesCached: this.#bytesCached,
      lost: this.#lost,
    };
  }
}

/** The object was replaced: it is worked on anew. */
export function beginVersion(work: Work, { size }: { readonly size: number }): void {
  work.fetchedBefore = fetchedOf(work);
  work.size = size;
  work.found = undefined;
  work.arrived = 0;
}

export function fetchedOf({ arrived, found, fetchedBefore }: Work): number {
  return fetchedBefore + Math.max(0, arrived - (found ?? arrived));
}

function runningFile({ key, size, arrived }: Work): RunningFile {
  return { name: key, bytesDone: arrived, size };
}
