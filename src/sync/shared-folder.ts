/**
 * A directory that this worker synchronises, maybe together with others: its paths, what is known of its files, and its
 * locks. Opened and closed by sync.ts.
 */
import { existsSync } from 'node:fs';
import { asError } from '../runtime/assert.js';
import type { Clock } from '../runtime/clock.js';
import { FileState } from './file-state.js';
import { lockPath } from './kernel-lock.js';
import type { HeldLock, TryLock } from './kernel-lock.js';
import { SyncFolder, SyncFolderError } from './sync-folder.js';
import { Workers } from './workers.js';

export interface SharedFolderDeps {
  readonly clock: Clock;
  readonly tryLock: TryLock | undefined;
}

/** Without the addon there is nobody else. */
const NO_LOCK: HeldLock = { release: () => {} };
/** No hash of a name. */
const STATE_LOCK = 'state';

export class SharedFolder {
  readonly files: SyncFolder;
  readonly state: FileState;
  /** Called when a file that another worker had may be free now. */
  onChange: () => void = () => {};
  readonly #tryLock: TryLock | undefined;
  #workers: Workers | undefined;

  private constructor(files: SyncFolder, tryLock: TryLock | undefined) {
    this.files = files;
    this.#tryLock = tryLock;
    this.state = new FileState(files.state);
  }

  /** Creates what is missing. @throws SyncFolderError or WorkersError */
  static async open(directory: string, { clock, tryLock }: SharedFolderDeps): Promise<SharedFolder> {
    const files = SyncFolder.create(directory);
    let folder: SharedFolder | undefined;
    try {
      const opened = (folder = new SharedFolder(files, tryLock));
      const onChange = () => opened.onChange();
      folder.#workers = await Workers.join(files.workers, { clock, tryLock, onChange });
      folder.#compact();
      return folder;
    } catch (error) {
      folder?.close();
      if (!(error instanceof Error) || !('code' in error)) throw error;
      throw new SyncFolderError(
        `${directory} cannot be used (${error.message}): is there room, and may you write?`,
        {
          cause: error,
        },
      );
    }
  }

  /** For a look that changes nothing. @throws SyncFolderError */
  static readState(files: SyncFolder): Pick<FileState, 'get' | 'record' | 'refresh' | 'isNews' | 'close'> {
    try {
      if (existsSync(files.state)) return new FileState(files.state);
    } catch (error) {
      throw new SyncFolderError(`${files.state} cannot be read (${asError(error).message})`, {
        cause: error,
      });
    }
    const nothing = () => {};
    return { get: () => undefined, isNews: () => false, record: nothing, refresh: nothing, close: nothing };
  }

  /** Undefined when another worker holds it. @throws NodeJS.ErrnoException */
  lock(path: string): HeldLock | undefined {
    if (this.#tryLock === undefined) return NO_LOCK;
    const held = lockPath(path, this.#tryLock);
    if (held === undefined) {
      this.#workers?.refused();
      return undefined;
    }
    const release = () => {
      held.release();
      this.#workers?.announce();
    };
    return { release };
  }

  /** All locks are to be given up before. To be called once. */
  close(): void {
    this.#workers?.close();
    this.state.close();
  }

  #compact(): void {
    const lock = this.lock(this.files.lockOf(STATE_LOCK));
    try {
      if (lock === undefined) return;
      this.state.compact((name, { stamp }) => this.files.stampOf(name)?.stamp === stamp);
    } finally {
      lock?.release();
    }
  }
}
