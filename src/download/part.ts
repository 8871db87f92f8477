/**
 * One part: a range on its way from the object store to the local copy, attempt after attempt, each resuming behind
 * the last byte that arrived. The downloader owns it and decides when the next attempt runs; between attempts a part
 * occupies no connection. Its end may be cut short while it runs.
 */
import type { LocalPlace, ObjectStore, PartOutcome } from '../object-store/object-store.js';
import type { Logger } from '../observability/logger.js';
import type { TransferMetrics } from '../observability/metrics.js';
import { assert, asError, unreachable } from '../runtime/assert.js';
import { createAborter } from '../runtime/aborter.js';
import type { CancelTimer, Clock } from '../runtime/clock.js';
import type { ByteRange } from '../runtime/range.js';
import { backoffDelayMs } from './backoff.js';
import type { DownloadTarget, PartTarget } from './target.js';

export interface PartDeps {
  readonly objectStore: Pick<ObjectStore, 'fetchPart'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: TransferMetrics;
}

export type AttemptResult =
  | { readonly kind: 'complete' | 'aborted' | 'gave_up' | 'failed' | 'expired' }
  | { readonly kind: 'again'; readonly delayMs: number };

/** A part nobody waits for is left alone after so many failures in a row; its next reader asks for it again. */
const UNWANTED_FAILURES_MAX = 5;
/** A key that is missing so often in a row (about 1 s) is deleted, not late. */
const MISSING_MAX = 5;
/** An attempt that brought less is a failure like one that brought nothing: no endless crawling by a few bytes. */
const PROGRESS_BYTES_MIN = 64 * 1024;

export class Part implements ByteRange {
  readonly start: number;
  /** True once a reader waited for a byte of it. */
  demanded: boolean;
  state: 'queued' | 'running' | 'sleeping' | 'ended' = 'queued';
  /** Set while it sleeps before the next attempt. */
  cancelSleep: CancelTimer | undefined;
  readonly #target: DownloadTarget;
  readonly #deps: PartDeps;
  readonly #sink: PartTarget;
  #end: number;
  /** Set while a request is under way that can be told. */
  #cutRequest: ((end: number) => void) | undefined;
  #failures = 0;
  #missing = 0;

  constructor(target: DownloadTarget, range: ByteRange, deps: PartDeps, demanded: boolean) {
    this.start = range.start;
    this.#end = range.end;
    this.demanded = demanded;
    this.#target = target;
    this.#deps = deps;
    this.#sink = target.beginPart(range);
  }

  get end(): number {
    return this.#end;
  }

  /** Offset behind the last byte that arrived. */
  get position(): number {
    return this.#sink.position;
  }

  /** Leaves everything from `end` on to others; a request under way stops there. position < end < this.end. */
  cut(end: number): void {
    this.#end = end;
    this.#cutRequest?.(end);
  }

  /** Makes one request, and says whether there has to be another one. Never rejects. */
  async attempt(signal: AbortSignal, stallTimeoutMs: number): Promise<AttemptResult> {
    const from = this.position;
    let outcome: PartOutcome;
    try {
      outcome = await this.#request(signal, stallTimeoutMs);
    } catch (error) {
      if (signal.aborted) return { kind: 'aborted' };
      this.#target.partFailed(this, { kind: 'threw', error: asError(error) });
      return { kind: 'failed' };
    }
    if (signal.aborted) return { kind: 'aborted' };
    if (this.position >= this.#end) return { kind: 'complete' };
    this.#failures = this.position - from >= PROGRESS_BYTES_MIN ? 1 : this.#failures + 1;
    this.#missing = outcome.kind === 'missing' ? this.#missing + 1 : 0;
    return this.#judge(outcome);
  }

  #judge(outcome: PartOutcome): AttemptResult {
    switch (outcome.kind) {
      case 'aborted':
        return { kind: 'aborted' };
      case 'changed':
        this.#target.expired('it was replaced on the server');
        return { kind: 'expired' };
      case 'denied':
        this.#target.partFailed(this, outcome);
        return { kind: 'failed' };
      case 'missing':
        if (this.#missing < MISSING_MAX) return this.#again(outcome);
        this.#target.expired('it was deleted on the server');
        return { kind: 'expired' };
      case 'complete': // said so, but did not deliver
      case 'short':
      case 'throttled':
      case 'broken':
      case 'unreachable':
        return this.#again(outcome);
      default:
        return unreachable(outcome);
    }
  }

  #again(outcome: PartOutcome): AttemptResult {
    const rest = { start: this.position, end: this.#end };
    if (this.#failures >= UNWANTED_FAILURES_MAX && !this.#target.wanted(rest)) return { kind: 'gave_up' };
    const { clock, logger, metrics } = this.#deps;
    const reason = describe(outcome);
    this.#target.delayed(reason);
    metrics.partRetried();
    logger.debug(
      { store: this.#target.id, ...rest, failures: this.#failures, reason },
      'part failed, trying again',
    );
    const retryAfterMs = outcome.kind === 'throttled' ? outcome.retryAfterMs : undefined;
    return { kind: 'again', delayMs: backoffDelayMs(this.#failures, clock.random(), retryAfterMs) };
  }

  /** One request, and everything it brought written down, up to the end even when that is cut meanwhile. */
  async #request(signal: AbortSignal, stallTimeoutMs: number): Promise<PartOutcome> {
    const { objectStore, metrics } = this.#deps;
    const range = { start: this.position, end: this.#end };
    const aborter = createAborter();
    const onAbort = () => aborter.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    const write = (chunk: Uint8Array) => {
      metrics.bytesFetched(chunk.length);
      const written = this.#sink.write(chunk.subarray(0, Math.max(0, this.#end - this.position)));
      if (this.position >= this.#end && this.#end < range.end) aborter.abort();
      return written;
    };
    const lend = this.#sink.lend && (() => this.#lend());
    const onCut = (cut: (end: number) => void) => (this.#cutRequest = cut);
    metrics.partRequested();
    try {
      const options = { signal: aborter.signal, stallTimeoutMs, onCut };
      const outcome = await objectStore.fetchPart(this.#target.version, range, { write, lend }, options);
      if (signal.aborted) this.#sink.drop();
      await this.#sink.flush();
      return outcome;
    } finally {
      this.#cutRequest = undefined;
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** @throws what the target does */
  #lend(): LocalPlace {
    assert(this.#sink.lend, 'the target lends its file');
    const place = this.#sink.lend();
    return {
      ...place,
      advanced: (end) => {
        this.#deps.metrics.bytesFetched(end - this.position);
        place.advanced(end);
      },
    };
  }
}

function describe(outcome: PartOutcome): string {
  switch (outcome.kind) {
    case 'short':
    case 'broken':
    case 'unreachable':
      return `${outcome.kind}: ${outcome.cause.message}`;
    case 'throttled':
      return 'throttled: the server asks to slow down';
    case 'missing':
      return 'missing: the server does not know the key';
    case 'complete':
      return 'broken: fewer bytes than announced';
    case 'aborted':
    case 'changed':
    case 'denied':
      return outcome.kind;
    default:
      return unreachable(outcome);
  }
}
