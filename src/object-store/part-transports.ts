/**
 * Fetches one part by the transport that fits it: the socket transport, which is fast and knows only the ordinary case,
 * or the SDK's path, which knows all others (proxies, redirects, encoded bodies, answers that need explaining). Used by
 * s3-object-store.ts.
 *
 * An answer that the socket transport cannot deal with brought no byte into the file; the part is asked for again by
 * the SDK's path within the same attempt. When that one succeeds again and again, the socket transport rests for a while.
 */
import type { Logger } from '../observability/logger.js';
import type { Clock } from '../runtime/clock.js';
import { linkAbort, untilAborted } from './abort.js';
import type { FetchOptions, LocalPlace, ObjectVersion, PartOutcome } from './object-store.js';
import { isProxied } from './network.js';
import { attemptPart, outcomeOf } from './part-fetch.js';
import type { PartAttempt, PartFetch } from './part-fetch.js';
import type { Origin, SignedRequest } from './presigned-get.js';
import type { S3Connection } from './s3-connection.js';
import { LocalWriteError } from './socket/socket-transport.js';
import type { SocketAsk, SocketOutcome } from './socket/socket-transport.js';

type UnusualAnswer = Extract<SocketOutcome, { readonly kind: 'unusual' }>;

export interface PartTransportsDeps {
  readonly connection: S3Connection;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bytes arrived in a file that was lent. */
  readonly onBytes: (bytes: number) => void;
  /** For a rehearsal: requests go here instead of to the server, and by the socket transport or not at all. */
  readonly rehearsedBy?: Origin | undefined;
}

/** One unusual answer may be an accident; from so many in a row on, the server or something before it is like that. */
const UNUSUAL_MAX = 3;
/** Then each part would cost two requests; whatever it was may be over by then. */
const REST_MS = 60_000;
/** What may stand in a header: an entity tag out of a listing could hold anything. */
const PLAIN = /^[\x21-\x7e]+$/;

export class PartTransports {
  readonly #deps: PartTransportsDeps;
  #unusual = 0;
  #restUntilMs = -Infinity;
  /** Where requests went last that no proxy is for. */
  #direct: Origin | undefined;

  constructor(deps: PartTransportsDeps) {
    this.#deps = deps;
  }

  /** One attempt, with a connection to be had. Rejects only with what the sink threw. */
  async fetch(fetch: PartFetch): Promise<PartOutcome> {
    const outcome = await this.#bySocket(fetch);
    if (this.#deps.rehearsedBy !== undefined) return rehearsed(outcome);
    if (outcome === undefined) return this.#bySdk(fetch);
    if (outcome.kind === 'unusual') return this.#doneOver(fetch, outcome);
    this.#unusual = 0;
    return outcome.kind === 'unreachable' ? this.#explained(fetch, outcome.cause) : outcome;
  }

  /** Sends a request that `fetch` is about to be asked for; see SocketTransport.ask. False when it is not sent. */
  ask(ask: SocketAsk, onEnd: (isTaken: boolean) => void): boolean {
    const { socket } = this.#deps.connection;
    if (!this.#mayBySocket(ask.version) || !this.#isDirect(ask.request.origin)) return false;
    return socket?.ask(ask, onEnd) === true;
  }

  #mayBySocket({ etag }: ObjectVersion): boolean {
    const { connection, clock } = this.#deps;
    return connection.socket?.usable === true && clock.nowMs() >= this.#restUntilMs && PLAIN.test(etag);
  }

  /** Undefined when it is nothing for the socket transport. */
  async #bySocket({ version, range, sink, options }: PartFetch): Promise<SocketOutcome | undefined> {
    const { connection, rehearsedBy } = this.#deps;
    const { socket } = connection;
    if (sink.lend === undefined || socket === undefined || !this.#mayBySocket(version)) return undefined;
    const request = await this.#sign(version, options);
    if (request === undefined || !this.#isDirect(request.origin)) return undefined;
    const place = this.#counted(sink.lend(), range.start);
    try {
      const sent = rehearsedBy === undefined ? request : { ...request, origin: rehearsedBy };
      return await socket.fetch({ request: sent, version, range, place, options });
    } catch (error) {
      if (!(error instanceof LocalWriteError)) throw error;
      place.failed(error);
      return { kind: 'short', cause: error };
    } finally {
      place.release();
    }
  }

  /** Undefined when nothing can be signed now, or not in time: the SDK's path meets the same, and explains it. */
  async #sign(version: ObjectVersion, options: FetchOptions): Promise<SignedRequest | undefined> {
    const { connection, clock } = this.#deps;
    const known = connection.signedRequests.known(version);
    if (known !== undefined) return known;
    const abort = linkAbort(options.signal);
    const cancel = clock.after(options.stallTimeoutMs, abort.abort);
    try {
      return await untilAborted(connection.signedRequests.get(version), abort.signal);
    } catch {
      return undefined;
    } finally {
      cancel();
      abort.unlink();
    }
  }

  /** The environment, which says so, is looked at once for each place. */
  #isDirect(origin: Origin): boolean {
    const last = this.#direct;
    if (last?.hostname === origin.hostname && last.port === origin.port && last.protocol === origin.protocol)
      return true;
    if (isProxied(origin)) return false;
    this.#direct = origin;
    return true;
  }

  async #bySdk(fetch: PartFetch): Promise<PartOutcome> {
    const first = await this.#attempt(fetch);
    // A request that went to the wrong region, or was signed with the wrong time, is no attempt that failed.
    const again = first.kind === 'failed' && this.#deps.connection.learn(first.failure);
    const attempt = again ? await this.#attempt(fetch) : first;
    return attempt.kind === 'answered' ? attempt.outcome : outcomeOf(attempt.failure);
  }

  #attempt(fetch: PartFetch): Promise<PartAttempt> {
    const { connection, clock } = this.#deps;
    const { client } = connection.data;
    const call = { operation: 'get', key: fetch.version.key };
    return attemptPart(
      { client, clock, explain: (thrown) => connection.explain(thrown, client, call) },
      fetch,
    );
  }

  /** In the words that the SDK's failures are told in, with what to do. */
  #explained({ version }: PartFetch, cause: Error): PartOutcome {
    const { connection } = this.#deps;
    const { error } = connection.explain(cause, connection.data.client, {
      operation: 'get',
      key: version.key,
    });
    return { kind: 'unreachable', cause: error };
  }

  async #doneOver(fetch: PartFetch, { reason, status }: UnusualAnswer): Promise<PartOutcome> {
    const { connection, clock, logger } = this.#deps;
    const { version } = fetch;
    if (status === 401 || status === 403) connection.signedRequests.forget(version);
    const outcome = await this.#bySdk(fetch);
    // What the other path cannot have either says nothing against the socket transport.
    if (outcome.kind !== 'complete') return outcome;
    this.#unusual += 1;
    if (this.#unusual < UNUSUAL_MAX) return outcome;
    this.#unusual = 0;
    this.#restUntilMs = clock.nowMs() + REST_MS;
    logger.warn({ key: version.key, reason }, 'objects arrive by the slower transport for a minute');
    return outcome;
  }

  #counted(place: LocalPlace, start: number): LocalPlace {
    let counted = start;
    return {
      ...place,
      advanced: (end) => {
        this.#deps.onBytes(end - counted);
        counted = end;
        place.advanced(end);
      },
    };
  }
}

function rehearsed(outcome: SocketOutcome | undefined): PartOutcome {
  if (outcome !== undefined && outcome.kind !== 'unusual') return outcome;
  return { kind: 'broken', cause: new Error(outcome?.reason ?? 'nothing for the socket transport') };
}
