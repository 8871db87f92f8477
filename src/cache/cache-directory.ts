/**
 * One daemon's place in a cache directory: checked, locked, with its index open. Made by Cache.
 *
 *     format            "sluice-cache 1"
 *     startup.lock      locked while a daemon starts: one at a time looks at what others left
 *     ballast           space for the index on a full disk (ballast.ts)
 *     index.sqlite      which copies there are (index/)
 *     owners/ID.lock    locked while the daemon ID lives; ID.sock its socket (peers/); ID/ files that only it knows
 *     data/XX/NAME      a complete copy; NAME.part one that is being filled; NAME.map what of it is there
 *
 * Promises: what cannot be shared is refused with advice; an index that is damaged is set aside and begun anew; what dead
 * daemons left is cleared away. After `close` nothing of this daemon is left but copies.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { assert, asError } from '../runtime/assert.js';
import { sleep } from '../runtime/clock.js';
import type { Clock } from '../runtime/clock.js';
import { isProcessAlive, processStartedAt } from '../runtime/process-identity.js';
import type { Logger } from '../observability/logger.js';
import { checkDirectory, FORMAT, refusal } from './directory-check.js';
import type { FileOperations } from './file-operations.js';
import { CacheIndex, checkIndex, isDamagedIndex, setAsideIndex } from './index/cache-index.js';
import type { OwnerRow } from './index/copy-row.js';
import { NewerSchemaError } from './index/schema.js';
import { OwnerLocks } from './owner-lock.js';
import type { LocksFiles } from './owner-lock.js';

export interface CacheDirectoryDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly files: FileOperations;
  readonly addon: LocksFiles | undefined;
}

/** Looking at what others left takes milliseconds; deleting what a killed daemon left, seconds. */
const STARTUP_WAIT_MS = 30_000;
const STARTUP_RETRY_MS = 20;
/** Of daemons that kept nothing. */
const OLD_FOLDER = /^mount-(\d+)-(\d+)-\d+$/;
const NAME = /^[0-9a-f]{24}$/;
const NAME_DIGITS = 24;
const FOLDER_DIGITS = 2;
const NAMES_IN_A_ROW = 256;

const COPY_FILES = ['part', 'complete', 'map'] as const;

export type CopyFile = (typeof COPY_FILES)[number];

export class CacheDirectory {
  readonly path: string;
  readonly ownerId: string;
  /** Where PeerServer listens and PeerLinks connect. */
  readonly ownersFolder: string;
  /** Exists, and only this daemon uses it. */
  readonly privateFolder: string;
  readonly index: CacheIndex;
  readonly #deps: CacheDirectoryDeps;
  readonly #locks: OwnerLocks;
  readonly #giveBack: () => void;
  readonly #dead = new Set<string>();
  #folder = '';
  #namesGiven = 0;
  #closed = false;

  /** @throws CacheDirectoryError */
  static async open(directory: string, deps: CacheDirectoryDeps): Promise<CacheDirectory> {
    const path = checkDirectory(directory);
    try {
      const started = await startAlone(path, deps);
      try {
        return new CacheDirectory(path, deps);
      } finally {
        started();
      }
    } catch (error) {
      const advice =
        error instanceof NewerSchemaError
          ? 'choose another with --cache-dir'
          : 'see to it, or choose another with --cache-dir';
      if (asError(error).name === 'CacheDirectoryError') throw error;
      throw refusal(directory, asError(error).message, advice, error);
    }
  }

  private constructor(path: string, deps: CacheDirectoryDeps) {
    const { files, addon } = deps;
    this.path = path;
    this.#deps = deps;
    this.ownerId = randomBytes(8).toString('hex');
    this.ownersFolder = join(path, 'owners');
    this.privateFolder = join(this.ownersFolder, this.ownerId);
    for (const folder of [this.ownersFolder, join(path, 'data'), this.privateFolder])
      files.makeFolder(folder);
    this.#writeFormat();
    this.#locks = new OwnerLocks(this.ownersFolder, files, addon);
    const me: OwnerRow = {
      id: this.ownerId,
      pid: process.pid,
      started: processStartedAt(process.pid) ?? '',
      shares: this.#locks.shares,
    };
    this.#giveBack = this.#locks.take(me);
    let index: CacheIndex | undefined;
    try {
      files.makeFolder(this.privateFolder);
      this.index = index = this.#openIndex(me);
      this.#removeOld();
    } catch (error) {
      this.#leave(index);
      throw error;
    }
  }

  /** Path of a file of the copy with this name. */
  fileOf(name: string, file: CopyFile): string {
    assert(NAME.test(name), `${JSON.stringify(name)} is no name of a copy`);
    const suffix = { complete: '', part: '.part', map: '.map' }[file];
    return join(this.path, 'data', name.slice(0, FOLDER_DIGITS), name + suffix);
  }

  makeFolderOf(name: string): void {
    this.#deps.files.makeFolder(join(this.path, 'data', name.slice(0, FOLDER_DIGITS)));
  }

