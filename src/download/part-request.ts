/**
 * One request of a part: hands the sink, or the local file itself, to the object store, counts what arrives, and ends
 * early when the part is cut or its bytes came otherwise. Made by Part for each attempt.
 */
import type { LocalPlace, ObjectVersion, PartOutcome } from '../object-store/object-store.js';
import { assert } from '../runtime/assert.js';
import { abort, createAborter } from '../runtime/aborter.js';
import type { ByteRange } from '../runtime/range.js';
import type { PartDeps } from './part.js';
import type { PartTarget } from './target.js';

/** What a request under way has done so far. */
export interface AttemptProgress {
  readonly startedMs: number;
  readonly bytes: number;
}

/** The first bytes of an answer that is there already are told of by then. */
const TOLD_MS_MAX = 5;

export class PartRequest {
  readonly #version: ObjectVersion;
  readonly #sink: PartTarget;
  readonly #deps: PartDeps;
  readonly #range: ByteRange;
  readonly #aborter = createAborter();
  readonly #startedMs: number;
  readonly #ending: () => void;
  #end: number;
  /** Set while the transport can be told of a cut. */
  #cutTransport: ((end: number) => void) | undefined;
  /** When it was sent, if that was before. */
  #sentMs: number | undefined;
  #isAbandoned = false;
  #bytes = 0;
  #firstBytes = 0;
  #firstMs = 0;

  constructor(
    version: ObjectVersion,
    sink: PartTarget,
    deps: PartDeps,
    range: ByteRange,
    ending: () => void,
  ) {
    this.#version = version;
    this.#sink = sink;
    this.#deps = deps;
    this.#range = range;
    this.#end = range.end;
    this.#ending = ending;
    this.#startedMs = deps.clock.nowMs();
  }

  get progress(): AttemptProgress {
    return { startedMs: this.#startedMs, bytes: this.#bytes };
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  /** Everything from `end` on is left to others. */
  cut(end: number): void {
    this.#end = end;
    this.#cutTransport?.(end);
  }

  abandon(): void {
    this.#isAbandoned = true;
    abort(this.#aborter);
  }

  /** Resolves when everything it brought is written down. @throws what the sink threw */
  async send(signal: AbortSignal, stallTimeoutMs: number): Promise<PartOutcome> {
    const onAbort = () => abort(this.#aborter);
    signal.addEventListener('abort', onAbort, { once: true });
    const write = (chunk: Uint8Array) => this.#write(chunk);
    const lend = this.#sink.lend && (() => this.#lend());
    const onCut = (cut: (end: number) => void) => {
      this.#cutTransport = cut;
    };
    const onSentAhead = (sentMs: number) => {
      this.#sentMs = sentMs;
    };
    const options = { signal: this.#aborter.signal, stallTimeoutMs, onCut, onSentAhead };
    this.#deps.metrics.partRequested();
    try {
      const sink = { write, lend };
      const outcome = await this.#deps.objectStore.fetchPart(this.#version, this.#range, sink, options);
      if (signal.aborted) this.#sink.drop();
      await this.#sink.flush();
      this.#deps.scheduler.pace.transferred(
        this.#bytes - this.#firstBytes,
        this.#deps.clock.nowMs() - this.#firstMs,
      );
      return outcome;
    } finally {
      this.#cutTransport = undefined;
      signal.removeEventListener('abort', onAbort);
    }
  }

  #write(chunk: Uint8Array): void | Promise<void> {
    this.#arrived(chunk.length);
    const written = this.#sink.write(chunk.subarray(0, Math.max(0, this.#end - this.#sink.position)));
    if (this.#sink.position >= this.#end && this.#end < this.#range.end) abort(this.#aborter);
    return written;
  }

  /** @throws what the target does */
  #lend(): LocalPlace {
    assert(this.#sink.lend, 'the target lends its file');
    const place = this.#sink.lend();
    return {
      ...place,
      advanced: (end) => {
        this.#arrived(end - this.#sink.position);
        place.advanced(end);
      },
    };
  }

  #arrived(bytes: number): void {
    const { metrics, scheduler, hedgeBudget, clock } = this.#deps;
    if (this.#bytes === 0) {
      this.#firstMs = clock.nowMs();
      this.#firstBytes = bytes;
      const waitedMs = this.#firstMs - this.#startedMs;
      // Who comes when the answer is there does not learn how long it took.
      if (this.#sentMs === undefined || waitedMs > TOLD_MS_MAX)
        scheduler.pace.firstByte(this.#firstMs - (this.#sentMs ?? this.#startedMs));
    }
    this.#bytes += bytes;
    metrics.bytesFetched(bytes);
    hedgeBudget?.fetched(bytes);
    scheduler.arrived(bytes);
    const { roundTripMs, bytesPerMs } = scheduler.pace;
    const leftBytes = this.#end - this.#sink.position - bytes;
    if (leftBytes <= roundTripMs * bytesPerMs) this.#ending();
  }
}
