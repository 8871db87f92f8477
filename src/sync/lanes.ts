/**
 * Sees to the files of one synchronisation, several at a time, each to its end: told and counted. Used by sync.ts. Where
 * going on is of no use, since the disk is full or the server has gone, the rest is not tried.
 */
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../runtime/clock.js';
import { unreachable } from '../runtime/assert.js';
import type { BringRequest } from './bring.js';
import type { FileEnd } from './file-end.js';
import type { WantedFile } from './names.js';
import type { SyncEvent } from './report.js';
import type { Tally } from './tally.js';
import { WorkQueue } from './work-queue.js';

export interface LanesDeps {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly tally: Tally;
  readonly onEvent: (event: SyncEvent) => void;
  readonly see: (file: WantedFile, request: BringRequest) => Promise<FileEnd>;
  /** What is told of a file that `see` fetched, or would. */
  readonly fetchedEvent: (file: WantedFile, end: Fetched, milliseconds: number) => SyncEvent;
}

export type Fetched = Extract<FileEnd, { kind: 'fetched' }>;

export class Lanes {
  readonly #deps: LanesDeps;
  readonly #count: number;
  readonly #queue: WorkQueue<WantedFile>;
  #unreachableInRow = 0;

  constructor(files: Iterable<WantedFile>, count: number, deps: LanesDeps) {
    this.#queue = new WorkQueue(files);
    this.#count = count;
    this.#deps = deps;
  }

  /** Files that another worker had may be free now. */
  change(): void {
    this.#queue.change();
  }

  /** Resolves when every file has come to its end, or `signal` aborted. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#deps;
    const onAbort = () => void this.#queue.end();
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    await Promise.all(Array.from({ length: this.#count }, () => this.#lane()));
    signal.removeEventListener('abort', onAbort);
  }

  async #lane(): Promise<void> {
    for (let file = await this.#queue.take(); file !== undefined; file = await this.#queue.take()) {
      const changesSeen = this.#queue.changes;
      const end = await this.#see(file);
      if (end.kind === 'elsewhere') this.#queue.putAside(file, changesSeen);
      else this.#queue.done();
      // Thousands of files that are good already leave nobody else a turn.
      if (end.kind === 'good') await setImmediate();
    }
  }

  async #see(file: WantedFile): Promise<FileEnd> {
    const { clock, signal, tally, onEvent, see } = this.#deps;
    const { name } = file;
    const begunMs = clock.nowMs();
    const { onBegin, end: stopShowing } = tally.begin(file);
    const onRetry = (reason: string) => onEvent({ event: 'retried', name, reason });
    const end = await see(file, { signal, onBegin, onRetry });
    stopShowing();
    const milliseconds = Math.round(clock.nowMs() - begunMs);
    tally.ended(file, end, milliseconds);
    this.#tell(file, end, milliseconds);
    return end;
  }

  #tell(file: WantedFile, end: FileEnd, milliseconds: number): void {
    const { onEvent, fetchedEvent } = this.#deps;
    const { name } = file;
    switch (end.kind) {
      case 'fetched':
        this.#unreachableInRow = 0;
        onEvent(fetchedEvent(file, end, milliseconds));
        return;
      case 'good':
        onEvent({ event: 'skipped', name, reason: end.by });
        return;
      case 'gone':
        onEvent({ event: 'skipped', name, reason: 'deleted on the server' });
        return;
      case 'failed': {
        const { code, message } = end;
        onEvent({ event: 'failed', name, code, message });
        this.#unreachableInRow = code === 'unreachable' ? this.#unreachableInRow + 1 : 0;
        if (code === 'disk_full') this.#giveUp('the disk is full');
        else if (this.#unreachableInRow === this.#count) this.#giveUp('the server does not answer any more');
        return;
      }
      case 'elsewhere':
      case 'aborted':
        return;
      default:
        unreachable(end);
    }
  }

  #giveUp(reason: string): void {
    const files = this.#queue.end().length;
    if (files === 0) return;
    this.#deps.tally.failed(files);
    this.#deps.onEvent({ event: 'given-up', files, reason });
  }
}
