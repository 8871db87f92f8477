/**
 * The addon's counters, as `status` shows them, and the reads among them as the mount's metrics count them: sampled,
 * since a read that the addon answers tells nobody. Used by native-session.ts.
 */
import { NATIVE_STATS } from '../native.js';
import type { NativeSession } from '../native.js';
import type { TransferMetrics } from '../observability/metrics.js';
import type { DriverStatus } from '../observability/status-report.js';

export type CountedFigures = Pick<
  DriverStatus,
  'readRequests' | 'handlesCached' | 'handlesPassthrough' | 'requestsWaiting' | 'oldestRequestMs'
>;

type Figure = (typeof NATIVE_STATS)[number];

export class NativeFigures {
  readonly #metrics: Pick<TransferMetrics, 'readsEndedOutside'>;
  readonly #values = new Float64Array(NATIVE_STATS.length);
  /** What the metrics have heard of. */
  #readsTold = 0;
  #errorsTold = 0;
  #bytesTold = 0;

  constructor(metrics: Pick<TransferMetrics, 'readsEndedOutside'>) {
    this.#metrics = metrics;
  }

  /** Tells the metrics of the reads that ended since the last call. */
  sample(session: Pick<NativeSession, 'stats'> | undefined): void {
    session?.stats(this.#values);
    const readErrors = this.#get('readsFailed');
    const reads = this.#get('readsServed') + readErrors;
    const bytesRead = this.#get('bytesRead');
    this.#metrics.readsEndedOutside({
      reads: reads - this.#readsTold,
      readErrors: readErrors - this.#errorsTold,
      bytesRead: bytesRead - this.#bytesTold,
    });
    [this.#readsTold, this.#errorsTold, this.#bytesTold] = [reads, readErrors, bytesRead];
  }

  now(session: Pick<NativeSession, 'stats'> | undefined): CountedFigures {
    this.sample(session);
    return {
      readRequests: this.#get('readRequests'),
      handlesCached: this.#get('handlesCached'),
      handlesPassthrough: this.#get('handlesPassthrough'),
      requestsWaiting: this.#get('requestsWaiting'),
      oldestRequestMs: Math.round(this.#get('oldestRequestMs')),
    };
  }

  #get(figure: Figure): number {
    return this.#values[NATIVE_STATS.indexOf(figure)] ?? 0;
  }
}
