/**
 * Readers that wait for bytes: each waits for one range and is settled at most once, by arrival, by an error, or
 * because it gave up itself (deadline, abort). Used by TempFileStore, which registers first and then looks at the
 * availability again in the same synchronous step, so that no wake-up can be missed.
 *
 * Waking scans all waiters: there are at most as many as the kernel has reads in flight on one file (tens).
 */
import type { Clock } from '../runtime/clock.js';
import { Deferred } from '../runtime/deferred.js';
import { rangesOverlap } from '../runtime/range.js';
import type { ByteRange } from '../runtime/range.js';
import type { ContentError } from './content.js';
import { abortedError } from './store-state.js';

export type WaitOutcome =
  { readonly kind: 'arrived' } | { readonly kind: 'failed'; readonly error: ContentError };

/** Called with the outcome within the call that settles the wait. */
export type SettleWait = (outcome: WaitOutcome) => void;

export interface RangeWaiter {
  readonly range: ByteRange;
  /** Not settled, nor withdrawn. */
  readonly isWaiting: boolean;
  /** Ends the wait from the reader's side; does nothing when it is settled already. */
  giveUp(error: ContentError): void;
  /** Ends the wait without an outcome: the reader has its answer from elsewhere. */
  withdraw(): void;
}

export class RangeWaiters {
  readonly #waiting = new Map<RangeWaiter, SettleWait>();

  get count(): number {
    return this.#waiting.size;
  }

  add(range: ByteRange, settle: SettleWait): RangeWaiter {
    const waiting = this.#waiting;
    const waiter: RangeWaiter = {
      range,
      get isWaiting() {
        return waiting.has(waiter);
      },
      giveUp: (error) => this.#settle(waiter, { kind: 'failed', error }),
      withdraw: () => void this.#waiting.delete(waiter),
    };
    this.#waiting.set(waiter, settle);
    return waiter;
  }

  /** Settles every waiter whose range `isAvailable`. */
  wake(isAvailable: (range: ByteRange) => boolean): void {
    for (const waiter of this.#waiting.keys()) {
      if (isAvailable(waiter.range)) this.#settle(waiter, { kind: 'arrived' });
    }
  }

  /** Fails every waiter that wants a byte of `range`, or all of them. */
  fail(error: ContentError, range?: ByteRange): void {
    for (const waiter of this.#waiting.keys()) {
      if (range === undefined || rangesOverlap(waiter.range, range))
        this.#settle(waiter, { kind: 'failed', error });
    }
  }

  /** True when somebody waits for a byte of `range`. */
  wants(range: ByteRange): boolean {
    for (const waiter of this.#waiting.keys()) if (rangesOverlap(waiter.range, range)) return true;
    return false;
  }

  #settle(waiter: RangeWaiter, outcome: WaitOutcome): void {
    const settle = this.#waiting.get(waiter);
    if (settle === undefined) return;
    this.#waiting.delete(waiter);
    settle(outcome);
  }
}

/** When a reader gives up by itself. */
export interface ReaderLimits {
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly deadlineError: () => ContentError;
  /** Any of them ends the wait. */
  readonly signals: readonly AbortSignal[];
}

/** The outcome of the wait that `begin` registers, at the latest when the reader gives up. Never rejects. */
export async function waitAsReader(
  begin: (settle: SettleWait) => RangeWaiter,
  { clock, deadlineMs, deadlineError, signals }: ReaderLimits,
): Promise<WaitOutcome> {
  const settled = new Deferred<WaitOutcome>();
  const waiter = begin((outcome) => settled.resolve(outcome));
  const onAbort = () => waiter.giveUp(abortedError());
  for (const signal of signals) signal.addEventListener('abort', onAbort, { once: true });
  const cancelDeadline = clock.after(deadlineMs, () => waiter.giveUp(deadlineError()));
  const outcome = await settled.promise;
  cancelDeadline();
  for (const signal of signals) signal.removeEventListener('abort', onAbort);
  return outcome;
}
