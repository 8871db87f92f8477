/**
 * Fetches one part to its end: attempt after attempt, each resuming behind the last byte that arrived, until the part
 * is complete, somebody aborts, or it makes no sense to go on. Called by the downloader, one call per part.
 */
import type { ObjectStore, PartOutcome } from '../object-store/object-store.js';
import type { Clock } from '../runtime/clock.js';
import { sleep } from '../runtime/clock.js';
import { asError, unreachable } from '../runtime/assert.js';
import type { ByteRange } from '../runtime/range.js';
import type { Logger } from '../observability/logger.js';
import type { TransferMetrics } from '../observability/metrics.js';
import { backoffDelayMs } from './backoff.js';
import type { DownloadTarget, PartTarget } from './target.js';

export interface PartFetchDeps {
  readonly objectStore: Pick<ObjectStore, 'fetchPart'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: TransferMetrics;
}

export interface PartFetchOptions {
  readonly stallTimeoutMs: number;
  readonly signal: AbortSignal;
}

export type PartResult = 'complete' | 'aborted' | 'gave_up' | 'failed' | 'expired';

/** A part nobody waits for is left alone after so many failures in a row; its next reader asks for it again. */
const UNWANTED_FAILURES_MAX = 5;
/** A key that is missing so often in a row (about 1 s) is deleted, not late. */
const MISSING_MAX = 5;

export async function fetchPart(
  target: DownloadTarget,
  range: ByteRange,
  deps: PartFetchDeps,
  options: PartFetchOptions,
): Promise<PartResult> {
  const part = target.beginPart(range);
  let failures = 0;
  let missing = 0;
  for (;;) {
    if (options.signal.aborted) return 'aborted';
    const from = part.position;
    const attempt = await attemptPart(target, { start: from, end: range.end }, part, deps, options);
    if (attempt.kind === 'disk') {
      target.partFailed(range, attempt);
      return 'failed';
    }
    const { outcome } = attempt;
    failures = part.position > from ? 1 : failures + 1;
    missing = outcome.kind === 'missing' ? missing + 1 : 0;
    switch (outcome.kind) {
      case 'complete':
        return 'complete';
      case 'aborted':
        return 'aborted';
      case 'changed':
        target.expired('it was replaced on the server');
        return 'expired';
      case 'denied':
        target.partFailed(range, outcome);
        return 'failed';
      case 'missing':
        if (missing < MISSING_MAX) break;
        target.expired('it was deleted on the server');
        return 'expired';
      case 'short':
      case 'throttled':
      case 'broken':
      case 'unreachable':
        break;
      default:
        unreachable(outcome);
    }
    const rest = { start: part.position, end: range.end };
    if (failures >= UNWANTED_FAILURES_MAX && !target.wanted(rest)) return 'gave_up';
    target.delayed(rest, describeOutcome(outcome));
    deps.metrics.partRetried();
    deps.logger.debug(
      { store: target.id, ...rest, failures, outcome: outcome.kind },
      'part failed, trying again',
    );
    const retryAfterMs = outcome.kind === 'throttled' ? outcome.retryAfterMs : undefined;
    await sleep(deps.clock, backoffDelayMs(failures, deps.clock.random(), retryAfterMs), options.signal);
  }
}

type Attempt =
  | { readonly kind: 'answered'; readonly outcome: PartOutcome }
  | { readonly kind: 'disk'; readonly error: Error };

/** One request, and everything it brought written down; only the local disk can make it throw. */
async function attemptPart(
  target: DownloadTarget,
  range: ByteRange,
  part: PartTarget,
  deps: PartFetchDeps,
  options: PartFetchOptions,
): Promise<Attempt> {
  deps.metrics.partRequested();
  try {
    const sink = {
      write: (chunk: Uint8Array) => {
        deps.metrics.bytesFetched(chunk.length);
        return part.write(chunk);
      },
    };
    const outcome = await deps.objectStore.fetchPart(target.version, range, sink, options);
    await part.flush();
    return { kind: 'answered', outcome };
  } catch (error) {
    return { kind: 'disk', error: asError(error) };
  }
}

function describeOutcome(outcome: PartOutcome): string {
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
    case 'aborted':
    case 'changed':
    case 'denied':
      return outcome.kind;
    default:
      return unreachable(outcome);
  }
}