  /** A name that nothing has. Many in a row share a folder: to make that costs as much as to make the files in it. */
  newName(): string {
    if (this.#namesGiven % NAMES_IN_A_ROW === 0) this.#folder = randomBytes(1).toString('hex');
    this.#namesGiven += 1;
    return (
      this.#folder +
      randomUUID()
        .replaceAll('-', '')
        .slice(0, NAME_DIGITS - FOLDER_DIGITS)
    );
  }

  /** False: `sweep` has nothing to do. */
  get needsSweep(): boolean {
    return this.index.evictions.mayBeDoomed || this.#dead.size > 0;
  }

  /** Deletes the files of what is ours to delete, and of daemons that were found dead since. @throws what the index says */
  sweep(): void {
    const { evictions } = this.index;
    for (const { id, name } of evictions.doomed()) {
      for (const file of COPY_FILES) this.#deps.files.unlink(this.fileOf(name, file));
      evictions.end(id);
    }
    for (const id of this.#dead) {
      this.#dead.delete(id);
      this.#removeOwner(id);
    }
  }

  /** Idempotent. What goes wrong is logged: the next daemon sees to it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leave(this.index);
  }

  #writeFormat(): void {
    const { files } = this.#deps;
    const path = join(this.path, 'format');
    if (files.stat(path) !== undefined) return;
    files.writeDurably(`${path}.new`, Buffer.from(FORMAT));
    files.rename(`${path}.new`, path);
  }

  #openIndex(me: OwnerRow): CacheIndex {
    const path = join(this.path, 'index.sqlite');
    const living = this.#locks.list().filter((owner) => owner.id !== me.id && this.#locks.isAlive(owner));
    this.#refuseLone(me, living);
    if (living.length === 0) this.#check(path);
    try {
      return new CacheIndex(path, me, {
        isAlive: (owner) => this.#isAlive(owner),
        wallTimeMs: () => this.#deps.clock.wallTimeMs(),
      });
    } catch (error) {
      if (!isDamagedIndex(error) || living.length === 0) throw error;
      const pids = living.map(({ pid }) => pid).join(', ');
      throw refusal(
        this.path,
        `its index is damaged (${asError(error).message}), and other daemons use it (pid ${pids})`,
        'unmount them first: the next start begins it anew',
        error,
      );
    }
  }

  /** A damaged index that nobody has open is begun anew. */
  #check(path: string): void {
    try {
      checkIndex(path);
    } catch (error) {
      if (!isDamagedIndex(error)) throw error;
      const aside = setAsideIndex(path);
      this.#deps.logger.warn(
        { err: error, aside },
        'the index of the cache is damaged: it is begun anew, and what it knew of is deleted',
      );
    }
  }

  #refuseLone(me: OwnerRow, living: readonly OwnerRow[]): void {
    const [lone] = me.shares ? living.filter(({ shares }) => !shares) : living;
    if (lone === undefined) return;
    throw refusal(
      this.path,
      `another daemon (pid ${lone.pid}) uses it, and without the native addon it cannot be shared`,
      'unmount that one first, choose another with --cache-dir, or build the addon (make build)',
    );
  }

  #isAlive(owner: OwnerRow): boolean {
    const alive = this.#locks.isAlive(owner);
    if (!alive) this.#dead.add(owner.id);
    return alive;
  }

  /** What daemons left that are dead, and folders of versions before. */
  #removeOld(): void {
    const { files, logger } = this.#deps;
    const living = this.#locks.list().filter((owner) => this.#locks.isAlive(owner));
    const kept = new Set([this.ownerId, ...living.map(({ id }) => id)]);
    for (const id of this.#locks.idsOfAll()) if (!kept.has(id)) this.#removeOwner(id);
    for (const name of files.list(this.path)) {
      const [, pid, startTime] = OLD_FOLDER.exec(name) ?? [];
      if (pid === undefined || startTime === undefined || isProcessAlive(Number(pid), startTime)) continue;
      logger.info({ folder: join(this.path, name) }, 'removing the temp files of a daemon that was killed');
      files.removeFolder(join(this.path, name));
    }
  }

  #removeOwner(id: string): void {
    const { files, logger } = this.#deps;
    try {
      files.removeFolder(join(this.ownersFolder, id));
      for (const suffix of ['.sock', '.lock.new', '.lock'])
        files.unlink(join(this.ownersFolder, id + suffix));
    } catch (error) {
      logger.warn({ err: error, owner: id }, 'what a killed daemon left could not be removed');
    }
  }

  /** The lock last: whoever finds it free may take what is left. */
  #leave(index: CacheIndex | undefined): void {
    const { files, logger } = this.#deps;
    const steps = [() => index?.close(), () => files.removeFolder(this.privateFolder), this.#giveBack];
    for (const step of steps) {
      try {
        step();
      } catch (error) {
        logger.warn({ err: error }, 'the cache directory could not be left cleanly');
      }
    }
  }
}

/** Waits until no other daemon is just starting; returns how the next one is let in. */
async function startAlone(path: string, deps: CacheDirectoryDeps): Promise<() => void> {
  const { clock, logger, files, addon } = deps;
  if (addon === undefined) return () => {};
  const lock = join(path, 'startup.lock');
  const descriptor = openOrCreate(files, lock);
  // The clock's timers keep no process alive, and this one may have nothing else to do yet.
  const { port1: alive } = new MessageChannel();
  alive.ref();
  try {
    const untilMs = clock.nowMs() + STARTUP_WAIT_MS;
    while (!addon.lockFile(descriptor)) {
      if (clock.nowMs() > untilMs) throw new Error('another daemon has been starting on it for 30 s');
      await sleep(clock, STARTUP_RETRY_MS);
    }
  } catch (error) {
    files.close(descriptor);
    throw error;
  } finally {
    alive.close();
  }
  return () => {
    try {
      files.close(descriptor);
    } catch (err) {
      logger.warn({ err, path: lock }, 'a lock could not be closed');
    }
  };
}

function openOrCreate(files: FileOperations, path: string): number {
  try {
    return files.open(path, 'create');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return files.open(path, 'existing');
  }
}
