/**
 * Has objects in the cache: fills several at a time, tells of each, goes on when one fails. What is there already costs
 * a look; so a run that was interrupted is continued by the same one again. Serves `warm`, and the filling half of `pin`.
 */
import type { Clock } from '../runtime/clock.js';
import { createAborter } from '../runtime/aborter.js';
import { asError } from '../runtime/assert.js';
import { ContentError } from '../file/content.js';
import { ObjectStoreError } from '../object-store/errors.js';
import { versionIdentity } from '../object-store/object-store.js';
import type { ObjectInfo, ObjectVersion } from '../object-store/object-store.js';
import type { PinnableCache } from './cached-objects.js';
import type { FileMessage, Send } from './messages.js';
import type { Bucket } from './select.js';
import { beginVersion, fetchedOf } from './tally.js';
import type { Tally, Work } from './tally.js';

/** Has all of a version in the cache; see file/temp-file-stores.ts. @throws ContentError */
export type Fill = (
  version: ObjectVersion,
  options: { readonly signal: AbortSignal; readonly onProgress: (arrivedBytes: number) => void },
) => Promise<void>;

/** Gives the objects one by one; undefined: no more. The run closes it. */
export interface ObjectSource {
  /** All objects were found: their totals are known. */
  readonly isComplete: boolean;
  take(): Promise<ObjectInfo | undefined>;
  /** Whoever waits for the next one is told that there is none. Idempotent. */
  close(): void;
}

export interface WarmRunDeps {
  readonly bucket: Bucket;
  readonly fill: Fill;
  readonly cache: Pick<PinnableCache, 'list'>;
  readonly clock: Clock;
  readonly send: Send;
  /** Nobody wants the rest. */
  readonly signal: AbortSignal;
}

/** Bars that move smoothly, and no more than a client can read. */
const PROGRESS_MS = 100;
/** Objects that are replaced faster than they are fetched are not run after. */
const VERSIONS_TRIED_MAX = 3;

export class WarmRun {
  readonly #deps: WarmRunDeps;
  readonly #tally: Tally;
  readonly #source: ObjectSource;
  /** Versions that were all there. */
  readonly #done = new Set<string>();
  #isTelling = false;

  /** @param tally counts the objects of `source` as they are found */
  constructor(deps: WarmRunDeps, source: ObjectSource, tally: Tally) {
    this.#deps = deps;
    this.#source = source;
    this.#tally = tally;
  }

  /**
   * Resolves when all is done or the signal was aborted; what failed was told.
   * @throws ObjectStoreError, RequestError: what the source threw; nothing is under way any more then
   */
  async run(filesAtOnceMax: number): Promise<void> {
    const stopping = createAborter();
    const stop = () => {
      stopping.abort();
      this.#source.close();
    };
    this.#deps.signal.addEventListener('abort', stop, { once: true });
    if (this.#deps.signal.aborted) stop();
    const work = async () => {
      try {
        await this.#work(stopping.signal);
      } catch (error) {
        stop();
        throw error;
      }
    };
    const cancelTimer = this.#tellNowAndThen();
    const ends = await Promise.allSettled(Array.from({ length: filesAtOnceMax }, work));
    stop();
    cancelTimer();
    this.#deps.signal.removeEventListener('abort', stop);
    for (const end of ends) if (end.status === 'rejected') throw asError(end.reason);
    this.#tally.lost(this.#done.size - this.#stillThere());
  }

  /**
   * What was filled first may have been evicted for what was filled last. A copy that another daemon fills has all its
   * bytes before that one calls it complete, so the bytes say it.
   */
  #stillThere(): number {
    const { endpoint, bucket } = this.#deps.bucket;
    const whole = this.#deps.cache
      .list({ endpoint, bucket })
      .filter(({ bytes, version }) => bytes >= version.size);
    return whole.filter(({ version }) => this.#done.has(versionIdentity(version))).length;
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const object = await this.#source.take();
      if (object === undefined) return;
      const work = this.#tally.begin(object);
      const message = await this.#fill(object, work, signal);
      if (message === undefined) return this.#tally.drop(work);
      this.#tally.end(work, message);
      await this.#deps.send(message);
    }
  }

  /** Undefined when it was given up because nobody wants it any more. */
  async #fill(object: ObjectInfo, work: Work, signal: AbortSignal): Promise<FileMessage | undefined> {
    const { key } = object;
    let problem = '';
    for (let tried = 0; tried < VERSIONS_TRIED_MAX; tried += 1) {
      try {
        const current = tried === 0 ? object : await this.#deps.bucket.head(key, signal);
        if (current === undefined) break;
        beginVersion(work, current);
        await this.#fillVersion(current, work, signal);
        const bytesFetched = fetchedOf(work);
        const result = bytesFetched === 0 ? 'cached' : 'fetched';
        return { event: 'file', key, size: current.size, result, bytesFetched };
      } catch (error) {
        if (signal.aborted) return undefined;
        if (!(error instanceof ContentError || error instanceof ObjectStoreError)) throw error;
        problem = error.message;
        if (error.code !== 'stale') break;
      }
    }
    return {
      event: 'file',
      key,
      size: object.size,
      result: 'failed',
      bytesFetched: fetchedOf(work),
      problem,
    };
  }

  async #fillVersion({ key, etag, size }: ObjectInfo, work: Work, signal: AbortSignal): Promise<void> {
    if (size === 0) return;
    const {
      fill,
      bucket: { endpoint, bucket },
    } = this.#deps;
    const version = { endpoint, bucket, key, etag, size };
    const onProgress = (arrivedBytes: number) => {
      work.found ??= arrivedBytes;
      work.arrived = arrivedBytes;
    };
    await fill(version, { signal, onProgress });
    this.#done.add(versionIdentity(version));
  }

  #tellNowAndThen(): () => void {
    let cancel = () => {};
    const tell = () => {
      cancel = this.#deps.clock.after(PROGRESS_MS, tell);
      // A client that has not taken the last one needs no further ones yet.
      if (this.#isTelling) return;
      this.#isTelling = true;
      const told = this.#deps.send(this.#tally.progress(this.#source.isComplete));
      void told.finally(() => {
        this.#isTelling = false;
      });
    };
    cancel = this.#deps.clock.after(PROGRESS_MS, tell);
    return () => cancel();
  }
}
