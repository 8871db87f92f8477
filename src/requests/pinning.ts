/**
 * Pins objects as they are now, all or none: what is pinned must fit into the cache beside what was pinned before. And
 * unpins them, in whatever version they are pinned. Called by serve.ts.
 */
import { formatBytes } from '../runtime/units.js';
import { versionIdentity } from '../object-store/object-store.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import type { PinnableCache } from './cached-objects.js';
import { RequestError } from './messages.js';
import type { Selection } from './messages.js';
import { selects } from './select.js';

/** @throws RequestError when they do not fit: nothing is pinned then */
export function pinAll(versions: readonly ObjectVersion[], cache: PinnableCache): void {
  const sizes = new Map<string, number>();
  const before = cache.list({ pinned: true }).map(({ version }) => version);
  for (const version of [...before, ...versions]) sizes.set(versionIdentity(version), version.size);
  const bytes = sum([...sizes.values()]);
  if (bytes > cache.bytesMax) {
    const bytesBefore = sum(before.map(({ size }) => size));
    const [all, old, max] = [bytes, bytesBefore, cache.bytesMax].map(formatBytes);
    throw new RequestError(
      `nothing was pinned: with the ${old} that are pinned already it would be ${all}, and the cache's budget is ${max}; unpin something, or mount with a larger --cache-bytes-max`,
    );
  }
  for (const version of versions) cache.pin(version);
}

export interface Unpinned {
  readonly versions: readonly ObjectVersion[];
  /** Those that no pinned object matches. */
  readonly unmatched: readonly Selection[];
}

/** Asks nothing of the bucket: what is gone from there can be unpinned as well. */
export function unpinAll(
  selections: readonly Selection[],
  { endpoint, bucket }: Pick<ObjectVersion, 'endpoint' | 'bucket'>,
  cache: PinnableCache,
): Unpinned {
  const pinned = cache.list({ endpoint, bucket, pinned: true }).map(({ version }) => version.key);
  const matching = selections.map((selection) => ({ selection, keys: pinned.filter(selects(selection)) }));
  const keys = new Set(matching.flatMap((match) => match.keys));
  return {
    versions: [...keys]
      .flatMap((key) => cache.unpin({ endpoint, bucket, key }))
      .map(({ version }) => version),
    unmatched: matching.filter((match) => match.keys.length === 0).map(({ selection }) => selection),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
