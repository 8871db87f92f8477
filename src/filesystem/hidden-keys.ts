/**
 * Counts the keys that are not shown and says once for each reason, with an example, that there are some. Each
 * directory counts by its latest listing, so that listing it again counts nothing twice.
 */
import { LRUCache } from '../runtime/lru.js';
import type { Logger } from '../observability/logger.js';
import type { HiddenKey } from './directory-listing.js';
import type { HiddenReason } from './keys.js';

/** Directories with hidden keys whose count is remembered; one that was forgotten counts again when listed again. */
const DIRECTORIES_MAX = 10_000;

/** Half a sentence for each reason. */
export const HIDDEN_BECAUSE: Readonly<Record<HiddenReason, string>> = {
  empty_part: 'a part of the key is empty',
  dot_part: 'a part of the key is "." or ".."',
  nul: 'the key contains a NUL character',
  name_too_long: 'a part of the key is longer than 255 bytes',
  not_unicode: 'the key is not valid Unicode',
  reserved: 'the name is reserved for the operating system',
  shadowed: 'there is a directory of the same name',
};

export class HiddenKeys {
  readonly #logger: Logger;
  readonly #counts = new LRUCache<string, number>({ max: DIRECTORIES_MAX });
  readonly #logged = new Set<HiddenReason>();
  #count = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get count(): number {
    return this.#count;
  }

  /** The latest listing of directory `path` hid `count` keys. */
  note(path: string, count: number, examples: readonly HiddenKey[]): void {
    this.#count += count - (this.#counts.get(path) ?? 0);
    if (count === 0) this.#counts.delete(path);
    else this.#counts.set(path, count);
    for (const { key, reason } of examples) {
      if (this.#logged.has(reason)) continue;
      this.#logged.add(reason);
      this.#logger.warn(
        { key, reason },
        `not shown: ${HIDDEN_BECAUSE[reason]}; further keys like it are only counted`,
      );
    }
  }
}
