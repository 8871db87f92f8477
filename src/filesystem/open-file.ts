/**
 * One open file handle: reads of one object version, until it is released or superseded. Owned by handle-table.ts.
 *
 *     open ──► superseded ──► released        (or released at once)
 *
 * Superseded: the kernel's one inode of the path now shows a newer version, so every read here is `stale`, also one
 * that was under way and whose bytes have come meanwhile: its pages would mix with the newer version's.
 */
import type { Content } from '../file/content.js';
import { assert, unreachable } from '../runtime/assert.js';
import { Deferred } from '../runtime/deferred.js';
import { FilesystemError } from './errors.js';
import type { HandleId } from './filesystem.js';
import type { Node } from './node-table.js';

type OpenFileState = 'open' | 'superseded' | 'released';

export class OpenFile {
  readonly id: HandleId;
  readonly node: Node;
  readonly content: Content;
  #state: OpenFileState = 'open';
  #readsUnderWay = 0;
  #idle: Deferred<void> | undefined;

  constructor(id: HandleId, node: Node, content: Content) {
    this.id = id;
    this.node = node;
    this.content = content;
  }

  /**
   * Bytes read. Settles only after the content's own read has settled, so that nobody writes to `target` afterwards.
   * @throws FilesystemError, ContentError
   */
  async read(target: Uint8Array, offset: number, signal: AbortSignal | undefined): Promise<number> {
    this.assertReadable();
    const length = Math.min(target.length, this.node.size - offset);
    if (length <= 0) return 0;
    this.#readsUnderWay++;
    try {
      const count = await this.content.read(target.subarray(0, length), offset, signal);
      this.assertReadable();
      assert(
        count === length,
        `${length} bytes at ${offset} of ${this.node.size}, the content gave ${count}`,
      );
      return count;
    } catch (error) {
      // The content ends reads of a closed handle as `closed`; our own state says why it was closed.
      this.assertReadable();
      throw error;
    } finally {
      if (--this.#readsUnderWay === 0) this.#becomeIdle();
    }
  }

  /** @throws FilesystemError stale, interrupted */
  assertReadable(): void {
    const name = JSON.stringify(this.node.path);
    switch (this.#state) {
      case 'open':
        return;
      case 'superseded':
        throw new FilesystemError('stale', `${name} was replaced: this handle is of the version before`);
      case 'released':
        throw new FilesystemError('interrupted', `${name} was closed during the read`);
      default:
        unreachable(this.#state);
    }
  }

  /** Resolves when no read is under way. */
  async whenIdle(): Promise<void> {
    while (this.#readsUnderWay > 0) {
      this.#idle ??= new Deferred();
      await this.#idle.promise;
    }
  }

  #becomeIdle(): void {
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  /** Reads under way end at once. */
  supersede(): void {
    if (this.#state !== 'open') return;
    this.#state = 'superseded';
    this.content.close();
  }

  release(): void {
    this.#state = 'released';
    this.content.close();
  }
}
