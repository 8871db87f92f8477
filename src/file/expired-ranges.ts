/**
 * Ranges of one object version for which a read waited until its deadline just now, and the error it ended with. Used by
 * TempFileStore; native/expired_reads.h is the same for reads that a session answers by itself. Pure but for the clock.
 *
 * Processes that want the same page wait for each other in the kernel: each in turn asks for it again, within
 * microseconds of the failure of the one before. Waiting anew every time would make the last of them wait for the sum of
 * all deadlines. So a read that comes so soon shares that end, whoever asks, and the next may follow it; but not for
 * ever: a program that tries again on purpose gets a wait of its own.
 */
import type { Availability } from '../runtime/availability.js';
import type { Clock } from '../runtime/clock.js';
import type { ByteRange } from '../runtime/range.js';
import type { ContentError } from './content.js';

/** From one end to the next: the kernel goes on within microseconds, a busy machine within some milliseconds. */
const SHARED_FOR_MS = 100;
/** From the deadline on, however many share it: thousands of waiting processes, and no delay that a person notices. */
const SHARED_FOR_MS_MAX = 1000;

interface Expired {
  readonly range: ByteRange;
  readonly error: ContentError;
  readonly endsMsMax: number;
  endsMs: number;
}

export class ExpiredRanges {
  readonly #clock: Clock;
  readonly #availability: Pick<Availability, 'has'>;
  #expired: Expired[] = [];

  constructor(deps: { readonly clock: Clock; readonly availability: Pick<Availability, 'has'> }) {
    this.#clock = deps.clock;
    this.#availability = deps.availability;
  }

  /** A read of `range` ended with `error` at its deadline. */
  add(range: ByteRange, error: ContentError): void {
    const nowMs = this.#forgetOld();
    const endsMsMax = nowMs + SHARED_FOR_MS_MAX;
    this.#expired.push({ range, error, endsMs: nowMs + SHARED_FOR_MS, endsMsMax });
  }

  /** The end that a read of `range` shares: of the last one that waited in vain for bytes which are still missing. */
  share(range: ByteRange): ContentError | undefined {
    const nowMs = this.#forgetOld();
    const shared = this.#expired.filter((expired) => this.#isMissing(range, expired.range));
    for (const expired of shared) expired.endsMs = Math.min(nowMs + SHARED_FOR_MS, expired.endsMsMax);
    return shared.at(-1)?.error;
  }

  /** Nobody waits any more: who comes now comes on purpose. */
  clear(): void {
    this.#expired = [];
  }

  /** Of bytes outside of both ranges nothing is known: nobody waited for them. */
  #isMissing(a: ByteRange, b: ByteRange): boolean {
    const both = { start: Math.max(a.start, b.start), end: Math.min(a.end, b.end) };
    return both.start < both.end && !this.#availability.has(both);
  }

  #forgetOld(): number {
    const nowMs = this.#clock.nowMs();
    this.#expired = this.#expired.filter(({ endsMs }) => endsMs >= nowMs);
    return nowMs;
  }
}
