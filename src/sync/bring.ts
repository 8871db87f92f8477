/**
 * Sees to it that one file is in place, as the object is now: skips it when it is good, leaves it to the worker that has
 * it, else fetches it and puts it in place by a rename. Called by sync.ts for each file.
 *
 * Promises: a file at its name is complete and verified, at every moment; what was there before stays until then. Only
 * who holds the file's lock touches its part or renames it, so nobody's part disappears under him. A failure concerns
 * this file alone. An object that is replaced meanwhile is fetched in its new version, as one that arrives wrong is
 * fetched again, once.
 */
import { renameSync } from 'node:fs';
import { versionIdentity } from '../object-store/object-store.js';
import type { ObjectInfo, ObjectStore, ObjectVersion } from '../object-store/object-store.js';
import { asError, unreachable } from '../runtime/assert.js';
import { explainFailure } from './explain-failure.js';
import { fetchFile } from './fetch-file.js';
import type { FetchFileDeps, Fetched } from './fetch-file.js';
import type { FileEnd } from './file-end.js';
import type { FileState } from './file-state.js';
import type { HeldLock } from './kernel-lock.js';
import { LocalCheck } from './local-check.js';
import type { WantedFile } from './names.js';
import type { SyncFolder } from './sync-folder.js';

export interface BringDeps extends FetchFileDeps {
  readonly objectStore: Pick<ObjectStore, 'endpoint' | 'bucket' | 'head'>;
  readonly folder: SyncFolder;
  readonly state: Pick<FileState, 'get' | 'record' | 'refresh' | 'isNews'>;
  /** Undefined when another worker holds it. */
  readonly lock: (path: string) => HeldLock | undefined;
}

export interface BringOptions {
  /** Whether a file that looks as it was left is good, or has to be read and compared. */
  readonly check: 'stamp' | 'checksum';
  /** See `TransferOptions`. */
  readonly silenceMsMax: number;
}

export interface BringRequest {
  readonly signal: AbortSignal;
  /** See `FetchRequest`. */
  readonly onBegin: (bytesDone: () => number) => void;
  /** Something went wrong and is tried again. */
  readonly onRetry: (reason: string) => void;
}

/** Versions that are begun of an object that is replaced all the time. */
const VERSIONS_MAX = 5;
/** Copies of one version that may turn out wrong. */
const COPIES_MAX = 2;

export class Bring {
  readonly #deps: BringDeps;
  readonly #options: BringOptions;
  readonly #check: LocalCheck;

  constructor(deps: BringDeps, options: BringOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#check = new LocalCheck(deps);
  }

  /** True when the file need not even be locked. Reads nothing of it. */
  isGood({ name, info }: WantedFile): boolean {
    return this.#options.check === 'stamp' && this.#check.hasStamp(name, this.#versionOf(info));
  }

  /** What `run` would come to, as far as that can be known without changing anything. Never rejects. */
  async preview({ name, info }: WantedFile, { signal }: Pick<BringRequest, 'signal'>): Promise<FileEnd> {
    if (this.isGood({ name, info })) return { kind: 'good', by: 'stamp' };
    try {
      const { isObject } = await this.#check.compare(name, this.#versionOf(info), signal);
      if (isObject) return { kind: 'good', by: 'checksum' };
      this.#deps.folder.refuseDirectory(name);
      return { kind: 'fetched', bytes: info.size, resumedBytes: 0, retried: false, checksum: 'unknown' };
    } catch (error) {
      return signal.aborted ? { kind: 'aborted' } : explainFailure(asError(error));
    }
  }

