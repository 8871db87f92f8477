/**
 * Finds one name in a directory: from memory while that is fresh, else from the object store by a HEAD of the key and
 * a listing of what lies below it, at once. The directory wins over an object of the same name.
 *
 * That a name does not exist is remembered only from answers that would have shown it; a request that failed is an
 * error and is remembered by nobody.
 */
import { LRUCache } from '../runtime/lru.js';
import type { ListPage, ObjectInfo } from '../object-store/object-store.js';
import { factsOf, fileFacts } from './directory-cache.js';
import type { DirectoryCache, DirectoryCacheDeps } from './directory-cache.js';
import { CoveredNames, DirectoryListing } from './directory-listing.js';
import { FilesystemError } from './errors.js';
import { Flights } from './flights.js';
import type { Flight } from './flights.js';
import { childPath, directoryPrefix, fitsBytes, KEY_BYTES_MAX, nameProblem } from './keys.js';
import type { Platform } from './keys.js';
import type { Node } from './node-table.js';

export interface NameLookupDeps extends Omit<DirectoryCacheDeps, 'logger'> {
  readonly directories: DirectoryCache;
}

export interface NameLookupOptions {
  readonly prefix: string;
  readonly metadataTtlMs: number;
  readonly platform: Platform;
  /** Names remembered as absent. */
  readonly absentMax: number;
}

/** Below the root, those next to it first: as many as there are connections for control calls at most, less one. */
const FORESEEN_DIRECTORIES_MAX = 7;
/** Of one directory: a page of this size is taken in within a few ms. */
const FORESEEN_NAMES_MAX = 100;
/** From the mount to the first file that a script opens; whatever changes in the bucket meanwhile is seen soon. */
const FORESIGHT_MS = 5000;

export class NameLookup {
  readonly #deps: NameLookupDeps;
  readonly #options: NameLookupOptions;
  readonly #flights: Flights<Node | undefined>;
  /** When each path was last asked for and not there. */
  readonly #absent: LRUCache<string, number>;

  constructor(deps: NameLookupDeps, options: NameLookupOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#flights = new Flights(deps.clock, options.metadataTtlMs);
    this.#absent = new LRUCache({ max: options.absentMax });
  }

  /** The node of `name` in directory `parent`, undefined when there is none. @throws ObjectStoreError, FilesystemError */
  async find(parent: string, name: string): Promise<Node | undefined> {
    const problem = nameProblem(name, this.#options.platform);
    if (problem === 'name_too_long') {
      throw new FilesystemError('name_too_long', `a name has at most 255 bytes: ${JSON.stringify(name)}`);
    }
    const path = childPath(parent, name);
    const key = `${this.#options.prefix}${path}`;
    if (problem !== undefined || !fitsBytes(key, KEY_BYTES_MAX)) return undefined;
    const known = this.#fromMemory(parent, name, path);
    if (known) return known === 'absent' ? undefined : known;
    return this.#flights.share(path, (flight) => this.#ask(path, key, flight));
  }

  /**
   * Learns what the first lookups of a mount are likely to ask for: names in the root and in the first directories
   * below it, level by level. They answer for some seconds only, and only for what is there. It also opens the
   * connections for lookups, and runs the code for the first time, each of which would cost the first lookup a round
   * trip. Never rejects.
   */
  async foresee(): Promise<void> {
    try {
      let directories = await this.#foreseeDirectory('');
      for (let left = FORESEEN_DIRECTORIES_MAX; left > 0 && directories.length > 0;) {
        const chosen = directories.slice(0, left);
        left -= chosen.length;
        const below = await Promise.all(chosen.map((path) => this.#foreseeDirectory(path)));
        directories = below.flat();
      }
    } catch {
      // Nobody waits for it: the next lookup meets what is wrong.
    }
  }

  /** The next question about `path` goes to the object store. */
  expire(path: string): void {
    this.#flights.outdate(path);
    this.#absent.delete(path);
  }

  close(): void {
    this.#flights.abortAll();
    this.#absent.clear();
  }

  /** The latest evidence about `path`, when it is fresh; undefined when it must be asked for. */
  #fromMemory(parent: string, name: string, path: string): Node | 'absent' | undefined {
    const freshSinceMs = this.#deps.clock.nowMs() - this.#options.metadataTtlMs;
    const node = this.#deps.nodes.attached(path);
    const listing = this.#deps.directories.freshAbout(parent, name);
    if (node && node.checkedMs > freshSinceMs && node.checkedMs >= (listing?.checkedMs ?? node.checkedMs)) {
      return node;
    }
    if (listing) return 'absent';
    const absentMs = this.#absent.get(path);
    return absentMs !== undefined && absentMs > freshSinceMs ? 'absent' : undefined;
  }

  async #ask(path: string, key: string, flight: Flight): Promise<Node | undefined> {
    const { objectStore, nodes } = this.#deps;
    const { signal } = flight;
    // A directory needs the listing alone: it goes first, and has the connection that is ready if there is only one.
    const listing = fitsBytes(`${key}/`, KEY_BYTES_MAX)
      ? objectStore.list({ prefix: `${key}/`, delimiter: '/', signal })
      : undefined;
    const head = objectStore.head(key, signal);
    // Its failure is met below, unless the listing decides before. It runs to its end then: to abort it would cost the
    // connection, which the next lookup would have to open again.
    head.catch(() => {});
    let page: ListPage | undefined;
    try {
      page = await listing;
    } catch (error) {
      flight.abort();
      throw error;
    }
    if (page && page.objects.length + page.prefixes.length > 0) {
      return this.#showDirectory(path, key, page, flight.checkedMs());
    }
    const object: ObjectInfo | undefined = await head;
    const checkedMs = flight.checkedMs();
    if (object) {
      this.#absent.delete(path);
      return nodes.show(path, fileFacts(object), checkedMs);
    }
    nodes.remove(path, checkedMs);
    this.#absent.set(path, checkedMs);
    return undefined;
  }

  /** The directories that it shows. */
  async #foreseeDirectory(path: string): Promise<string[]> {
    const { clock, nodes, objectStore } = this.#deps;
    const { metadataTtlMs, platform } = this.#options;
    // As old as what may be relied on for so long and no longer.
    const checkedMs = clock.nowMs() - Math.max(0, metadataTtlMs - FORESIGHT_MS);
    const prefix = directoryPrefix(this.#options.prefix, path);
    const page = await objectStore.list({ prefix, delimiter: '/', entriesMax: FORESEEN_NAMES_MAX });
    const covered = page.continuation === undefined ? undefined : CoveredNames.of(prefix, page);
    if (page.continuation !== undefined && !covered) return [];
    const listing = new DirectoryListing(prefix, platform);
    listing.add(page, checkedMs);
    const directories: string[] = [];
    for (const entry of listing.finish().names) {
      const child = childPath(path, entry.name);
      // A lookup has asked for it meanwhile.
      if (covered?.has(entry.name) === false || this.#absent.has(child)) continue;
      nodes.show(child, factsOf(entry), checkedMs);
      if (!entry.object) directories.push(child);
    }
    return directories;
  }

  #showDirectory(path: string, key: string, page: ListPage, checkedMs: number): Node {
    this.#absent.delete(path);
    this.#deps.directories.accept(path, page, checkedMs);
    const marker = page.objects.find((object) => object.key === `${key}/`);
    const facts = { kind: 'directory', modifiedMs: marker?.lastModifiedMs } as const;
    return this.#deps.nodes.show(path, facts, checkedMs);
  }
}
