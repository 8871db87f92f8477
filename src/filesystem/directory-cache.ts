/**
 * Listings of directories: fetched page by page, one flight per directory however many ask, kept while memory allows
 * and relied on for the metadata TTL. Called by name-lookup.ts and the filesystem.
 *
 * A cached listing pins its nodes. It may be the beginning of a large directory, which a lookup brought along: it
 * answers for the names it covers and is never shown as the directory. Its entries were valid when their page was asked for; the absence of a name was
 * when the first page was. A listing that failed half way leaves nothing behind.
 */
import { LRUCache } from '../runtime/lru.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../observability/logger.js';
import type { ListPage, ObjectInfo, ObjectStore } from '../object-store/object-store.js';
import { CoveredNames, DirectoryListing } from './directory-listing.js';
import type { ListedDirectory, ListedName } from './directory-listing.js';
import { FilesystemError } from './errors.js';
import { Flights } from './flights.js';
import type { Flight } from './flights.js';
import { HiddenKeys } from './hidden-keys.js';
import { childPath, directoryPrefix, nameOf } from './keys.js';
import type { Platform } from './keys.js';
import type { Node, NodeFacts, NodeTable } from './node-table.js';

export interface DirectoryCacheDeps {
  readonly objectStore: ObjectStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodes: NodeTable;
}

export interface DirectoryCacheOptions {
  /** The mounted prefix: '' or ending in '/'. */
  readonly prefix: string;
  readonly metadataTtlMs: number;
  readonly platform: Platform;
  /** Entries of all cached listings together. */
  readonly cachedEntriesMax: number;
  /** Entries of one directory; larger ones fail. */
  readonly directoryEntriesMax: number;
}

export interface Listing {
  /** In byte order of their names. Some may have been replaced or removed since. */
  readonly nodes: readonly Node[];
  readonly exists: boolean;
  readonly checkedMs: number;
  /** Undefined: all of them. Else the listing is the beginning of one, and knows only of these names. */
  readonly covered: CoveredNames | undefined;
}

export class DirectoryCache {
  readonly #deps: DirectoryCacheDeps;
  readonly #options: DirectoryCacheOptions;
  readonly #flights: Flights<Listing>;
  readonly #listings: LRUCache<string, Listing>;
  readonly #hidden: HiddenKeys;
  #listedCount = 0;

