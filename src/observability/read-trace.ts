/**
 * Every read in flight by its trace id: who reads what of which store, since when, and what it waits for. Always on:
 * a table of reads in flight and a ring of the last ENTER and EXIT events, both in memory. `--trace-reads` logs each
 * ENTER and EXIT; a read older than 5 s logs its ENTER at warn in any case, so that a hung read is in the log.
 */
import type { CancelTimer, Clock } from '../runtime/clock.js';
import type { ByteRange } from '../runtime/range.js';
import type { Logger } from './logger.js';
import type { ReadStatus } from './status-report.js';

/** A read that takes longer than any sane request to S3. */
const SLOW_READ_MS = 5000;
/** Events remembered; at 120 bytes each about 250 KiB. */
const RING_EVENTS_MAX = 2048;

export interface ReadSubject {
  readonly storeId: string;
  readonly key: string;
  readonly offset: number;
  readonly length: number;
}

/** One line of a read's life, as remembered and as logged. */
export interface ReadEvent extends ReadSubject {
  readonly event: 'ENTER' | 'EXIT';
  readonly id: string;
  readonly atMs: number;
  /** EXIT only. */
  readonly result?: string;
  readonly waitedMs?: number;
  readonly waitedFor?: ByteRange | undefined;
}

export interface ReadTracerOptions {
  /** Log every ENTER and EXIT. */
  readonly traceReads: boolean;
}

export class ReadTracer {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #options: ReadTracerOptions;
  /** In order of their ENTER, oldest first. */
  readonly #inFlight = new Map<string, ReadTrace>();
  readonly #ring: ReadEvent[] = [];
  #ringNext = 0;
  #idLast = 0;
  #cancelWatch: CancelTimer | undefined;

  constructor(deps: { readonly clock: Clock; readonly logger: Logger }, options: ReadTracerOptions) {
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#options = options;
  }

  /** Begins a read. The caller ends it with `exit`, exactly once. */
  enter(subject: ReadSubject): ReadTrace {
    this.#idLast += 1;
    const trace = new ReadTrace(`r${this.#idLast}`, subject, this.#clock, (result) =>
      this.#exit(trace, result),
    );
    this.#inFlight.set(trace.id, trace);
    this.#note({ event: 'ENTER', id: trace.id, atMs: trace.enteredMs, ...subject });
    this.#cancelWatch ??= this.#clock.after(SLOW_READ_MS, () => this.#watch());
    return trace;
  }

  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  /** Reads in flight, oldest first. */
  inFlight(): ReadStatus[] {
    const nowMs = this.#clock.nowMs();
    return [...this.#inFlight.values()].map((trace) => ({
      id: trace.id,
      ...trace.subject,
      ageMs: Math.round(nowMs - trace.enteredMs),
      waitingFor:
        trace.waitingFor === undefined ? null : { start: trace.waitingFor.start, end: trace.waitingFor.end },
    }));
  }

  /** The last events, oldest first. */
  recent(): ReadEvent[] {
    return [...this.#ring.slice(this.#ringNext), ...this.#ring.slice(0, this.#ringNext)];
  }

  #exit(trace: ReadTrace, result: string): void {
    if (!this.#inFlight.delete(trace.id)) return;
    const { id, subject, waitedMs, waitedFor } = trace;
    this.#note({ event: 'EXIT', id, atMs: this.#clock.nowMs(), ...subject, result, waitedMs, waitedFor });
    if (this.#inFlight.size > 0) return;
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
  }

  #note(event: ReadEvent): void {
    this.#ring[this.#ringNext] = event;
    this.#ringNext = (this.#ringNext + 1) % RING_EVENTS_MAX;
    if (this.#options.traceReads) this.#logger.info(event, `read ${event.event}`);
  }

  /** Warns once of each read that is old by now, and comes back when the next one would be. */
  #watch(): void {
    const nowMs = this.#clock.nowMs();
    this.#cancelWatch = undefined;
    for (const trace of this.#inFlight.values()) {
      if (trace.warned) continue;
      const dueMs = trace.enteredMs + SLOW_READ_MS - nowMs;
      if (dueMs > 0) {
        this.#cancelWatch = this.#clock.after(dueMs, () => this.#watch());
        return;
      }
      trace.warned = true;
      const { id, subject, waitingFor } = trace;
      this.#logger.warn(
        { event: 'ENTER', id, ...subject, ageMs: -dueMs + SLOW_READ_MS, waitingFor },
        'slow read',
      );
    }
  }
}

export class ReadTrace {
  readonly id: string;
  readonly subject: ReadSubject;
  readonly enteredMs: number;
  warned = false;
  readonly #clock: Clock;
  readonly #end: (result: string) => void;
  #waitingFor: ByteRange | undefined;
  #waitedFor: ByteRange | undefined;
  #waitSinceMs = 0;
  #waitedMs = 0;

  constructor(id: string, subject: ReadSubject, clock: Clock, end: (result: string) => void) {
    this.id = id;
    this.subject = subject;
    this.enteredMs = clock.nowMs();
    this.#clock = clock;
    this.#end = end;
  }

  /** The range that the read waits for now. */
  get waitingFor(): ByteRange | undefined {
    return this.#waitingFor;
  }

  /** The range it waited for in the end, and for how long. */
  get waitedFor(): ByteRange | undefined {
    return this.#waitedFor;
  }

  get waitedMs(): number {
    return this.#waitedMs;
  }

  beginWait(range: ByteRange): void {
    this.#waitingFor = range;
    this.#waitSinceMs = this.#clock.nowMs();
  }

  endWait(): void {
    this.#waitedFor = this.#waitingFor;
    this.#waitingFor = undefined;
    this.#waitedMs = Math.round(this.#clock.nowMs() - this.#waitSinceMs);
  }

  /** @param result `ok` or an error code. */
  exit(result: string): void {
    this.#end(result);
  }
}
