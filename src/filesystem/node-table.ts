/**
 * The nodes of a mount: what is known of each path, found by node id and by path. The only place where nodes are
 * made, replaced and forgotten; directory-cache.ts and name-lookup.ts bring the evidence.
 *
 * Lifetime: a node stays while a cached listing, an open handle or the kernel's memory of it pins it. The others stay
 * as long as they are among the `unpinnedMax` used last. Memory is bounded by that and by those three.
 * A path has at most one attached node: its newest version. Replaced and removed nodes are detached: they answer
 * their old attributes while they are pinned, and are forgotten then.
 */
import { LRUCache } from '../runtime/lru.js';
import { assert } from '../runtime/assert.js';
import { ROOT_NODE } from './filesystem.js';
import type { NodeId } from './filesystem.js';
import { Inodes, ROOT_INODE } from './inodes.js';

/** `checkedMs` of what must be asked for again before anybody relies on it. */
export const NEVER = -Infinity;

/** What a listing or a HEAD says of a path. */
export type NodeFacts =
  | {
      readonly kind: 'file';
      readonly size: number;
      readonly etag: string;
      readonly modifiedMs: number;
      readonly archived: boolean;
    }
  /** `modifiedMs` undefined: the evidence does not tell. */
  | { readonly kind: 'directory'; readonly modifiedMs: number | undefined };

export interface Node {
  readonly id: NodeId;
  /** Below the mounted prefix, without a slash at either end; '' is the root. */
  readonly path: string;
  readonly inode: number;
  readonly kind: 'file' | 'directory';
  readonly size: number;
  readonly etag: string;
  readonly modifiedMs: number;
  readonly archived: boolean;
  /** When the newest request that showed the node was sent (monotonic), or `NEVER`. */
  readonly checkedMs: number;
  /** True while it is its path's newest version. */
  readonly attached: boolean;
}

type MutableNode = { -readonly [Field in keyof Node]: Node[Field] } & {
  pins: number;
  /** How often the kernel was told of the node and has not forgotten it; all of them together are one pin. */
  lookups: number;
};

export interface NodeTableOptions {
  readonly inodeBits: number;
  /** Nodes kept that nothing refers to. */
  readonly unpinnedMax: number;
  /** Modification time of directories without a marker. */
  readonly mountedMs: number;
  /** Told the path of a node that the kernel knows when it stops to be what the path leads to, or may. */
  readonly onOutdated?: ((path: string) => void) | undefined;
}

export class NodeTable {
  readonly #mountedMs: number;
  readonly #onOutdated: ((path: string) => void) | undefined;
  readonly #inodes: Inodes;
  readonly #byId = new Map<NodeId, MutableNode>();
  readonly #byPath = new Map<string, MutableNode>();
  /** Detached nodes that are still pinned, by path: they share the path's inode number. */
  readonly #detached = new Map<string, Set<MutableNode>>();
  readonly #unpinned: LRUCache<NodeId, MutableNode>;
  readonly #root: MutableNode;
  #idLast: NodeId = ROOT_NODE;

