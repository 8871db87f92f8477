/** A bucket in memory, a cache that only remembers, and a filler whose fills the test ends: for the tests of requests/. */
import { ContentError } from '../../src/file/content.js';
import { versionIdentity } from '../../src/object-store/object-store.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import type { CachedVersionFilter, PinnableCache } from '../../src/requests/cached-objects.js';
import type { BucketRequest, FileMessage, Message } from '../../src/requests/messages.js';
import { serveRequest } from '../../src/requests/serve.js';
import type { Fill } from '../../src/requests/warm-run.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';

interface Kept {
  readonly version: ObjectVersion;
  bytes: number;
  pinned: boolean;
}

export class RememberingCache implements PinnableCache {
  readonly bytesMax: number;
  readonly #kept = new Map<string, Kept>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  list({ endpoint, bucket, key, pinned }: CachedVersionFilter): Kept[] {
    return [...this.#kept.values()]
      .filter((kept) => pinned === undefined || kept.pinned === pinned)
      .filter(({ version }) => endpoint === undefined || version.endpoint === endpoint)
      .filter(({ version }) => bucket === undefined || version.bucket === bucket)
      .filter(({ version }) => key === undefined || version.key === key);
  }

  pin(version: ObjectVersion): void {
    this.#of(version).pinned = true;
  }

  unpin(filter: CachedVersionFilter): Kept[] {
    const pinned = this.list({ ...filter, pinned: true });
    for (const kept of pinned) kept.pinned = false;
    return pinned;
  }

  has(version: ObjectVersion): boolean {
    return (this.#kept.get(versionIdentity(version))?.bytes ?? -1) >= version.size;
  }

  complete(version: ObjectVersion): void {
    this.#of(version).bytes = version.size;
  }

  evict(key: string): void {
    for (const [identity, { version }] of this.#kept) if (version.key === key) this.#kept.delete(identity);
  }

  get pinnedKeys(): string[] {
    return this.list({ pinned: true }).map(({ version }) => version.key);
  }

  #of(version: ObjectVersion): Kept {
    const identity = versionIdentity(version);
    const kept = this.#kept.get(identity) ?? { version, bytes: 0, pinned: false };
    this.#kept.set(identity, kept);
    return kept;
  }
}

export interface RigOptions {
  readonly bytesMax?: number;
  /** Fills wait for the test's `letGo`. */
  readonly holds?: boolean;
}

export function requestsRig({ bytesMax = 1e9, holds = false }: RigOptions = {}) {
  const store = new MemoryObjectStore();
  const cache = new RememberingCache(bytesMax);
  const clock = new SimulatedClock();
  const messages: Message[] = [];
  const filled: string[] = [];
  const held: (() => void)[] = [];
  const failures = new Map<string, Error>();
  let atOnce = 0;
  let atOnceMost = 0;

  const fill: Fill = async (version, { signal, onProgress }) => {
    atOnce += 1;
    atOnceMost = Math.max(atOnceMost, atOnce);
    try {
      if (cache.has(version)) return onProgress(version.size);
      onProgress(0);
      if (holds) await heldUntil(signal, held);
      onProgress(version.size / 2);
      const failure = failures.get(version.key);
      if (failure !== undefined) throw failure;
      const now = await store.head(version.key);
      if (now?.etag !== version.etag) throw new ContentError('stale', `${version.key} has changed`);
      filled.push(version.key);
      onProgress(version.size);
      cache.complete(version);
    } finally {
      atOnce -= 1;
    }
  };
  const aborter = new AbortController();
  const serve = async (request: BucketRequest) => {
    messages.length = 0;
    const send = async (message: Message) => void messages.push(message);
    await serveRequest(request, { bucket: store, fill, cache, clock }, { send, signal: aborter.signal });
  };
  return {
    store,
    cache,
    clock,
    messages,
    filled,
    failures,
    aborter,
    serve,
    put: (key: string, size = 10) => store.put(key, { seed: 1, size }),
    letGo: () => held.splice(0).forEach((resume) => resume()),
    get heldCount() {
      return held.length;
    },
    get atOnceMost() {
      return atOnceMost;
    },
    get files(): FileMessage[] {
      return messages.filter((message) => message.event === 'file');
    },
    get end() {
      return messages.at(-1);
    },
  };
}

async function heldUntil(signal: AbortSignal, held: (() => void)[]): Promise<void> {
  const resumed = new Deferred<void>();
  held.push(() => resumed.resolve());
  signal.addEventListener('abort', () => resumed.resolve(), { once: true });
  await resumed.promise;
  if (signal.aborted) throw new ContentError('aborted', 'nobody waits any more');
}
