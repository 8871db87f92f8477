/**
 * File contents for tests of the filesystem: reads go straight to a `MemoryObjectStore`, nothing is kept. `beforeRead`
 * hands the schedule to the test: the read waits for the promise it returns, unless it is aborted or closed before.
 */
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { ContentError } from '../../src/file/content.js';
import type { Content, ContentSource } from '../../src/file/content.js';
import { unreachable } from '../../src/runtime/assert.js';
import { resolvedBeforeAbort } from './abortable.js';
import type { MemoryObjectStore } from './memory-object-store.js';

export type BeforeRead = (version: ObjectVersion, offset: number) => Promise<void> | undefined;

export class MemoryContentSource implements ContentSource {
  beforeRead: BeforeRead = () => undefined;
  /** What was expected, in order. */
  readonly expected: ObjectVersion[] = [];
  /** Opened and not closed yet. */
  readonly contentsOpen = new Set<MemoryContent>();
  readonly #objectStore: MemoryObjectStore;

  constructor(objectStore: MemoryObjectStore) {
    this.#objectStore = objectStore;
  }

  open(version: ObjectVersion): Content {
    const content = new MemoryContent(version, this.#objectStore, this);
    this.contentsOpen.add(content);
    return content;
  }

  expect(version: ObjectVersion): void {
    this.expected.push(version);
  }
}

class MemoryContent implements Content {
  readonly version: ObjectVersion;
  readonly storeId = 'memory';
  readonly direct = undefined;
  readonly complete = false;
  readonly replacesCorrupt = false;
  readonly #objectStore: MemoryObjectStore;
  readonly #source: MemoryContentSource;
  readonly #closing = new AbortController();
  readonly #halfListeners: (() => void)[] = [];

  constructor(version: ObjectVersion, objectStore: MemoryObjectStore, source: MemoryContentSource) {
    this.version = version;
    this.#objectStore = objectStore;
    this.#source = source;
  }

  async read(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<number> {
    const signals = [this.#closing.signal, ...(signal ? [signal] : [])];
    const ending = AbortSignal.any(signals);
    await resolvedBeforeAbort(this.#source.beforeRead(this.version, offset), ending);
    const end = Math.min(offset + target.length, this.version.size);
    let written = 0;
    const sink = {
      write(chunk: Uint8Array) {
        target.set(chunk, written);
        written += chunk.length;
      },
    };
    const outcome = await this.#objectStore.fetchPart(this.version, { start: offset, end }, sink, {
      signal: ending,
      stallTimeoutMs: 1000,
    });
    if (this.#closing.signal.aborted) throw new ContentError('closed', 'the handle was closed');
    switch (outcome.kind) {
      case 'complete':
        return written;
      case 'changed':
      case 'missing':
        throw new ContentError('stale', `${this.version.key} changed`);
      case 'denied':
        throw new ContentError('denied', outcome.error.message, outcome.error);
      case 'aborted':
        throw new ContentError('aborted', 'the read was aborted');
      case 'short':
      case 'throttled':
      case 'broken':
      case 'unreachable':
        throw new ContentError('deadline', `the store in memory answered ${outcome.kind}`);
      default:
        return unreachable(outcome);
    }
  }

  onceHalfHere(listener: () => void): void {
    this.#halfListeners.push(listener);
  }

  /** Says that half of the object is here. */
  halfIsHere(): void {
    for (const listener of this.#halfListeners.splice(0)) listener();
  }

  close(): void {
    this.#closing.abort();
    this.#source.contentsOpen.delete(this);
  }
}
