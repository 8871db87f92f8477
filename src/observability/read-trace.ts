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

/** Of a read that came to somebody else before it was told here. */
export interface ReadOrigin {
  /** Its trace id, which no other read in flight may have; one of the tracer's own (`r17`) when undefined. */
  readonly id?: string | undefined;
  /** How long ago it came; default 0. */
  readonly ageMs?: number | undefined;
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
  readonly #inFlight = new Set<ReadTrace>();
  readonly #ring: ReadEvent[] = [];
  #ringNext = 0;
  #idLast = 0;
  /** For the oldest read of which was not warned yet; there while any read is in flight that may become old. */
  #watch: { readonly dueMs: number; readonly cancel: CancelTimer } | undefined;

  constructor(deps: { readonly clock: Clock; readonly logger: Logger }, options: ReadTracerOptions) {
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#options = options;
  }

  /** Begins a read. The caller ends it with `exit`, exactly once. */
  enter(subject: ReadSubject, { id = `r${++this.#idLast}`, ageMs = 0 }: ReadOrigin = {}): ReadTrace {
    const trace = new ReadTrace(id, subject, { clock: this.#clock, ageMs }, (result) =>
      this.#exit(trace, result),
    );
    this.#inFlight.add(trace);
    this.#note({ event: 'ENTER', id, atMs: trace.enteredMs, ...subject });
    this.#watchFrom(trace.enteredMs + SLOW_READ_MS);
    return trace;
  }

  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  /** Reads in flight, oldest first. */
  inFlight(): ReadStatus[] {
    const nowMs = this.#clock.nowMs();
    const oldestFirst = [...this.#inFlight].sort((a, b) => a.enteredMs - b.enteredMs);
    return oldestFirst.map((trace) => ({
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
    if (!this.#inFlight.delete(trace)) return;
    const { id, subject, waitedMs, waitedFor } = trace;
    this.#note({ event: 'EXIT', id, atMs: this.#clock.nowMs(), ...subject, result, waitedMs, waitedFor });
    if (this.#inFlight.size > 0) return;
    this.#watch?.cancel();
    this.#watch = undefined;
  }

  #note(event: ReadEvent): void {
    this.#ring[this.#ringNext] = event;
    this.#ringNext = (this.#ringNext + 1) % RING_EVENTS_MAX;
    if (this.#options.traceReads) this.#logger.info(event, `read ${event.event}`);
  }

  /** Looks at the reads in flight at `dueMs`, or before when that was arranged already. */
  #watchFrom(dueMs: number): void {
    if (this.#watch !== undefined && this.#watch.dueMs <= dueMs) return;
    this.#watch?.cancel();
    const delayMs = Math.max(0, dueMs - this.#clock.nowMs());
    this.#watch = { dueMs, cancel: this.#clock.after(delayMs, () => this.#warnOfSlow()) };
  }

  /** Warns once of each read that is old by now, and comes back when the next one will be. */
  #warnOfSlow(): void {
    const nowMs = this.#clock.nowMs();
    this.#watch = undefined;
    for (const trace of this.#inFlight) {
      if (trace.warned) continue;
      const dueMs = trace.enteredMs + SLOW_READ_MS;
      if (dueMs > nowMs) {
        this.#watchFrom(dueMs);
        continue;
      }
      trace.warned = true;
      const { id, subject, waitingFor } = trace;
      const ageMs = Math.round(nowMs - trace.enteredMs);
      this.#logger.warn({ event: 'ENTER', id, ...subject, ageMs, waitingFor }, 'slow read');
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

  constructor(
    id: string,
    subject: ReadSubject,
    { clock, ageMs }: { readonly clock: Clock; readonly ageMs: number },
    end: (result: string) => void,
  ) {
    this.id = id;
    this.subject = subject;
    this.enteredMs = clock.nowMs() - ageMs;
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

  /** @param waitedMs how long it waited in all, when whoever answers the read tells, then also after the wait ended. */
  endWait(waitedMs = this.#clock.nowMs() - this.#waitSinceMs): void {
    this.#waitedFor = this.#waitingFor ?? this.#waitedFor;
    this.#waitingFor = undefined;
    this.#waitedMs = Math.round(waitedMs);
  }

  /** @param result `ok` or an error code. */
  exit(result: string): void {
    this.#end(result);
  }
}
