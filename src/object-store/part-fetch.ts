/**
 * One attempt to fetch a range of a pinned object version over the SDK: request, strict acceptance of the answer,
 * transfer, and the name of whatever went wrong. Used by s3-object-store.ts; retries are download/'s.
 */
import { unreachable } from '../runtime/assert.js';
import type { Clock } from '../runtime/clock.js';
import { linkAbort, untilAborted } from './abort.js';
import type { ByteRange, FetchOptions, ObjectVersion, PartOutcome, PartSink } from './object-store.js';
import { transferBody } from './part-body.js';
import { judgeResponse } from './part-response.js';
import type { Failure } from './s3-errors.js';
import type { SdkClient } from './sdk-client.js';
import { StallTimer } from './stall-timer.js';

export interface PartFetch {
  readonly version: ObjectVersion;
  readonly range: ByteRange;
  readonly sink: PartSink;
  readonly options: FetchOptions;
}

export interface PartFetchDependencies {
  readonly client: SdkClient;
  readonly clock: Clock;
  readonly explain: (thrown: unknown) => Failure;
}

/** A request that failed as such, for the caller to see whether the failure taught something; or what became of it. */
export type PartAttempt =
  | { readonly kind: 'answered'; readonly outcome: PartOutcome }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** Rejects only with what the sink threw. */
export async function attemptPart(
  { client, clock, explain }: PartFetchDependencies,
  { version, range, sink, options }: PartFetch,
): Promise<PartAttempt> {
  const abort = linkAbort(options.signal);
  let stalled = false;
  const stallTimer = new StallTimer(clock, options.stallTimeoutMs, () => {
    stalled = true;
    abort.abort();
  });
  const stall = () => new Error(`too few bytes in ${options.stallTimeoutMs} ms`);
  try {
    let response;
    try {
      const answer = client.get(version, range, abort.signal);
      response = await untilAborted(answer, abort.signal, (late) => late.body.destroy());
    } catch (thrown) {
      if (stalled) return answered({ kind: 'unreachable', cause: stall() });
      if (options.signal.aborted) return answered({ kind: 'aborted' });
      return { kind: 'failed', failure: explain(thrown) };
    }
    stallTimer.progress();
    const { body, contentLength } = response;
    const objection = judgeResponse(response, version, range);
    if (objection) {
      body.on('error', () => {}).destroy();
      return answered(objection);
    }
    const length = range.end - range.start;
    const lengthAnnounced = contentLength !== undefined;
    const end = await transferBody({ body, length, lengthAnnounced, sink, stallTimer, signal: abort.signal });
    switch (end.kind) {
      case 'complete':
        return answered({ kind: 'complete' });
      case 'refused':
        throw end.reason;
      case 'failed':
        if (stalled) return answered({ kind: 'short', cause: stall() });
        return answered(options.signal.aborted ? { kind: 'aborted' } : { kind: 'short', cause: end.cause });
      default:
        return unreachable(end);
    }
  } finally {
    stallTimer.pause();
    abort.unlink();
  }
}

function answered(outcome: PartOutcome): PartAttempt {
  return { kind: 'answered', outcome };
}

/** What a request that was refused, or got no answer, means for the part. */
export function outcomeOf({ error, retryAfterMs }: Failure): PartOutcome {
  switch (error.code) {
    case 'aborted':
      return { kind: 'aborted' };
    case 'precondition_failed':
      return { kind: 'changed' };
    case 'throttled':
      return { kind: 'throttled', retryAfterMs };
    case 'unreachable':
      return { kind: 'unreachable', cause: error };
    case 'server_error':
      return { kind: 'broken', cause: error };
    case 'invalid_request':
      // The object shrank: the range lies behind its end.
      if (error.facts.httpStatus === 416) return { kind: 'changed' };
      if (error.facts.httpStatus === 404) return { kind: 'missing' };
      // Encrypted with a key that is not given, or not encrypted with the one that is: no attempt will do better.
      if (error.facts.serverCode === 'InvalidRequest') return { kind: 'denied', error };
      return { kind: 'broken', cause: error };
    case 'credentials_missing':
    case 'credentials_rejected':
    case 'clock_skew':
    case 'wrong_region':
    case 'no_such_bucket':
    case 'access_denied':
    case 'archived':
      return { kind: 'denied', error };
    default:
      return unreachable(error.code);
  }
}
