/**
 * The portable driver's request handlers: each converts, calls the filesystem and replies exactly once, whatever
 * happens; failures become errnos and are logged here, once, at the reply. They decide nothing else.
 *
 * Not implemented on purpose: extended attributes are answered by the kernel with ENOTSUP after the first question,
 * access(2) is checked by the kernel, flush and fsync have nothing to do.
 */
import { FilesystemError } from '../filesystem/errors.js';
import { ROOT_NODE } from '../filesystem/filesystem.js';
import type { Filesystem, HandleId, NodeEntry, NodeId } from '../filesystem/filesystem.js';
import type { Platform } from '../filesystem/keys.js';
import type { Logger } from '../observability/logger.js';
import { assert } from '../runtime/assert.js';
import { errnoOf } from './errno.js';
import { WRITE_OPERATIONS } from './fuse-native.js';
import type { FuseOperations, FuseStat, FuseStatfs, Reply, WriteOperations } from './fuse-native.js';
import { parentOf, PathNodes } from './path-nodes.js';
import { errnoOfError, logFailure } from './request-failure.js';
import type { VersionSplit } from './version-split.js';

/** Without what only a session needs that tells the kernel of nodes and reads files by itself. */
export type PortableFilesystem = Omit<
  Filesystem,
  'retain' | 'forget' | 'onNameOutdated' | 'contentOf' | 'readFailed'
>;

export interface OperationsDeps {
  readonly filesystem: PortableFilesystem;
  readonly logger: Logger;
  readonly split: VersionSplit;
}

/** From <sys/stat.h> and <fcntl.h>; the same on Linux and macOS. */
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const O_ACCMODE = 3;

const UINT32_MAX = 2 ** 32 - 1;
/** What st_blksize advises programs to read at once: the largest request. */
const PREFERRED_READ_BYTES = 128 * 1024;

export function createOperations(deps: OperationsDeps, platform: Platform): FuseOperations & WriteOperations {
  const requests = new Requests(deps);

  /** Does the work, then replies: with what it gave, or with the errno of what it threw. */
  async function answer<Values extends readonly unknown[]>(
    operation: string,
    path: string,
    reply: Reply<Values>,
    work: () => Promise<readonly [status: number, ...values: Values]>,
  ): Promise<void> {
    let result: readonly [status: number, ...values: Values];
    try {
      result = await work();
    } catch (error) {
      logFailure(deps.logger, { operation, path }, error);
      return reply(-errnoOfError(error, platform));
    }
    reply(...result);
  }

  return {
    ...writeOperations(-errnoOf('read_only', platform)),
    rename: (path, target, reply) => void answer('rename', path, reply, () => requests.rename(path, target)),
    getattr: (path, reply) => void answer('getattr', path, reply, () => requests.getattr(path)),
    fgetattr: (path, handle, reply) => void answer('fgetattr', path, reply, () => requests.fgetattr(handle)),
    readdir: (path, reply) => void answer('readdir', path, reply, () => requests.readdir(path)),
    open: (path, flags, reply) => void answer('open', path, reply, () => requests.open(path, flags)),
    read: (path, handle, target, length, offset, reply) =>
      void answer('read', path, reply, () => requests.read(handle, target.subarray(0, length), offset)),
    release: (path, handle, reply) => void answer('release', path, reply, () => requests.release(handle)),
    statfs: (path, reply) => void answer('statfs', path, reply, () => requests.statfs()),
  };
}

function writeOperations(status: number): WriteOperations {
  const refuse = (...args: readonly unknown[]) => (args.at(-1) as (status: number) => void)(status);
  return Object.fromEntries(WRITE_OPERATIONS.map((name) => [name, refuse])) as WriteOperations;
}

/** The work of each request: async throughout, so that whatever is thrown becomes a rejection. */
class Requests {
  readonly #filesystem: PortableFilesystem;
  readonly #split: VersionSplit;
  readonly #paths: PathNodes;

  constructor({ filesystem, split }: OperationsDeps) {
    this.#filesystem = filesystem;
    this.#split = split;
    this.#paths = new PathNodes(filesystem);
  }

