/**
 * The open file handles of a mount, by number and by path. Numbers are 1…2³¹−1 (a driver passes them as signed 32-bit
 * integers) and are used again only after all others were.
 */
import type { Content } from '../file/content.js';
import { FilesystemError } from './errors.js';
import type { HandleId } from './filesystem.js';
import type { Node } from './node-table.js';
import { OpenFile } from './open-file.js';

const HANDLE_ID_MAX = 2 ** 31 - 1;

export interface HandleTableOptions {
  readonly openHandlesMax: number;
  /** The number given first; default 1. */
  readonly firstId?: HandleId | undefined;
}

export class HandleTable {
  readonly #openHandlesMax: number;
  readonly #byId = new Map<HandleId, OpenFile>();
  readonly #byPath = new Map<string, Set<OpenFile>>();
  #nextId: HandleId;

  constructor({ openHandlesMax, firstId = 1 }: HandleTableOptions) {
    this.#openHandlesMax = openHandlesMax;
    this.#nextId = firstId;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** @throws FilesystemError too_many_open_files */
  assertRoom(): void {
    if (this.#byId.size < this.#openHandlesMax) return;
    throw new FilesystemError(
      'too_many_open_files',
      `${this.#openHandlesMax} files are open, which is the limit`,
    );
  }

  add(node: Node, content: Content): OpenFile {
    const file = new OpenFile(this.#unusedId(), node, content);
    this.#byId.set(file.id, file);
    const samePath = this.#byPath.get(node.path);
    if (samePath) samePath.add(file);
    else this.#byPath.set(node.path, new Set([file]));
    return file;
  }

  find(id: HandleId): OpenFile | undefined {
    return this.#byId.get(id);
  }

  /** @throws FilesystemError bad_handle */
  get(id: HandleId): OpenFile {
    const file = this.find(id);
    if (!file) throw new FilesystemError('bad_handle', `no open file has handle ${id}`);
    return file;
  }

  /** Ends all reads, now and later, of handles on other versions of the node's path that `matches` chooses. */
  supersedeOthers(node: Node, matches: (other: Node) => boolean): void {
    for (const file of this.#byPath.get(node.path) ?? []) {
      if (file.node !== node && matches(file.node)) file.supersede();
    }
  }

  /** Resolves when no read is under way on other versions of the node's path. */
  async othersIdle(node: Node): Promise<void> {
    const others = [...(this.#byPath.get(node.path) ?? [])].filter((file) => file.node !== node);
    await Promise.all(others.map((file) => file.whenIdle()));
  }

  /** The file that was released; undefined when there is no such handle. */
  release(id: HandleId): OpenFile | undefined {
    const file = this.#byId.get(id);
    if (!file) return undefined;
    file.release();
    this.#byId.delete(id);
    const samePath = this.#byPath.get(file.node.path);
    samePath?.delete(file);
    if (samePath?.size === 0) this.#byPath.delete(file.node.path);
    return file;
  }

  ids(): HandleId[] {
    return [...this.#byId.keys()];
  }

  #unusedId(): HandleId {
    let id = this.#nextId;
    while (this.#byId.has(id)) id = following(id);
    this.#nextId = following(id);
    return id;
  }
}

function following(id: HandleId): HandleId {
  return id === HANDLE_ID_MAX ? 1 : id + 1;
}
