/**
 * The reads of one store that a session answers outside JavaScript, while the store is awake: hears of those that wait
 * for bytes, has them fetched, and traces them. Made by TempFileStore.wake() and closed by its rest() or close().
 *
 * Promises: the session has the local file before anything is published for it. A read that waits here is among the
 * store's waiters (so its range is fetched first, and fails with it) until its bytes came, it failed or ended. It is
 * traced until the session says that it ended, or until `close`, whichever comes first; nothing outlives `close`.
 */
import { asError, unreachable } from '../runtime/assert.js';
import type { ByteRange } from '../runtime/range.js';
import type { Logger } from '../observability/logger.js';
import type { ReadTrace, ReadTracer } from '../observability/read-trace.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import type { Availability } from '../runtime/availability.js';
import type { ContentError } from './content.js';
import type {
  DirectFile,
  DirectRead,
  DirectReadEnd,
  DirectReadListener,
  DirectReads,
} from './direct-reads.js';
import type { RangeWaiter, SettleWait } from './range-waiters.js';
import type { LocalFile } from './sparse-file.js';
import { closedError, diskError } from './store-state.js';

/** What it needs of its store. */
export interface DirectlyReadStore {
  readonly id: string;
  readonly version: ObjectVersion;
  readonly availability: Availability;
  /** A range was read: for fetching ahead. */
  observe(range: ByteRange): void;
  /** Registers a waiter, looks again, and asks for what is missing; may settle before it returns. */
  wait(range: ByteRange, settle: SettleWait): RangeWaiter;
  /** The error of a read that waited for `range` too long. */
  deadlineError(range: ByteRange): ContentError;
}

export interface StoreDirectReadsDeps {
  readonly file: LocalFile;
  readonly reads: ReadTracer;
  readonly logger: Logger;
}

interface ReadUnderWay {
  readonly range: ByteRange;
  readonly trace: ReadTrace;
  waiter?: RangeWaiter;
  /** What the session was told to fail it with. */
  error?: ContentError;
}

export interface OpenDirectReadsDeps extends StoreDirectReadsDeps {
  readonly directReads?: DirectReads | undefined;
  /** Bytes may be published at any moment, by another thread. */
  readonly beingWritten: boolean;
}

/** Undefined when there is no such session, or it cannot be given the local file: all reads go through the store then. */
export function openDirectReads(
  store: DirectlyReadStore,
  { directReads, beingWritten, ...deps }: OpenDirectReadsDeps,
): StoreDirectReads | undefined {
  if (directReads === undefined) return undefined;
  const opened = new StoreDirectReads(store, directReads, deps);
  const { contiguousBytes, arrivedBytes } = store.availability;
  if (contiguousBytes + arrivedBytes === 0 && !beingWritten) return opened;
  try {
    opened.attach();
    return opened;
  } catch (error) {
    opened.close();
    deps.logger.warn({ store: store.id, err: error }, 'no direct reads of this file');
    return undefined;
  }
}

export class StoreDirectReads implements DirectReadListener {
  /** The store's file as the session knows it. */
  readonly file: DirectFile;
  readonly #store: DirectlyReadStore;
  readonly #deps: StoreDirectReadsDeps;
  readonly #underWay = new Map<number, ReadUnderWay>();
  #isAttached = false;

  constructor(store: DirectlyReadStore, directReads: DirectReads, deps: StoreDirectReadsDeps) {
    this.#store = store;
    this.#deps = deps;
    this.file = directReads.open(store.availability, this);
  }

  /** Hands over the local file, once; creates it when needed. To be called before anything is published. @throws ContentError */
  attach(): void {
    if (this.#isAttached) return;
    try {
      this.#deps.file.lend((descriptor) => this.file.attach(descriptor));
    } catch (error) {
      throw diskError(this.#store.version, asError(error));
    }
    this.#isAttached = true;
  }

  /** Ends every read: the session hears of nothing here from now on, nor the store of the session. */
  close(): void {
    for (const { waiter, trace, error } of this.#underWay.values()) {
      waiter?.giveUp(closedError());
      trace.exit((error ?? closedError()).code);
    }
    this.#underWay.clear();
    this.file.close();
  }

  // What the session calls (DirectReadListener).

  entered(read: DirectRead): void {
    this.#begin(read);
  }

  waiting(read: DirectRead): void {
    const underWay = this.#underWay.get(read.id) ?? this.#begin(read);
    const { range, trace } = underWay;
    this.#store.observe(range);
    trace.beginWait(range);
    // It may wait again, for bytes that had come.
    underWay.waiter?.withdraw();
    underWay.waiter = this.#store.wait(range, (outcome) => {
      trace.endWait();
      // Whoever published may not have said so yet. From here on the session has the read in hand: should the bytes be cleared
      // before it takes them, it says that the read waits again.
      if (outcome.kind === 'arrived') return this.file.published();
      underWay.error = outcome.error;
      this.file.fail(read, outcome.error);
    });
  }

  ended(id: number, { result, waitedMs }: DirectReadEnd): void {
    const underWay = this.#underWay.get(id);
    if (underWay === undefined) return;
    this.#underWay.delete(id);
    const { waiter, trace, error, range } = underWay;
    if (waiter !== undefined) {
      waiter.withdraw();
      trace.endWait(waitedMs);
    }
    switch (result) {
      case 'ok':
        return trace.exit('ok');
      case 'interrupted':
        return trace.exit('aborted');
      case 'failed':
        // By nobody here: the local disk.
        return trace.exit(error?.code ?? 'disk_failed');
      case 'deadline': {
        const { code, message } = this.#store.deadlineError(range);
        this.#deps.logger.warn({ store: this.#store.id, read: trace.id }, message);
        return trace.exit(code);
      }
      default:
        unreachable(result);
    }
  }

  observed(start: number, end: number): void {
    this.#store.observe({ start, end });
  }

  #begin({ id, start, end, ageMs }: DirectRead): ReadUnderWay {
    const { id: storeId, version } = this.#store;
    const subject = { storeId, key: version.key, offset: start, length: end - start };
    const trace = this.#deps.reads.enter(subject, { id: `r${id}`, ageMs });
    const underWay: ReadUnderWay = { range: { start, end }, trace };
    this.#underWay.set(id, underWay);
    return underWay;
  }
}
