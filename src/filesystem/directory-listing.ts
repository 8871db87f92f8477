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