  async getattr(path: string): Promise<[number, FuseStat]> {
    if (this.#split.stateOf(path) === 'target') throw new FilesystemError('not_found', 'not taken yet');
    this.#refuseApart(path);
    await this.#split.beforeLookup(path);
    return [0, statOf(this.#versionToShow(path, await this.#paths.resolve(path)))];
  }

  /**
   * The version that the kernel is told of: the newest, unless its inode must first be set apart for handles of an
   * older one of another size, which is shown until then.
   */
  #versionToShow(path: string, newest: NodeEntry): NodeEntry {
    const open = this.#split.openVersion(path);
    const older = open === undefined ? undefined : this.#filesystem.getAttributes(open);
    if (!older || newest.attributes.kind === 'directory') return newest;
    if (older.attributes.size === newest.attributes.size) return newest;
    this.#split.start(path);
    this.#paths.remember(path, older.node);
    return older;
  }

  /** Of the version that is open, without a lookup: the path may lead to another one, or nowhere, by now. */
  async fgetattr(handle: number): Promise<[number, FuseStat]> {
    return [0, statOf(this.#filesystem.getHandleAttributes(handle))];
  }

  async readdir(path: string): Promise<[number, readonly string[], readonly FuseStat[]]> {
    const entries = await this.#paths.readDirectory(path);
    const own = this.#inodeStat(path);
    const names = ['.', '..', ...entries.map((entry) => entry.name)];
    const stats = [own, this.#inodeStat(parentOf(path)), ...entries.map(statOf)];
    return [0, names, stats];
  }

  /**
   * Opens the version whose attributes the kernel was told last, hence without waiting for the network. ESTALE when
   * that is outdated, or when the kernel's inode had to be left to an older version: Linux then looks the path up
   * again and repeats the open by itself.
   */
  async open(path: string, flags: number): Promise<[number, number]> {
    this.#refuseApart(path);
    const node = this.#paths.lastKnown(path);
    if (node === undefined) throw outdated(path);
    const handle = await this.#openVersion(path, node, (flags & O_ACCMODE) !== 0);
    const open = this.#split.openVersion(path);
    const isShared = open !== undefined && open !== node;
    if (!isShared) this.#split.opened(path, node, handle);
    // Reads of older versions have been ended; they hold the inode until they are answered.
    await this.#filesystem.readsOfOlderVersionsEnded(handle);
    if (!isShared) return [0, handle];
    this.#filesystem.release(handle);
    await this.#split.begin(path);
    throw outdated(path);
  }

  async #openVersion(path: string, node: NodeId, write: boolean): Promise<HandleId> {
    try {
      return this.#filesystem.open(node, { write });
    } catch (error) {
      // Not the newest version any more: the newest one needs an inode of its own, if this one is in use.
      const isOutdated = error instanceof FilesystemError && error.code === 'stale';
      if (isOutdated && this.#split.openVersion(path) !== undefined) await this.#split.begin(path);
      throw error;
    }
  }

  async rename(path: string, target: string): Promise<[number]> {
    if (this.#split.accept(path, target)) return [0];
    throw new FilesystemError('read_only', `the mount is read-only: cannot rename ${path}`);
  }

  /** @throws FilesystemError stale: the kernel looks up the name that the inode had */
  #refuseApart(path: string): void {
    if (this.#split.stateOf(path) === 'apart')
      throw new FilesystemError('stale', 'an older version, set apart');
  }

  async read(handle: number, target: Uint8Array, offset: number): Promise<[number]> {
    return [await this.#filesystem.read({ handle, offset, target })];
  }

  async release(handle: number): Promise<[number]> {
    this.#filesystem.release(handle);
    this.#split.released(handle);
    return [0];
  }

  async statfs(): Promise<[number, FuseStatfs]> {
    const { blockBytes, blocks, blocksFree, files, nameBytesMax } = this.#filesystem.statfs();
    const space = { bsize: blockBytes, frsize: blockBytes, blocks, bfree: blocksFree, bavail: blocksFree };
    return [0, { ...space, files, ffree: 0, favail: 0, namemax: nameBytesMax }];
  }

  /** For `.` and `..`, of which readdir(3) shows the inode number alone. */
  #inodeStat(path: string): FuseStat {
    const node = this.#paths.lastKnown(path) ?? ROOT_NODE;
    const entry = this.#filesystem.getAttributes(node) ?? this.#filesystem.getAttributes(ROOT_NODE);
    assert(entry, 'the root has attributes');
    return statOf(entry);
  }
}

function outdated(path: string): FilesystemError {
  return new FilesystemError('stale', `${path} must be looked up again`);
}

function statOf({ attributes }: NodeEntry): FuseStat {
  const { kind, permissions, size, blocks, links, inode, uid, gid, modifiedMs } = attributes;
  assert(inode <= UINT32_MAX, `inode ${inode} fits the driver`);
  const type = kind === 'directory' ? S_IFDIR : S_IFREG;
  const times = { mtime: modifiedMs, atime: modifiedMs, ctime: modifiedMs };
  const space = { size, blocks, blksize: PREFERRED_READ_BYTES };
  return { mode: type | permissions, nlink: links, ino: inode, uid, gid, ...space, ...times };
}
