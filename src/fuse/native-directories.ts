/**
 * The directories that programs have open through the native driver. Each stream shows one consistent listing, taken
 * when it is read from its beginning; an offset is an index into it, `.` and `..` first, so that offsets stay good
 * whatever changes meanwhile. Used by native-operations.ts.
 */
import { FilesystemError } from '../filesystem/errors.js';
import { ROOT_NODE } from '../filesystem/filesystem.js';
import type { DirectoryEntry, Filesystem, NodeEntry, NodeId } from '../filesystem/filesystem.js';
import type { FuseReplies, ListedName } from './fuse-replies.js';

/** What libfuse tells of `..`, too (FUSE_UNKNOWN_INO): programs that want to know it ask stat. */
const INODE_UNKNOWN = 0xffff_ffff;

interface Stream {
  readonly node: NodeId;
  listing: readonly ListedEntry[] | undefined;
}

type ListedEntry = ListedName & { readonly node: NodeId | undefined };

/** What fits into one reply. */
export interface DirectoryPage {
  readonly bytes: number;
  /** Nodes that the kernel is told of, each retained once: to be forgotten again when the reply is not told. */
  readonly retained: readonly NodeId[];
}

export class NativeDirectories {
  readonly #filesystem: Pick<Filesystem, 'getAttributes' | 'readDirectory' | 'retain'>;
  readonly #streams = new Map<number, Stream>();
  #handleLast = 0;

  constructor(filesystem: Pick<Filesystem, 'getAttributes' | 'readDirectory' | 'retain'>) {
    this.#filesystem = filesystem;
  }

  get openCount(): number {
    return this.#streams.size;
  }

  /** @throws FilesystemError stale: nothing is known of the node */
  open(node: NodeId): number {
    this.#entryOf(node);
    this.#handleLast += 1;
    this.#streams.set(this.#handleLast, { node, listing: undefined });
    return this.#handleLast;
  }

  /** Unknown handles are ignored. */
  release(handle: number): void {
    this.#streams.delete(handle);
  }

  /** The listing to read from at `offset`. @throws FilesystemError bad_handle, and as `readDirectory` */
  async list(handle: number, offset: number): Promise<readonly ListedEntry[]> {
    const stream = this.#streams.get(handle);
    if (!stream) throw new FilesystemError('bad_handle', `directory handle ${handle} is not open`);
    if (offset === 0 || !stream.listing) {
      const entries = await this.#filesystem.readDirectory(stream.node);
      stream.listing = [...this.#dots(stream.node), ...entries.map(listed)];
    }
    return stream.listing;
  }

  /** Encodes what of `listing` fits into `size` bytes from `offset` on, at the start of `replies`. */
  page(
    replies: FuseReplies,
    listing: readonly ListedEntry[],
    { offset, size, plus }: { readonly offset: number; readonly size: number; readonly plus: boolean },
  ): DirectoryPage {
    const end = Math.min(size, replies.bytes.length);
    const retained: NodeId[] = [];
    const lookUp = (node: NodeId | undefined): NodeEntry | undefined => {
      if (node === undefined || !this.#filesystem.retain(node)) return undefined;
      retained.push(node);
      // Asked again, since the listing may be older: what is said is valid from now.
      return this.#entryOf(node);
    };
    let bytes = 0;
    for (let index = offset; index < listing.length; index++) {
      const entry = listing[index]!;
      const after = plus
        ? replies.directoryEntryPlus(bytes, end, entry, index + 1, () => lookUp(entry.node))
        : replies.directoryEntry(bytes, end, entry, index + 1);
      if (after === undefined) break;
      bytes = after;
    }
    return { bytes, retained };
  }

  #dots(node: NodeId): ListedEntry[] {
    const { inode } = this.#entryOf(node).attributes;
    const parent = node === ROOT_NODE ? inode : INODE_UNKNOWN;
    return [
      { name: '.', inode, kind: 'directory', node: undefined },
      { name: '..', inode: parent, kind: 'directory', node: undefined },
    ];
  }

  #entryOf(node: NodeId): NodeEntry {
    const entry = this.#filesystem.getAttributes(node);
    if (!entry) throw new FilesystemError('stale', `node ${node} is forgotten`);
    return entry;
  }
}

function listed({ name, node, attributes: { inode, kind } }: DirectoryEntry): ListedEntry {
  return { name, inode, kind, node };
}
