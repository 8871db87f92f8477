/**
 * One part: a range on its way from the object store to the local copy, attempt after attempt, each resuming behind
 * the last byte that arrived. The downloader owns it and decides when the next attempt runs; between attempts a part
 * occupies no connection. Its end may be cut short while it runs.
 */
import type { ObjectStore, PartOutcome } from '../object-store/object-store.js';
import type { Logger } from '../observability/logger.js';
import type { TransferMetrics } from '../observability/metrics.js';
import { asError, unreachable } from '../runtime/assert.js';
import type { CancelTimer, Clock } from '../runtime/clock.js';
import type { ByteRange } from '../runtime/range.js';
import { backoffDelayMs } from './backoff.js';
import type { HedgeBudget } from './hedge-budget.js';
import { PartRequest } from './part-request.js';
import type { AttemptProgress } from './part-request.js';
import type { Scheduler } from './part-scheduler.js';
import type { DownloadTarget, PartTarget } from './target.js';

export interface PartDeps {
  readonly objectStore: Pick<ObjectStore, 'fetchPart' | 'expectFetches'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: TransferMetrics;
  readonly scheduler: Scheduler;
  /** Absent when no byte may be asked for twice. */
  readonly hedgeBudget?: HedgeBudget | undefined;
}

export type AttemptResult =
  | { readonly kind: 'complete' | 'aborted' | 'gave_up' | 'failed' | 'expired' }
  /** The request was ended because another one brought its bytes. */
  | { readonly kind: 'overtaken' }
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
  /** The request under way. */
  #request: PartRequest | undefined;
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
    this.#request?.cut(end);
  }

  /** What the request under way has done so far; undefined while there is none. */
  get progress(): AttemptProgress | undefined {
    return this.#request?.progress;
  }

  /** Ends the attempt under way, if any: its result is `overtaken`, what arrived stays. */
  abandon(): void {
    this.#request?.abandon();
  }

  /**
   * Makes one request, and says whether there has to be another one. Never rejects.
   * @param ending called when it has no more than a round trip to go
   */
  async attempt(
    signal: AbortSignal,
    stallTimeoutMs: number,
    ending: () => void = () => {},
  ): Promise<AttemptResult> {
    const from = this.position;
    const range = { start: from, end: this.#end };
    const request = new PartRequest(this.#target.version, this.#sink, this.#deps, range, ending);
    this.#request = request;
    let outcome: PartOutcome;
    try {
      outcome = await request.send(signal, stallTimeoutMs);
    } catch (error) {
      if (signal.aborted) return { kind: 'aborted' };
      this.#target.partFailed(this, { kind: 'threw', error: asError(error) });
      return { kind: 'failed' };
    } finally {
      this.#request = undefined;
    }
    if (signal.aborted) return { kind: 'aborted' };
    if (this.position >= this.#end) {
      this.#deps.scheduler.succeeded();
      return { kind: 'complete' };
    }
    if (request.isAbandoned) return { kind: 'overtaken' };
    this.#failures = this.position - from >= PROGRESS_BYTES_MIN ? 1 : this.#failures + 1;
    this.#missing = outcome.kind === 'missing' ? this.#missing + 1 : 0;
    if (outcome.kind === 'throttled') this.#deps.scheduler.throttled();
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
