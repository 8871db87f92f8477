/**
 * What the contract is checked on: an object store with the means to write to it. Used by the parts of the suite and
 * by the tests that run it, with the helpers that all of them need.
 */
import type { Test } from 'tap';
import type { ListPage, ObjectStore, ObjectVersion } from '../../src/object-store/object-store.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import type { CrcKind } from '../../src/runtime/crc.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { LendingSink } from '../support/lending-sink.js';

/** What some servers do not do: kinds of keys that they refuse or keep under another name, and a kind of listing. */
export type ContractException =
  /** `//`, a leading `/`. */
  | 'empty-segments'
  /** `.` and `..` between slashes. */
  | 'dot-segments'
  /** More than 255 bytes between two slashes. */
  | 'long-segments'
  /** U+0001 and the like. */
  | 'control-characters'
  /** A listing shows `x` and also `x/`. */
  | 'object-beside-prefix'
  /** Checksums of whole objects are kept and told. */
  | 'whole-checksums';

export interface ContractTarget {
  readonly store: ObjectStore;
  /** @param checksum the kind that the server is to keep; default: whatever it does by itself */
  put(key: string, bytes: Uint8Array, checksum?: CrcKind): Promise<void>;
  /** As one multipart upload, where there is such a thing. */
  putParts(key: string, parts: readonly Uint8Array[]): Promise<void>;
  delete(key: string): Promise<void>;
  /** Parts go into local files that are lent, instead of being handed over: that is for another transport. */
  readonly lendsFiles?: boolean | undefined;
  readonly exceptions: readonly ContractException[];
  /** Releases the target, closed store included. */
  dispose(): Promise<void>;
}

export type ContractTest = (t: Test, target: ContractTarget, prefix: string) => Promise<void>;

/** Tests by their titles. */
export type ContractTests = Readonly<Record<string, ContractTest>>;

export async function allPages(
  store: ObjectStore,
  request: { readonly prefix: string; readonly delimiter?: '/'; readonly entriesMax?: number },
): Promise<readonly ListPage[]> {
  const pages: ListPage[] = [];
  let continuation;
  do {
    const page: ListPage = await store.list({ ...request, continuation });
    pages.push(page);
    ({ continuation } = page);
  } while (continuation !== undefined);
  return pages;
}

export function keysOf(pages: readonly ListPage[]): readonly string[] {
  return pages.flatMap((page) => page.objects.map(({ key }) => key));
}

export function pattern(seed: number, start: number, end: number): Uint8Array {
  return fillPattern(new Uint8Array(end - start), seed, start);
}

export async function putVersion(
  target: ContractTarget,
  key: string,
  bytes: Uint8Array,
): Promise<ObjectVersion> {
  await target.put(key, bytes);
  return versionOf(target, key);
}

export async function versionOf({ store }: ContractTarget, key: string): Promise<ObjectVersion> {
  const info = await store.head(key);
  if (!info) throw new Error(`no HEAD of ${JSON.stringify(key)}`);
  return { endpoint: store.endpoint, bucket: store.bucket, key, etag: info.etag, size: info.size };
}

/** A part, by the transport that the target's sinks call for. */
export async function fetch(
  { store, lendsFiles = false }: Pick<ContractTarget, 'store' | 'lendsFiles'>,
  version: ObjectVersion,
  start: number,
  end: number,
) {
  const sink = lendsFiles ? new LendingSink(version.size, start) : new CollectingSink();
  try {
    const outcome = await store.fetchPart(version, { start, end }, sink, patient());
    return { outcome, bytes: sink.bytes };
  } finally {
    sink.dispose();
  }
}

/** Options of a fetch that nobody aborts. */
export function patient() {
  return { signal: new AbortController().signal, stallTimeoutMs: 10_000 };
}
