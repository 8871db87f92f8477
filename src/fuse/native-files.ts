/**
 * The local files that the addon reads by itself: implements the file layer's DirectReads over it, and hands what is
 * heard of such reads to the store they belong to. Made by drivers.ts before the stores are; the session is joined
 * later, and asks nothing of a file that was closed: what was heard of it too late is dropped.
 */
import type { Availability } from '../runtime/availability.js';
import type {
  DirectFile,
  DirectRead,
  DirectReadEnd,
  DirectReadListener,
  DirectReads,
} from '../file/direct-reads.js';
import type { NodeId } from '../filesystem/filesystem.js';
import type { NativeAddon, NativeFileId } from '../native.js';
import { assert } from '../runtime/assert.js';

/** Ends a read that waits; nothing when it ended already. */
export type FailRead = (read: DirectRead, error: Error) => void;

/** Tells the kernel to forget what it cached of a node. */
export type DropPages = (node: NodeId) => void;

type FilesOfAddon = Pick<
  NativeAddon,
  'openFile' | 'attachFile' | 'filePublished' | 'revokeFile' | 'closeFile'
>;

/** What fuse/native-session.ts hears of reads, see native-events.ts. */
export class NativeFiles implements DirectReads {
  readonly #addon: FilesOfAddon;
  readonly #listeners = new Map<NativeFileId, DirectReadListener>();
  /** Nodes through which the kernel may have read the file. */
  readonly #nodes = new Map<NativeFileId, Set<NodeId>>();
  #failRead: FailRead | undefined;
  #dropPages: DropPages | undefined;

  constructor(addon: FilesOfAddon) {
    this.#addon = addon;
  }

  /** Reads fail through `failRead` from now on: before there is a session none can wait, and nothing is cached. */
  join(failRead: FailRead, dropPages: DropPages): void {
    this.#failRead = failRead;
    this.#dropPages = dropPages;
  }

  /** A handle of `node` reads the file from now on. */
  opened(file: NativeFileId, node: NodeId): void {
    this.#nodes.get(file)?.add(node);
  }

  open(availability: Availability, listener: DirectReadListener): DirectFile {
    const { buffer, byteOffset, byteLength } = availability.memory;
    const id = this.#addon.openFile(new Int32Array(buffer, byteOffset, byteLength / 4));
    assert(!this.#listeners.has(id), `file ${id} is new`);
    this.#listeners.set(id, listener);
    this.#nodes.set(id, new Set());
    const assertOpen = () => assert(this.#listeners.get(id) === listener, `file ${id} is open`);
    return {
      id,
      attach: (descriptor) => {
        assertOpen();
        assert(Number.isSafeInteger(descriptor) && descriptor >= 0, `${descriptor} is a descriptor`);
        this.#addon.attachFile(id, descriptor);
      },
      published: () => {
        assertOpen();
        this.#addon.filePublished(id);
      },
      fail: (read, error) => {
        assertOpen();
        this.#failRead?.(read, error);
      },
      revoke: () => {
        assertOpen();
        this.#addon.revokeFile(id);
        for (const node of this.#nodes.get(id) ?? []) this.#dropPages?.(node);
      },
      close: () => {
        assertOpen();
        this.#listeners.delete(id);
        this.#nodes.delete(id);
        this.#addon.closeFile(id);
      },
    };
  }

  readEntered(file: NativeFileId, read: DirectRead): void {
    this.#listeners.get(file)?.entered(read);
  }

  readWaiting(file: NativeFileId, read: DirectRead): void {
    this.#listeners.get(file)?.waiting(read);
  }

  readEnded(file: NativeFileId, read: number, end: DirectReadEnd): void {
    this.#listeners.get(file)?.ended(read, end);
  }

  readObserved(file: NativeFileId, start: number, end: number): void {
    this.#listeners.get(file)?.observed(start, end);
  }
}
