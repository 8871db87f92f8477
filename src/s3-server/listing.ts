/**
 * One page of a listing: a walk over a sorted key index that rolls keys up into common prefixes. Independent of the
 * protocol. After a common prefix the walk seeks past all its keys instead of visiting them, so a page costs
 * O(items on it × log size) however many keys lie below the prefixes.
 */
import { compareKeys, type KeyIndex, type KeyIndexEntry } from './key-index.js';

export interface ListPageOptions {
  readonly prefix: string;
  /** '' = none. */
  readonly delimiter: string;
  /** Only keys and common prefixes after this one; '' = from the beginning. */
  readonly after: string;
  /** Of keys and common prefixes together. */
  readonly maxKeys: number;
}

export interface ListPage<V> {
  readonly entries: readonly Readonly<KeyIndexEntry<V>>[];
  readonly commonPrefixes: readonly string[];
  readonly isTruncated: boolean;
  /** The last key or common prefix of the page: the next one begins after it. '' for an empty page. */
  readonly last: string;
}

export function listPage<V>(index: KeyIndex<V>, options: ListPageOptions): ListPage<V> {
  const { prefix, delimiter, after, maxKeys } = options;
  const entries: KeyIndexEntry<V>[] = [];
  const commonPrefixes: string[] = [];
  let last = '';
  // A page of nothing is complete, whatever the bucket holds: clients would ask for ever.
  if (maxKeys === 0) return { entries, commonPrefixes, isTruncated: false, last };

  let walk = index.from(startAt(prefix, delimiter, after));
  for (;;) {
    const { value: entry, done } = walk.next();
    if (done === true || !entry.key.startsWith(prefix))
      return { entries, commonPrefixes, isTruncated: false, last };
    if (entries.length + commonPrefixes.length === maxKeys)
      return { entries, commonPrefixes, isTruncated: true, last };
    const commonPrefix = commonPrefixOf(entry.key, prefix, delimiter);
    if (commonPrefix === undefined) {
      entries.push(entry);
      last = entry.key;
    } else {
      commonPrefixes.push(commonPrefix);
      last = commonPrefix;
      walk = index.from(isPast(commonPrefix));
    }
  }
}

/** The part of `key` up to and including the first delimiter after `prefix`, if there is one. */
export function commonPrefixOf(key: string, prefix: string, delimiter: string): string | undefined {
  if (delimiter === '') return undefined;
  const at = key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter.length);
}

/** Where the walk begins: at the prefix, after `after`, and past the common prefix that `after` is or lies in. */
function startAt(prefix: string, delimiter: string, after: string): (key: string) => boolean {
  if (after === '' || compareKeys(after, prefix) < 0) return (key) => compareKeys(key, prefix) >= 0;
  const commonPrefix = after.startsWith(prefix) ? commonPrefixOf(after, prefix, delimiter) : undefined;
  return commonPrefix === undefined ? (key) => compareKeys(key, after) > 0 : isPast(commonPrefix);
}

/** Holds for the keys that sort after every key beginning with `prefix`. */
function isPast(prefix: string): (key: string) => boolean {
  return (key) => !key.startsWith(prefix) && compareKeys(key, prefix) > 0;
}