  /** Never rejects. */
  async run(file: WantedFile, request: BringRequest): Promise<FileEnd> {
    if (this.isGood(file)) return { kind: 'good', by: 'stamp' };
    let lock: HeldLock | undefined;
    try {
      lock = this.#deps.lock(this.#deps.folder.pathsOf(file.name).lock);
      if (lock === undefined) return { kind: 'elsewhere' };
      return (await this.#look(file, request.signal)) ?? (await this.#fetch(file, request));
    } catch (error) {
      return request.signal.aborted ? { kind: 'aborted' } : explainFailure(asError(error));
    } finally {
      lock?.release();
    }
  }

  /** Undefined when it has to be fetched. */
  async #look({ name, info }: WantedFile, signal: AbortSignal): Promise<FileEnd | undefined> {
    const version = this.#versionOf(info);
    this.#deps.state.refresh();
    // Whoever brought it since this worker began has verified it.
    if (this.#deps.state.isNews(name) && this.#check.hasStamp(name, version))
      return { kind: 'good', by: 'other worker' };
    if (this.isGood({ name, info })) return { kind: 'good', by: 'stamp' };
    const compared = await this.#check.compare(name, version, signal);
    if (signal.aborted) return { kind: 'aborted' };
    if (!compared.isObject) return undefined;
    this.#check.adopt(name, version, info.lastModifiedMs, compared);
    return { kind: 'good', by: 'checksum' };
  }

  async #fetch({ name, info: listed }: WantedFile, request: BringRequest): Promise<FileEnd> {
    const { objectStore, folder } = this.#deps;
    let info = listed;
    let copies = 0;
    let retried = false;
    for (let versions = 1; ;) {
      folder.makeParents(name);
      folder.refuseDirectory(name);
      const fetched = await this.#fetchVersion(name, info, request);
      const { end } = fetched;
      switch (end.kind) {
        case 'complete': {
          retried ||= fetched.retries > 0;
          const { checksum, crc32c } = end;
          const { resumedBytes } = fetched;
          if (checksum !== 'differs')
            return this.#place(name, info, { checksum, crc32c, resumedBytes, retried });
          folder.discardPart(folder.pathsOf(name));
          copies += 1;
          if (copies === COPIES_MAX) return corrupt(info);
          request.onRetry('its checksum differs');
          break;
        }
        case 'expired': {
          const now = await objectStore.head(info.key, request.signal);
          if (now === undefined) {
            folder.discardPart(folder.pathsOf(name));
            return { kind: 'gone' };
          }
          versions += 1;
          if (versions > VERSIONS_MAX) return changing(info);
          info = now;
          copies = 0;
          request.onRetry(end.reason);
          break;
        }
        case 'silent':
          return { kind: 'failed', code: 'unreachable', message: `nothing came any more (${end.reason})` };
        case 'failed':
          return explainFailure(end.error);
        case 'aborted':
          return end;
        default:
          unreachable(end);
      }
      retried = true;
    }
  }

  #fetchVersion(name: string, info: ObjectInfo, { signal, onBegin }: BringRequest): Promise<Fetched> {
    const { silenceMsMax } = this.#options;
    const paths = this.#deps.folder.pathsOf(name);
    const modifiedMs = info.lastModifiedMs;
    const version = this.#versionOf(info);
    return fetchFile({ version, paths, modifiedMs, silenceMsMax, signal, onBegin }, this.#deps);
  }

  #place(name: string, info: ObjectInfo, { crc32c, ...facts }: Complete): FileEnd {
    const { folder } = this.#deps;
    const paths = folder.pathsOf(name);
    // The way there may have changed since.
    folder.makeParents(name);
    folder.refuseDirectory(name);
    renameSync(paths.part, paths.target);
    folder.discardPart(paths);
    this.#check.remember(name, versionIdentity(this.#versionOf(info)), crc32c);
    return { kind: 'fetched', bytes: info.size, ...facts };
  }

  #versionOf({ key, etag, size }: ObjectInfo): ObjectVersion {
    const { endpoint, bucket } = this.#deps.objectStore;
    return { endpoint, bucket, key, etag, size };
  }
}

interface Complete extends Pick<
  Extract<FileEnd, { kind: 'fetched' }>,
  'checksum' | 'resumedBytes' | 'retried'
> {
  readonly crc32c: number | undefined;
}

function corrupt({ key }: ObjectInfo): FileEnd {
  const message = `what arrives of ${key} is not the object, by its checksum, now for the second time`;
  return { kind: 'failed', code: 'corrupt', message };
}

function changing({ key }: ObjectInfo): FileEnd {
  const message = `${key} was replaced again and again while it was fetched: try again later`;
  return { kind: 'failed', code: 'changing', message };
}
