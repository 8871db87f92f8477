/**
 * Signed GETs for the transport that sends requests by itself: one signature per object version, kept and renewed long
 * before it expires, so that a part costs no signing. Owned by s3-connection.ts, one for each client that it makes.
 *
 * Validity is judged by the server's time as far as it is known (the wall clock with the client's correction): a clock
 * that is set, a machine that slept and a correction learned meanwhile all make requests that went stale be signed anew.
 */
import type { Clock } from '../runtime/clock.js';
import { LRUCache } from '../runtime/lru.js';
import type { ObjectVersion } from './object-store.js';
import { versionIdentity } from './object-store.js';
import type { Origin, PresignedGet, SignedRequest } from './presigned-get.js';

export type { Origin, SignedRequest } from './presigned-get.js';

/** The part of `SdkClient` that signs. */
export interface Presigner {
  /** The server's time less this machine's, as far as answers have told. */
  readonly clockOffsetMs: number;
  presignGet(version: ObjectVersion, nowMs: number, lifetimeMsMax: number): Promise<PresignedGet>;
}

export interface SignedRequestsDependencies {
  readonly client: Presigner;
  readonly clock: Clock;
}

interface Entry extends PresignedGet {
  readonly signedMs: number;
}

/** Versions that are read at about the same time; 1–3 KiB each, 12 MiB at most. */
const ENTRIES_MAX = 4096;

/** Rare enough to cost nothing; short, since whoever sees a signed URL may use it for as long. */
const LIFETIME_MAX_MS = 60 * 60 * 1000;

/** Servers refuse what was signed more than 15 minutes in their future; corrections waver by about a second. */
const AHEAD_MAX_MS = 5 * 60 * 1000;

export class SignedRequests {
  readonly #client: Presigner;
  readonly #clock: Clock;
  readonly #entries = new LRUCache<string, Entry>({ max: ENTRIES_MAX });
  /** Signings under way: whoever wants the same waits for the same. */
  readonly #signings = new Map<string, Promise<Entry>>();

  constructor({ client, clock }: SignedRequestsDependencies) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Valid for minutes at least, unless the credentials are not. @throws what `SdkClient.get` throws before it sends */
  async get(version: ObjectVersion): Promise<SignedRequest> {
    const fresh = this.known(version);
    if (fresh !== undefined) return fresh;
    const id = versionIdentity(version);
    const known = this.#entries.get(id);
    try {
      return (await this.#sign(id, version)).request;
    } catch (error) {
      // Credentials that cannot be had just now are no reason to give up a signature that still holds.
      if (known && this.#entries.has(id) && this.#nowMs() < known.expiresMs) return known.request;
      throw error;
    }
  }

  /** What `get` would give without signing; undefined when it would sign. */
  known(version: ObjectVersion): SignedRequest | undefined {
    const known = this.#entries.get(versionIdentity(version));
    return known !== undefined && this.#isFresh(known) ? known.request : undefined;
  }

  /** To be called when the server refused the request: the next one is signed anew. */
  forget(version: ObjectVersion): void {
    const id = versionIdentity(version);
    this.#entries.delete(id);
    this.#signings.delete(id);
  }

  /**
   * Signs once for nothing, while nobody waits: the first time takes many times as long. Gives the place that requests
   * go to; undefined when nothing can be signed. Never rejects.
   */
  async warmUp(): Promise<Origin | undefined> {
    const version = { endpoint: '', bucket: '', key: 'warm-up', etag: '', size: 0 };
    const signing = this.#client.presignGet(version, this.#nowMs(), LIFETIME_MAX_MS);
    return signing.then(
      ({ request }) => request.origin,
      () => undefined,
    );
  }

  #sign(id: string, version: ObjectVersion): Promise<Entry> {
    const underWay = this.#signings.get(id);
    if (underWay) return underWay;
    const signing = this.#signNow(version).then(
      (entry) => {
        if (this.#endSigning(id, signing)) this.#entries.set(id, entry);
        return entry;
      },
      (error: unknown) => {
        this.#endSigning(id, signing);
        throw error;
      },
    );
    this.#signings.set(id, signing);
    return signing;
  }

  /** False when the version was forgotten meanwhile. */
  #endSigning(id: string, signing: Promise<Entry>): boolean {
    return this.#signings.get(id) === signing && this.#signings.delete(id);
  }

  async #signNow(version: ObjectVersion): Promise<Entry> {
    const signedMs = this.#nowMs();
    return { signedMs, ...(await this.#client.presignGet(version, signedMs, LIFETIME_MAX_MS)) };
  }

  /** Until half of its life is over. */
  #isFresh({ signedMs, expiresMs }: Entry): boolean {
    const nowMs = this.#nowMs();
    return signedMs - AHEAD_MAX_MS <= nowMs && nowMs - signedMs < (expiresMs - signedMs) / 2;
  }

  #nowMs(): number {
    return this.#clock.wallTimeMs() + this.#client.clockOffsetMs;
  }
}