  constructor(deps: DirectoryCacheDeps, options: DirectoryCacheOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#flights = new Flights(deps.clock, options.metadataTtlMs);
    this.#hidden = new HiddenKeys(deps.logger);
    this.#listings = new LRUCache<string, Listing>({
      maxSize: options.cachedEntriesMax,
      sizeCalculation: (listing) => listing.nodes.length + 1,
      disposeAfter: (listing) => this.#unpin(listing),
    });
  }

  /** Directories listed completely so far, repetitions included. */
  get listedCount(): number {
    return this.#listedCount;
  }

  get hiddenCount(): number {
    return this.#hidden.count;
  }

  /** The complete listing of `path`, when it is young enough to rely on. */
  fresh(path: string): Listing | undefined {
    const listing = this.#young(path);
    return listing?.covered ? undefined : listing;
  }

  /** A listing of `path` that would show `name` if it were there, young enough to rely on. */
  freshAbout(path: string, name: string): Listing | undefined {
    const listing = this.#young(path);
    return listing?.covered?.has(name) === false ? undefined : listing;
  }

  /** A fresh listing, from memory or from the object store. @throws ObjectStoreError, FilesystemError */
  async list(path: string): Promise<Listing> {
    return this.fresh(path) ?? this.#flights.share(path, (flight) => this.#fetch(path, flight));
  }

  /** Takes in the first page of a listing of `path`, asked for at `checkedMs`: all of it, or its beginning. */
  accept(path: string, page: ListPage, checkedMs: number): void {
    const prefix = directoryPrefix(this.#options.prefix, path);
    const listing = new DirectoryListing(prefix, this.#options.platform);
    listing.add(page, checkedMs);
    const isWhole = page.continuation === undefined;
    const covered = isWhole ? undefined : CoveredNames.of(prefix, page);
    if (isWhole) this.#takeIn(path, listing.finish(), checkedMs, (sentMs) => sentMs);
    else if (covered && !this.fresh(path)) this.#takeInBeginning(path, listing.finish(), covered, checkedMs);
  }

  /** The next question about `path` or a name in it goes to the object store. */
  expire(path: string): void {
    this.#flights.outdate(path);
    this.#listings.delete(path);
  }

  close(): void {
    this.#flights.abortAll();
    this.#listings.clear();
  }

  async #fetch(path: string, flight: Flight): Promise<Listing> {
    const { objectStore, clock } = this.#deps;
    const { platform, directoryEntriesMax } = this.#options;
    const prefix = directoryPrefix(this.#options.prefix, path);
    const listing = new DirectoryListing(prefix, platform);
    let continuation: string | undefined;
    do {
      const sentMs = clock.nowMs();
      const page = await objectStore.list({ prefix, delimiter: '/', continuation, signal: flight.signal });
      listing.add(page, sentMs);
      if (listing.size > directoryEntriesMax) throw tooLarge(path, directoryEntriesMax);
      if (page.continuation !== undefined && page.continuation === continuation) throw endless(path);
      continuation = page.continuation;
    } while (continuation !== undefined);
    return this.#takeIn(path, listing.finish(), flight.checkedMs(), (sentMs) => flight.checkedMs(sentMs));
  }

  /**
   * One synchronous step: nodes, cached listing and hidden keys change together. `checked` is asked for each entry's
   * time only now, because the flight may have been outdated after its first page.
   */
  #takeIn(
    path: string,
    listed: ListedDirectory,
    checkedMs: number,
    checked: (sentMs: number) => number,
  ): Listing {
    const { nodes } = this.#deps;
    this.#listedCount++;
    this.#hidden.note(path, listed.hiddenCount, listed.hiddenExamples);
    const exists =
      path === '' || listed.names.length + listed.hiddenCount > 0 || listed.markerModifiedMs !== undefined;
    if (exists) nodes.show(path, { kind: 'directory', modifiedMs: listed.markerModifiedMs }, checkedMs);
    else nodes.remove(path, checkedMs);

    const shown = listed.names.map((entry) =>
      nodes.showPinned(childPath(path, entry.name), factsOf(entry), checked(entry.checkedMs)),
    );
    const listing: Listing = { nodes: shown, exists, checkedMs, covered: undefined };
    this.#keep(path, listing);
    return listing;
  }

  /** What a lookup learnt of a large directory on the way. A name at the edge of the page may be a directory behind it. */
  #takeInBeginning(path: string, listed: ListedDirectory, covered: CoveredNames, checkedMs: number): void {
    const nodes = listed.names
      .filter(({ name }) => covered.has(name))
      .map((entry) => this.#deps.nodes.showPinned(childPath(path, entry.name), factsOf(entry), checkedMs));
    this.#keep(path, { nodes, exists: true, checkedMs, covered });
  }

  #young(path: string): Listing | undefined {
    const listing = this.#listings.get(path);
    if (!listing) return undefined;
    return this.#deps.clock.nowMs() - listing.checkedMs < this.#options.metadataTtlMs ? listing : undefined;
  }

  /** The nodes are pinned for the listing: they stay so if it is kept. */
  #keep(path: string, listing: Listing): void {
    const { nodes } = this.#deps;
    const { checkedMs, covered } = listing;
    const before = this.#listings.peek(path);
    const isOlder = before !== undefined && before.checkedMs > checkedMs;
    if (!isOlder) {
      // Names of the listing before that this one lacks are gone; those it has were just checked or replaced.
      for (const node of before?.nodes ?? []) {
        const isGone =
          node.attached && node.checkedMs < checkedMs && covered?.has(nameOf(node.path)) !== false;
        if (isGone) nodes.remove(node.path, checkedMs);
      }
      this.#listings.delete(path);
      if (listing.exists && listing.nodes.length < this.#options.cachedEntriesMax) {
        this.#listings.set(path, listing);
        return;
      }
    }
    this.#unpin(listing);
  }

  #unpin(listing: Listing): void {
    for (const node of listing.nodes) this.#deps.nodes.unpin(node.id);
  }
}

export function factsOf({ object }: ListedName): NodeFacts {
  return object ? fileFacts(object) : { kind: 'directory', modifiedMs: undefined };
}

export function fileFacts({ size, etag, lastModifiedMs, archived }: ObjectInfo): NodeFacts {
  return { kind: 'file', size, etag, modifiedMs: lastModifiedMs, archived };
}

function tooLarge(path: string, entriesMax: number): FilesystemError {
  return new FilesystemError(
    'unreachable',
    `directory ${JSON.stringify(path)} has over ${entriesMax} entries`,
  );
}

function endless(path: string): FilesystemError {
  const name = JSON.stringify(path);
  return new FilesystemError('unreachable', `the listing of ${name} does not end: its continuation repeats`);
}
