/**
 * Gives a replaced object a kernel inode of its own. Called by operations.ts.
 *
 * libfuse 2 has one kernel inode for each path, with one page cache: a handle on an older version would be given pages
 * that a reader of the newer one has filled, without Sluice being asked. Before a newer version is opened, the old
 * inode is therefore renamed within the mount, to a name that nobody can look up: libfuse takes it along to that name,
 * and the next lookup of the path makes a new inode. A child process does it, since this one must never wait for its
 * own mount; of all renames the driver lets only these pass, known by their random names.
 *
 * Until then the kernel is told nothing of a version of another size: it would cut the inode to that size, and a reader
 * of the older version would take the cut for the end of the file.
 *
 * Who may wait for what: libfuse carries out a rename when no other request is under way on the inode. So OPEN waits
 * only until the rename has been begun (the kernel asks for the new name), answers ESTALE, and the kernel's next
 * lookup of the path waits for the end; other lookups show the older version meanwhile. Another process's stat of the inode may be what the rename waits for; it
 * cannot be told from a lookup, hence the limit `LOOKUP_WAIT_MS`.
 */
import { randomUUID } from 'node:crypto';
import type { HandleId, NodeId } from '../filesystem/filesystem.js';
import type { Logger } from '../observability/logger.js';
import { sleep } from '../runtime/clock.js';
import type { Clock } from '../runtime/clock.js';
import { Deferred } from '../runtime/deferred.js';
import { parentOf } from './path-nodes.js';
import type { RunCommand } from './run-command.js';

const RENAME_TIMEOUT_MS = 10_000;
/** Some ten times what a rename takes. */
const LOOKUP_WAIT_MS = 1_000;
/** What a renamed inode is called; never a key's name, see filesystem/keys.ts. */
const APART_PREFIX = '.fuse_hidden_sluice_';
const RENAME = 'require("fs").renameSync(process.argv[1], process.argv[2])';

export interface VersionSplitDeps {
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The handles that share one kernel inode, hence one version. */
interface KernelInode {
  readonly path: string;
  readonly node: NodeId;
  handles: number;
}

interface Split {
  readonly path: string;
  readonly target: string;
  /** The kernel asked for the target's name, or the rename failed before. */
  readonly begun: Deferred<void>;
  readonly ended: Deferred<void>;
  isBegun: boolean;
  isAccepted: boolean;
}

export class VersionSplit {
  readonly #deps: VersionSplitDeps;
  readonly #mountpoint: string;
  readonly #byPath = new Map<string, KernelInode>();
  readonly #byHandle = new Map<HandleId, KernelInode>();
  /** Under way, by path and by target. */
  readonly #splits = new Map<string, Split>();
  readonly #targets = new Map<string, Split>();

  constructor(deps: VersionSplitDeps, mountpoint: string) {
    this.#deps = deps;
    this.#mountpoint = mountpoint;
  }

  opened(path: string, node: NodeId, handle: HandleId): void {
    const inode = this.#byPath.get(path) ?? { path, node, handles: 0 };
    inode.handles++;
    this.#byPath.set(path, inode);
    this.#byHandle.set(handle, inode);
  }

  released(handle: HandleId): void {
    const inode = this.#byHandle.get(handle);
    if (!inode) return;
    this.#byHandle.delete(handle);
    if (--inode.handles === 0 && this.#byPath.get(inode.path) === inode) this.#byPath.delete(inode.path);
  }

  /** The version whose handles are open on the inode that the kernel has for `path`. */
  openVersion(path: string): NodeId | undefined {
    return this.#byPath.get(path)?.node;
  }

  /** Starts to set the inode of `path` apart, unless that is under way. */
  start(path: string): void {
    if (!this.#splits.has(path)) this.#start(path);
  }

  /** As `start`; resolves when OPEN is to be answered with ESTALE. */
  async begin(path: string): Promise<void> {
    this.start(path);
    await this.#splits.get(path)?.begun.promise;
  }

  /** A lookup of `path`: resolves at once, but for one that would find the inode that is being set apart. */
  async beforeLookup(path: string): Promise<void> {
    const split = this.#splits.get(path);
    // The lookup that is part of the rename comes before it asks for the target, and must not wait for itself.
    if (!split?.isBegun) return;
    await Promise.race([split.ended.promise, sleep(this.#deps.clock, LOOKUP_WAIT_MS)]);
  }

  /**
   * What a lookup of `path` has to do with inodes that were set apart: `target` must not be found, or the rename
   * would replace it; whoever comes with the path of one that was renamed must look up the name it had.
   */
  stateOf(path: string): 'target' | 'apart' | undefined {
    if (!path.slice(path.lastIndexOf('/') + 1).startsWith(APART_PREFIX)) return undefined;
    const split = this.#targets.get(path);
    if (!split || split.isAccepted) return 'apart';
    split.isBegun = true;
    split.begun.resolve();
    return 'target';
  }

  /** The kernel asks to rename: true when the request is ours. */
  accept(path: string, target: string): boolean {
    const split = this.#targets.get(target);
    if (split?.path !== path) return false;
    split.isAccepted = true;
    return true;
  }

  #start(path: string): void {
    const directory = parentOf(path);
    const target = `${directory === '/' ? '' : directory}/${APART_PREFIX}${randomUUID()}`;
    const progress = { begun: new Deferred<void>(), ended: new Deferred<void>() };
    const split: Split = { path, target, ...progress, isBegun: false, isAccepted: false };
    this.#splits.set(path, split);
    this.#targets.set(target, split);
    void this.#rename(split);
  }

  async #rename(split: Split): Promise<void> {
    const { run, logger } = this.#deps;
    const { path, target } = split;
    const args = ['-e', RENAME, '--', this.#mountpoint + path, this.#mountpoint + target];
    const result = await run(process.execPath, args, { timeoutMs: RENAME_TIMEOUT_MS });
    if (result.kind === 'exited' && result.exitCode === 0) {
      // Only now has libfuse moved the inode: until the call returned a lookup could still find it.
      this.#byPath.delete(path);
      logger.debug({ path }, 'an older version that is still open was set apart');
    } else {
      // Refused by the kernel, which checks permissions when others may use the mount.
      logger.warn(
        { path, result },
        'an older version cannot be set apart: it must be closed before the new opens',
      );
    }
    this.#splits.delete(path);
    this.#targets.delete(target);
    split.begun.resolve();
    split.ended.resolve();
  }
}
