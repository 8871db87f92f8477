/**
 * Serves one request about the objects of a bucket: `warm`, `pin`, `unpin`. Called by mount.ts for those that come over
 * the socket, and by the commands that bring an engine of their own.
 */
import type { Clock } from '../runtime/clock.js';
import { formatBytes } from '../runtime/units.js';
import type { ObjectInfo } from '../object-store/object-store.js';
import type { PinnableCache } from './cached-objects.js';
import { Listing } from './listing.js';
import { RequestError } from './messages.js';
import type { BucketRequest, PinRequest, Selection, Send, UnpinRequest, WarmRequest } from './messages.js';
import { pinAll, unpinAll } from './pinning.js';
import type { Bucket } from './select.js';
import { Tally } from './tally.js';
import { WarmRun } from './warm-run.js';
import type { Fill } from './warm-run.js';

export interface ServeDeps {
  readonly bucket: Bucket;
  readonly fill: Fill;
  readonly cache: PinnableCache;
  readonly clock: Clock;
}

export interface ServedCall {
  readonly send: Send;
  /** Aborted when nobody wants the rest. */
  readonly signal: AbortSignal;
}

/** Tells how it goes; the last message is an `end`. @throws RequestError or ObjectStoreError when it goes no further */
export async function serveRequest(request: BucketRequest, deps: ServeDeps, call: ServedCall): Promise<void> {
  const tally = new Tally();
  const service = new Service(deps, call, tally);
  switch (request.verb) {
    case 'warm':
      await service.warm(request);
      break;
    case 'pin':
      await service.pin(request);
      break;
    case 'unpin':
      await service.unpin(request);
      break;
  }
  await call.send({ event: 'end', ...tally.summary() });
}

class Service {
  readonly #deps: ServeDeps;
  readonly #call: ServedCall;
  readonly #tally: Tally;

  constructor(deps: ServeDeps, call: ServedCall, tally: Tally) {
    this.#deps = deps;
    this.#call = call;
    this.#tally = tally;
  }

  async warm({ selections, filesAtOnceMax }: WarmRequest): Promise<void> {
    const { bytesMax } = this.#deps.cache;
    const listing = this.#list(selections, (object) => {
      this.#tally.found(object);
      if (this.#tally.bytes <= bytesMax) return;
      throw new RequestError(
        `what was named is more than the cache may hold (${formatBytes(bytesMax)}): name less, or mount with a larger --cache-bytes-max`,
      );
    });
    await new WarmRun({ ...this.#deps, ...this.#call }, listing, this.#tally).run(filesAtOnceMax);
  }

  async pin({ selections, filesAtOnceMax, fill }: PinRequest): Promise<void> {
    const listing = this.#list(selections, (object) => this.#tally.found(object));
    const objects: ObjectInfo[] = [];
    for (let object = await listing.take(); object !== undefined; object = await listing.take()) {
      objects.push(object);
    }
    const { signal, send } = this.#call;
    if (signal.aborted) return;
    const { endpoint, bucket } = this.#deps.bucket;
    pinAll(
      objects.map(({ key, etag, size }) => ({ endpoint, bucket, key, etag, size })),
      this.#deps.cache,
    );
    this.#tally.pinned(objects.length);
    if (fill) {
      const left = objects.values();
      const source = { isComplete: true, take: async () => left.next().value, close: () => {} };
      await new WarmRun({ ...this.#deps, ...this.#call }, source, this.#tally).run(filesAtOnceMax);
      return;
    }
    for (const { key, size } of objects) await send({ event: 'pinned', key, size });
  }

  async unpin({ selections }: UnpinRequest): Promise<void> {
    const { versions, unmatched } = unpinAll(selections, this.#deps.bucket, this.#deps.cache);
    for (const selection of unmatched) await this.#unmatched(selection);
    this.#tally.unpinned(versions.length);
    for (const { key, size } of versions) {
      this.#tally.found({ size });
      await this.#call.send({ event: 'unpinned', key, size });
    }
  }

  #list(selections: readonly Selection[], onFound: (object: ObjectInfo) => void): Listing {
    const onUnmatched = (selection: Selection) => this.#unmatched(selection);
    const { signal } = this.#call;
    return new Listing(selections, this.#deps.bucket, { onFound, onUnmatched, signal });
  }

  async #unmatched({ key }: Selection): Promise<void> {
    this.#tally.unmatched();
    await this.#call.send({ event: 'unmatched', selection: key });
  }
}
