/**
 * Turns the pages of one delimiter listing into the entries of one directory: pure, used by directory-cache.ts.
 * Pages may repeat or reorder keys when the bucket changes between them; each name comes out once, the directory
 * winning over an object of the same name, in byte order.
 */
import type { ListPage, ObjectInfo } from '../object-store/object-store.js';
import { compareNames, nameProblem } from './keys.js';
import type { HiddenReason, Platform } from './keys.js';

export interface ListedName {
  readonly name: string;
  /** Undefined for a directory. */
  readonly object: ObjectInfo | undefined;
  /** When the page that showed it was asked for; monotonic. */
  readonly checkedMs: number;
}

export interface HiddenKey {
  readonly key: string;
  readonly reason: HiddenReason;
}

export interface ListedDirectory {
  readonly names: readonly ListedName[];
  /** LastModified of the marker object; undefined when there is none. */
  readonly markerModifiedMs: number | undefined;
  /** How many keys or prefixes directly in this directory are not shown. */
  readonly hiddenCount: number;
  /** One example for each reason. */
  readonly hiddenExamples: readonly HiddenKey[];
}

export class DirectoryListing {
  readonly #prefix: string;
  readonly #platform: Platform;
  readonly #names = new Map<string, ListedName>();
  readonly #hidden = new Set<string>();
  readonly #hiddenExamples = new Map<HiddenReason, HiddenKey>();
  #markerModifiedMs: number | undefined;

  /** `prefix` is what was listed: '' or ending in '/'. */
  constructor(prefix: string, platform: Platform) {
    this.#prefix = prefix;
    this.#platform = platform;
  }

  /** Names and hidden keys so far. */
  get size(): number {
    return this.#names.size + this.#hidden.size;
  }

  add(page: ListPage, checkedMs: number): void {
    for (const object of page.objects) {
      if (object.key === this.#prefix) this.#markerModifiedMs = object.lastModifiedMs;
      else this.#add(object.key, object.key.slice(this.#prefix.length), object, checkedMs);
    }
    for (const prefix of page.prefixes) {
      this.#add(prefix, prefix.slice(this.#prefix.length, -1), undefined, checkedMs);
    }
  }

  finish(): ListedDirectory {
    return {
      names: [...this.#names.values()].sort((a, b) => compareNames(a.name, b.name)),
      markerModifiedMs: this.#markerModifiedMs,
      hiddenCount: this.#hidden.size,
      hiddenExamples: [...this.#hiddenExamples.values()],
    };
  }

  #add(key: string, name: string, object: ObjectInfo | undefined, checkedMs: number): void {
    const problem = nameProblem(name, this.#platform);
    if (problem !== undefined) return this.#hide(key, problem);
    const known = this.#names.get(name);
    if (known && !known.object && object) return this.#hide(key, 'shadowed');
    if (known?.object && !object) this.#hide(known.object.key, 'shadowed');
    this.#names.set(name, { name, object, checkedMs });
  }

  #hide(key: string, reason: HiddenReason): void {
    this.#hidden.add(key);
    if (!this.#hiddenExamples.has(reason)) this.#hiddenExamples.set(reason, { key, reason });
  }
}

/** The part of a directory that the first page of its listing speaks for: the names before its last key. */
export class CoveredNames {
  readonly #prefix: string;
  readonly #last: string;

  private constructor(prefix: string, last: string) {
    this.#prefix = prefix;
    this.#last = last;
  }

  /** Undefined when the page is not in byte order (directory buckets list in none): it speaks for nothing then. */
  static of(prefix: string, { objects, prefixes }: ListPage): CoveredNames | undefined {
    const keys = objects.map(({ key }) => key);
    if (!isSorted(keys) || !isSorted(prefixes)) return undefined;
    const last = [keys.at(-1), prefixes.at(-1)]
      .filter((key) => key !== undefined)
      .sort(compareNames)
      .at(-1);
    return last === undefined ? undefined : new CoveredNames(prefix, last);
  }

  /** True when both of a name's keys, the file's and behind it the directory's, would have come by now. */
  has(name: string): boolean {
    return compareNames(`${this.#prefix}${name}/`, this.#last) <= 0;
  }
}

function isSorted(keys: readonly string[]): boolean {
  return keys.every((key, at) => at === 0 || compareNames(keys[at - 1]!, key) < 0);
}
