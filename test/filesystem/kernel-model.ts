/**
 * What a kernel remembers of a filesystem that it was told of: nodes, with how often it was told, and names. Tells the
 * filesystem what it forgets, drops names when it is told to, and says what of its memory would be wrong.
 */
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import type { Filesystem, NodeEntry, NodeId } from '../../src/filesystem/filesystem.js';

interface KnownName {
  readonly parent: NodeId;
  readonly name: string;
  readonly node: NodeId;
}

export class KernelModel {
  readonly #filesystem: Filesystem;
  readonly #nodes = new Map<NodeId, { readonly entry: NodeEntry; lookups: number }>();
  #names: KnownName[] = [];

  constructor(filesystem: Filesystem) {
    this.#filesystem = filesystem;
    filesystem.onNameOutdated((parent, name) => this.#dropName(parent, name));
  }

  get nodes(): NodeId[] {
    return [...this.#nodes.keys()];
  }

  /** Takes the answer to a lookup or an entry of a directory, if the filesystem still stands by it. */
  told(parent: NodeId, name: string, entry: NodeEntry): boolean {
    if (!this.#filesystem.retain(entry.node)) return false;
    const known = this.#nodes.get(entry.node) ?? { entry, lookups: 0 };
    known.lookups += 1;
    this.#nodes.set(entry.node, known);
    const isSame = this.#names.some(
      (old) => old.parent === parent && old.name === name && old.node === entry.node,
    );
    if (!isSame) this.#dropName(parent, name);
    if (!isSame && entry.validMs > 0) this.#names.push({ parent, name, node: entry.node });
    return true;
  }

  /** Forgets `count` of the times it was told of `node`; also more than that, as no kernel should. */
  forget(node: NodeId, count: number): void {
    const known = this.#nodes.get(node);
    if (known !== undefined) known.lookups -= count;
    if (known !== undefined && known.lookups <= 0) {
      this.#nodes.delete(node);
      for (const { parent, name } of this.#names.filter((each) => each.node === node))
        this.#dropName(parent, name);
    }
    this.#filesystem.forget(node, count);
  }

  /** Forgets everything, exactly. */
  forgetAll(): void {
    for (const [node, { lookups }] of this.#nodes) this.forget(node, lookups);
  }

  /** What it relies on and may not. */
  mistakes(): string[] {
    const mistakes: string[] = [];
    for (const [node, { entry }] of this.#nodes) {
      const now = this.#filesystem.getAttributes(node)?.attributes;
      const { kind, size, inode } = entry.attributes;
      if (now === undefined) mistakes.push(`node ${node} is known no more`);
      else if (now.kind !== kind || now.size !== size || now.inode !== inode)
        mistakes.push(`node ${node} has changed`);
    }
    for (const { node, name } of this.#names)
      if (isOutdated(this.#filesystem, node)) mistakes.push(`"${name}" leads to ${node}, which is outdated`);
    return mistakes;
  }

  /** With a directory goes what is in it. */
  #dropName(parent: NodeId, name: string): void {
    const dropped = this.#names.filter((each) => each.parent === parent && each.name === name);
    this.#names = this.#names.filter((each) => !dropped.includes(each));
    for (const { node } of dropped) {
      if (node === ROOT_NODE) continue;
      for (const below of this.#names.filter((each) => each.parent === node))
        this.#dropName(node, below.name);
    }
  }
}

/** An open for writing opens nothing, and is refused as outdated before anything else. */
export function isOutdated(filesystem: Filesystem, node: NodeId): boolean {
  try {
    filesystem.open(node, { write: true });
    return false;
  } catch (error) {
    return (error as { readonly code?: string }).code === 'stale';
  }
}
