/**
 * A sorted map from object keys to values, in the order S3 lists keys: by their UTF-8 bytes. Used by storage.ts
 * for the live objects and for the history of each bucket.
 *
 * The keys lie in a list of sorted blocks of at most `BLOCK_KEYS_MAX`. A lookup is two binary searches, an
 * insertion moves at most one block's keys, and a page of n keys costs O(log size + n), whatever lies before it.
 * A block never becomes empty; an empty index has no blocks.
 */

/** Moving half a block of pointers costs less than the comparisons around it; 100,000 keys make ~300 blocks. */
const BLOCK_KEYS_MAX = 512;

export interface KeyIndexEntry<V> {
  readonly key: string;
  value: V;
}

/**
 * The order of the UTF-8 encodings. JavaScript compares UTF-16 code units, which differs in one case: a
 * surrogate (code points from U+10000) sorts after U+E000…U+FFFF in UTF-8, but before in UTF-16.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return utf8Rank(x) - utf8Rank(y);
  }
  return a.length - b.length;
}

function utf8Rank(codeUnit: number): number {
  return codeUnit >= 0xd800 && codeUnit <= 0xdfff ? codeUnit + 0x10000 : codeUnit;
}

export class KeyIndex<V> {
  #blocks: KeyIndexEntry<V>[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    const [block, at] = this.#seek((candidate) => compareKeys(candidate, key) >= 0);
    const entry = this.#blocks[block]?.[at];
    return entry?.key === key ? entry.value : undefined;
  }

  set(key: string, value: V): void {
    const [block, at] = this.#seek((candidate) => compareKeys(candidate, key) >= 0);
    const found = this.#blocks[block]?.[at];
    if (found?.key === key) {
      found.value = value;
      return;
    }
    this.#size++;
    // Past the last key of all: append to the last block.
    const target = Math.min(block, this.#blocks.length - 1);
    const entries = this.#blocks[target];
    if (entries === undefined) {
      this.#blocks.push([{ key, value }]);
      return;
    }
    entries.splice(target === block ? at : entries.length, 0, { key, value });
    if (entries.length > BLOCK_KEYS_MAX) this.#split(target, entries);
  }

  delete(key: string): boolean {
    const [block, at] = this.#seek((candidate) => compareKeys(candidate, key) >= 0);
    const entries = this.#blocks[block];
    if (entries?.[at]?.key !== key) return false;
    entries.splice(at, 1);
    if (entries.length === 0) this.#blocks.splice(block, 1);
    this.#size--;
    return true;
  }

  /** The entries from the first key for which `reached` holds on; it must hold for every later key too. */
  *from(reached: (key: string) => boolean): Generator<KeyIndexEntry<V>, void> {
    let [block, at] = this.#seek(reached);
    for (; block < this.#blocks.length; block++, at = 0) {
      const entries = this.#blocks[block] ?? [];
      for (; at < entries.length; at++) yield entries[at] as KeyIndexEntry<V>;
    }
  }

  /** The first entry whose key is `reached`; see `from`. */
  first(reached: (key: string) => boolean): KeyIndexEntry<V> | undefined {
    const [block, at] = this.#seek(reached);
    return this.#blocks[block]?.[at];
  }

  /** An independent index with the same entries. */
  clone(): KeyIndex<V> {
    const copy = new KeyIndex<V>();
    copy.#blocks = this.#blocks.map((entries) => entries.map(({ key, value }) => ({ key, value })));
    copy.#size = this.#size;
    return copy;
  }

  #split(at: number, entries: KeyIndexEntry<V>[]): void {
    // Keys often arrive in order: then a block is left nearly full rather than half empty.
    const keep = at === this.#blocks.length - 1 ? BLOCK_KEYS_MAX - 8 : BLOCK_KEYS_MAX >> 1;
    this.#blocks.splice(at + 1, 0, entries.splice(keep));
  }

  /** [block, position] of the first key for which the monotone `reached` holds; [number of blocks, 0] if none. */
  #seek(reached: (key: string) => boolean): [number, number] {
    const blocks = this.#blocks;
    const block = lowerBound(blocks.length, (i) => reached(lastKey(blocks[i] ?? [])));
    const entries = blocks[block];
    if (entries === undefined) return [blocks.length, 0];
    return [block, lowerBound(entries.length, (i) => reached((entries[i] as KeyIndexEntry<V>).key))];
  }
}

/** Blocks are never empty. */
function lastKey<V>(entries: readonly KeyIndexEntry<V>[]): string {
  return entries.at(-1)?.key ?? '';
}

/** The smallest index in [0, length) for which the monotone `holds` is true, or `length`. */
function lowerBound(length: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