  constructor({ inodeBits, unpinnedMax, mountedMs, onOutdated }: NodeTableOptions) {
    this.#mountedMs = mountedMs;
    this.#onOutdated = onOutdated;
    this.#inodes = new Inodes(inodeBits);
    this.#unpinned = new LRUCache<NodeId, MutableNode>({
      max: unpinnedMax,
      // `disposeAfter` and not `dispose`: within the latter the cache may not be used.
      disposeAfter: (node, _id, reason) => {
        if (reason === 'evict') this.#drop(node);
      },
    });
    const facts = { size: 0, etag: '', modifiedMs: mountedMs, archived: false } as const;
    const links = { attached: true, checkedMs: NEVER, pins: 1, lookups: 0 };
    this.#root = { id: ROOT_NODE, path: '', inode: ROOT_INODE, kind: 'directory', ...facts, ...links };
    this.#byId.set(ROOT_NODE, this.#root);
    this.#byPath.set('', this.#root);
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: NodeId): Node | undefined {
    this.#unpinned.get(id);
    return this.#byId.get(id);
  }

  /** The newest version of `path`, however long ago that was learnt. */
  attached(path: string): Node | undefined {
    const node = this.#byPath.get(path);
    if (node?.pins === 0) this.#unpinned.get(node.id);
    return node;
  }

  /**
   * Takes in what a request sent at `checkedMs` said of `path` and returns the path's node: the known one when that
   * shows the same version or was learnt by a later request, else a new one with the same inode number.
   */
  show(path: string, facts: NodeFacts, checkedMs: number): Node {
    const node = this.#show(path, facts, checkedMs);
    if (node.pins === 0) this.#unpinned.set(node.id, node);
    return node;
  }

  /** As `show`, and pins the node, without passing it through the unpinned ones. */
  showPinned(path: string, facts: NodeFacts, checkedMs: number): Node {
    const node = this.#show(path, facts, checkedMs);
    this.pin(node.id);
    return node;
  }

  /** A request sent at `checkedMs` showed that there is nothing at `path`. The root always exists. */
  remove(path: string, checkedMs: number): void {
    const node = this.#byPath.get(path);
    if (node && node !== this.#root && node.checkedMs <= checkedMs) this.#detach(node);
  }

  /** What is known of `path` is no longer true, or may not be. */
  expire(path: string): void {
    const node = this.#byPath.get(path);
    if (!node) return;
    this.#tellOutdated(node);
    node.checkedMs = NEVER;
  }

  /** False when the node is forgotten already. */
  pin(id: NodeId): boolean {
    const node = this.#byId.get(id);
    if (!node) return false;
    if (node.pins++ === 0 && this.#unpinned.has(id)) this.#unpinned.delete(id);
    return true;
  }

  unpin(id: NodeId): void {
    const node = this.#byId.get(id);
    assert(node && node.pins > 0, `node ${id} is pinned`);
    if (--node.pins > 0) return;
    if (node.attached) this.#unpinned.set(id, node);
    else this.#drop(node);
  }

  /**
   * The kernel is told of the node once more. False when it must not be: the node is forgotten or detached, and nobody
   * would tell the kernel of that any more.
   */
  retain(id: NodeId): boolean {
    const node = this.#byId.get(id);
    if (!node?.attached) return false;
    if (node.lookups++ === 0) this.pin(id);
    return true;
  }

  /** The kernel forgot the node `count` times; more than it was told counts as all of them. */
  forget(id: NodeId, count: number): void {
    const node = this.#byId.get(id);
    if (!node || node.lookups === 0) return;
    node.lookups = Math.max(0, node.lookups - count);
    if (node.lookups === 0) this.unpin(id);
  }

  /** The caller takes care of a node without pins. */
  #show(path: string, facts: NodeFacts, checkedMs: number): MutableNode {
    const known = this.#byPath.get(path);
    if (!known) return this.#create(path, facts, checkedMs);
    if (known.checkedMs > checkedMs) return known;
    if (!isSameVersion(known, facts)) {
      const successor = this.#create(path, facts, checkedMs, known.inode);
      this.#detach(known);
      return successor;
    }
    known.checkedMs = checkedMs;
    known.modifiedMs = facts.modifiedMs ?? known.modifiedMs;
    if (facts.kind === 'file') known.archived = facts.archived;
    return known;
  }

  #create(path: string, facts: NodeFacts, checkedMs: number, inodeKnown?: number): MutableNode {
    const [older] = this.#detached.get(path) ?? [];
    const file = facts.kind === 'file' ? facts : undefined;
    const node: MutableNode = {
      id: ++this.#idLast,
      path,
      inode: inodeKnown ?? older?.inode ?? this.#inodes.claim(path),
      kind: facts.kind,
      size: file?.size ?? 0,
      etag: file?.etag ?? '',
      modifiedMs: facts.modifiedMs ?? this.#mountedMs,
      archived: file?.archived ?? false,
      checkedMs,
      attached: true,
      pins: 0,
      lookups: 0,
    };
    this.#byId.set(node.id, node);
    this.#byPath.set(path, node);
    return node;
  }

  #detach(node: MutableNode): void {
    this.#tellOutdated(node);
    node.attached = false;
    if (this.#byPath.get(node.path) === node) this.#byPath.delete(node.path);
    const others = this.#detached.get(node.path);
    if (others) others.add(node);
    else this.#detached.set(node.path, new Set([node]));
    if (node.pins === 0) this.#drop(node);
  }

  /** Of a node that was `NEVER` checked the kernel has heard before, or was told that it is valid for no time. */
  #tellOutdated({ path, lookups, checkedMs }: MutableNode): void {
    if (lookups > 0 && checkedMs !== NEVER) this.#onOutdated?.(path);
  }

  #drop(node: MutableNode): void {
    this.#unpinned.delete(node.id);
    this.#byId.delete(node.id);
    if (node.attached) this.#byPath.delete(node.path);
    const versions = this.#detached.get(node.path);
    versions?.delete(node);
    if (versions?.size === 0) this.#detached.delete(node.path);
    if (!this.#byPath.has(node.path) && !this.#detached.has(node.path)) this.#inodes.release(node.inode);
  }
}

function isSameVersion(node: Node, facts: NodeFacts): boolean {
  if (facts.kind === 'directory') return node.kind === 'directory';
  return node.kind === 'file' && node.etag === facts.etag && node.size === facts.size;
}
