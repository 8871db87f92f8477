/**
 * A decorator that makes an object store misbehave by script: for tests of everything above the object-store layer.
 * The bytes that reach a sink are the inner store's, so what is asserted about them stays true.
 *
 *     new FaultyObjectStore(inner, { part: inOrder({ bytes: 1000, outcome: short }, undefined, { hold: gate.promise }) })
 */
import type {
  ByteRange,
  FetchOptions,
  ListPage,
  ListRequest,
  ObjectChecksums,
  ObjectInfo,
  ObjectStore,
  ObjectStoreStats,
  ObjectVersion,
  PartOutcome,
  PartSink,
} from '../../src/object-store/object-store.js';
import { assert } from '../../src/runtime/assert.js';
import { resolvedBeforeAbort } from './abortable.js';

/** What happens to one `fetchPart` call, in this order; all fields left out: nothing. */
export interface PartFault {
  /** Waited for before the inner store is asked. */
  readonly before?: Promise<void> | undefined;
  /** So many bytes of the range reach the sink (default: none when there is an `outcome`, else all). */
  readonly bytes?: number | undefined;
  /** Waited for behind those bytes: a stall. */
  readonly hold?: Promise<void> | undefined;
  /** The answer then. Left out, the rest of the range follows. */
  readonly outcome?: PartOutcome | undefined;
}

/** What happens to one `check`, `list`, `head`, `objectChecksums` or `partSizes` call. */
export interface ControlFault {
  readonly before?: Promise<void> | undefined;
  /** Thrown instead of asking the inner store. */
  readonly error?: Error | undefined;
}

export interface PartCall extends ByteRange {
  readonly key: string;
  /** 1 for the first `fetchPart` call of this key. */
  readonly attempt: number;
}

export interface ControlCall {
  readonly operation: 'check' | 'list' | 'head' | 'checksum';
  /** The key, or the prefix of a listing. */
  readonly key: string;
}

export interface FaultScript {
  readonly part?: ((call: PartCall) => PartFault | undefined) | undefined;
  readonly control?: ((call: ControlCall) => ControlFault | undefined) | undefined;
}

/** A script of one fault per call, in the order of the calls; calls beyond the list go well. */
export function inOrder<Fault>(...faults: readonly (Fault | undefined)[]): () => Fault | undefined {
  let next = 0;
  return () => faults[next++];
}

export class FaultyObjectStore implements ObjectStore {
  /** Every `fetchPart` call as it was asked for (the inner store sees a part with a fault in pieces). */
  readonly calls: PartCall[] = [];
  readonly #inner: ObjectStore;
  readonly #script: FaultScript;
  readonly #attempts = new Map<string, number>();
  readonly #closing = new AbortController();

  constructor(inner: ObjectStore, script: FaultScript) {
    this.#inner = inner;
    this.#script = script;
  }

  get endpoint(): string {
    return this.#inner.endpoint;
  }

  get bucket(): string {
    return this.#inner.bucket;
  }

  get stats(): ObjectStoreStats {
    return this.#inner.stats;
  }

  async check(prefix: string, signal?: AbortSignal): Promise<void> {
    await this.#control({ operation: 'check', key: prefix }, signal);
    return this.#inner.check(prefix, signal);
  }

  async list(request: ListRequest): Promise<ListPage> {
    await this.#control({ operation: 'list', key: request.prefix }, request.signal);
    return this.#inner.list(request);
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    await this.#control({ operation: 'head', key }, signal);
    return this.#inner.head(key, signal);
  }

  async objectChecksums(version: ObjectVersion, signal?: AbortSignal): Promise<ObjectChecksums> {
    await this.#control({ operation: 'checksum', key: version.key }, signal);
    return this.#inner.objectChecksums(version, signal);
  }

  async partSizes(
    version: ObjectVersion,
    parts: number,
    signal?: AbortSignal,
  ): Promise<readonly number[] | undefined> {
    await this.#control({ operation: 'checksum', key: version.key }, signal);
    return this.#inner.partSizes(version, parts, signal);
  }

  async fetchPart(
    version: ObjectVersion,
    range: ByteRange,
    sink: PartSink,
    options: FetchOptions,
  ): Promise<PartOutcome> {
    const attempt = (this.#attempts.get(version.key) ?? 0) + 1;
    this.#attempts.set(version.key, attempt);
    const call = { key: version.key, start: range.start, end: range.end, attempt };
    this.calls.push(call);
    const fault = this.#script.part?.(call);
    if (!fault) return this.#inner.fetchPart(version, range, sink, options);

    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    if (!(await resolvedBeforeAbort(fault.before, signal))) return { kind: 'aborted' };
    const bytes = fault.bytes ?? (fault.outcome ? 0 : range.end - range.start);
    const middle = range.start + bytes;
    assert(middle <= range.end, `a fault after ${bytes} bytes of a shorter range`);
    if (bytes > 0) {
      const outcome = await this.#inner.fetchPart(
        version,
        { start: range.start, end: middle },
        sink,
        options,
      );
      if (outcome.kind !== 'complete') return outcome;
    }
    if (!(await resolvedBeforeAbort(fault.hold, signal))) return { kind: 'aborted' };
    if (fault.outcome) return fault.outcome;
    if (middle === range.end) return { kind: 'complete' };
    return this.#inner.fetchPart(version, { start: middle, end: range.end }, sink, options);
  }

  expectFetches(count: number): void {
    this.#inner.expectFetches(count);
  }

  askAhead(): void {}

  close(): void {
    this.#closing.abort();
    this.#inner.close();
  }

  /** Calls aborted while they wait go on to the inner store, which says so in its own words. */
  async #control(call: ControlCall, signal: AbortSignal | undefined): Promise<void> {
    const fault = this.#script.control?.(call);
    const signals = signal ? [signal, this.#closing.signal] : [this.#closing.signal];
    await resolvedBeforeAbort(fault?.before, AbortSignal.any(signals));
    if (fault?.error) throw fault.error;
  }
}
