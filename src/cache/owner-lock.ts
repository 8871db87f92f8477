/**
 * How a daemon shows that it is alive to those that use the same directory: by a kernel lock on a file of its own, which
 * the kernel gives back at once however the daemon ends. Where there is no addon there are no such locks: a daemon is
 * alive then while a process with its number and start time is, and shares the directory with nobody.
 */
import { join } from 'node:path';
import { isProcessAlive } from '../runtime/process-identity.js';
import type { FileOperations } from './file-operations.js';
import { isMissing } from './file-operations.js';
import type { OwnerRow } from './index/copy-row.js';

const LOCK_NAME = /^([0-9a-f]{16})\.lock$/;
const OWNER_NAME = /^([0-9a-f]{16})(?:\.|$)/;
/** What is written of an owner takes about 100. */
const OWNER_BYTES_MAX = 1024;

/** What of the addon is used: `NativeAddon` in native.ts has it. */
export interface LocksFiles {
  lockFile(descriptor: number): boolean;
}

export class OwnerLocks {
  readonly #folder: string;
  readonly #files: FileOperations;
  readonly #addon: LocksFiles | undefined;

  /** @param folder of the locks of all daemons that use a directory */
  constructor(folder: string, files: FileOperations, addon: LocksFiles | undefined) {
    this.#folder = folder;
    this.#files = files;
    this.#addon = addon;
  }

  /** Daemons that are alive by such a lock may share a directory. */
  get shares(): boolean {
    return this.#addon !== undefined;
  }

  /** Takes the lock of a new owner: it is held before anybody sees its file. Returns how it is given back. */
  take(owner: OwnerRow): () => void {
    const path = this.#path(owner.id);
    const descriptor = this.#files.open(`${path}.new`, 'create');
    try {
      this.#addon?.lockFile(descriptor);
      this.#files.write(descriptor, Buffer.from(JSON.stringify(owner)));
      this.#files.rename(`${path}.new`, path);
    } catch (error) {
      this.#files.close(descriptor);
      throw error;
    }
    return () => {
      try {
        this.#files.unlink(path);
      } finally {
        this.#files.close(descriptor);
      }
    };
  }

  /** Asked by one at a time: while it is looked at, a free lock looks held to others. */
  isAlive({ id, pid, started, shares }: OwnerRow): boolean {
    if (!shares || this.#addon === undefined)
      return isProcessAlive(pid, started === '' ? undefined : started);
    const descriptor = this.#openLock(id);
    if (descriptor === undefined) return false;
    try {
      return !this.#addon.lockFile(descriptor);
    } finally {
      this.#files.close(descriptor);
    }
  }

  /** All whose locks are there, alive or not, as their files say. */
  list(): readonly OwnerRow[] {
    const ids = this.#files.list(this.#folder).flatMap((name) => LOCK_NAME.exec(name)?.[1] ?? []);
    return ids.flatMap((id) => this.#read(id) ?? []);
  }

  /** All of whom anything is left. */
  idsOfAll(): ReadonlySet<string> {
    return new Set(this.#files.list(this.#folder).flatMap((name) => OWNER_NAME.exec(name)?.[1] ?? []));
  }

  #read(id: string): OwnerRow | undefined {
    const descriptor = this.#openLock(id);
    if (descriptor === undefined) return undefined;
    try {
      const target = new Uint8Array(OWNER_BYTES_MAX);
      const bytes = this.#files.read(descriptor, target);
      return { ...(JSON.parse(Buffer.from(target.subarray(0, bytes)).toString()) as OwnerRow), id };
    } catch {
      // Nothing was written yet, by one that was killed meanwhile.
      return { id, pid: 0, started: '', shares: true };
    } finally {
      this.#files.close(descriptor);
    }
  }

  #openLock(id: string): number | undefined {
    try {
      return this.#files.open(this.#path(id), 'existing');
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.lock`);
  }
}
