/**
 * Brings all objects below a prefix into a plain directory: for hosts that cannot mount. Called by `sluice sync`. Lists
 * the bucket, sees to each file (bring.ts) in several lanes over one queue of requests, shares the work with other
 * workers on the directory (workers.ts), and deletes what the bucket does not have, where that is wanted.
 *
 *     sync ─► bring ─► fetch-file ─► transfer ─► downloader ─► object store
 */
import type { TransferConfig } from '../config/mount-config.js';
import type { Platform } from '../filesystem/keys.js';
import type { NativeAddon } from '../native.js';
import type { ObjectInfo, ObjectStore } from '../object-store/object-store.js';
import type { Logger } from '../observability/logger.js';
import { TransferMetrics } from '../observability/metrics.js';
import { asError } from '../runtime/assert.js';
import type { Clock } from '../runtime/clock.js';
import { Bring } from './bring.js';
import type { BringDeps } from './bring.js';
import { deleteStray, findStrays, removeEmptied } from './deletions.js';
import type { Wanted } from './deletions.js';
import { explainFailure } from './explain-failure.js';
import { fetchDeps } from './fetch-deps.js';
import type { FileEnd } from './file-end.js';
import { Lanes } from './lanes.js';
import type { Fetched, LanesDeps } from './lanes.js';
import { clearLeftovers } from './leftovers.js';
import { folded, planNames } from './names.js';
import type { NamePlan, WantedFile } from './names.js';
import type { SyncEvent, SyncSummary } from './report.js';
import { SharedFolder } from './shared-folder.js';
import { parentsOf, SyncFolder } from './sync-folder.js';
import { bytesOf, Tally } from './tally.js';

export interface SyncConfig extends TransferConfig {
  /** Absolute path. Created when missing. */
  readonly directory: string;
  /** Names that the user wants, relative to the prefix. */
  readonly isWanted: (name: string) => boolean;
  /** How a file that is there is told from one that has to be fetched: see `BringOptions`. */
  readonly check: 'stamp' | 'checksum';
  /** Files that are seen to at once. */
  readonly concurrency: number;
  /** What the bucket does not have. `even all`: also when that is everything, since the listing is empty. */
  readonly deletes: 'nothing' | 'strays' | 'even all';
  /** Nothing is changed; events and summary say what would be. */
  readonly dryRun: boolean;
}

/** What of the addon is used: `NativeAddon` in native.ts has it. */
export type SyncAddon = Pick<NativeAddon, 'crc32c' | 'crc64nvme' | 'checksumRange' | 'lockFile'>;

export interface SyncDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whoever opened it closes it. */
  readonly objectStore: ObjectStore;
  /** Where there is none, there is one worker per directory, and CRC64NVMEs are not compared. */
  readonly addon: SyncAddon | undefined;
  readonly platform: Platform;
  /** Ends it: what was fetched so far stays, for the next time. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: SyncEvent) => void;
}

export class Sync {
  readonly #config: SyncConfig;
  readonly #deps: SyncDeps;
  readonly #metrics: TransferMetrics;
  readonly #tally = new Tally();

  constructor(config: SyncConfig, deps: SyncDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#metrics = new TransferMetrics(deps.clock);
  }

  /** How far it has come. */
  view() {
    return { ...this.#tally.view(), bytesFetched: this.#metrics.totals.bytesFetched };
  }

  /**
   * To be called once. What goes wrong with a file is told by an event, and counted.
   * @throws ObjectStoreError, SyncFolderError, WorkersError when there is no beginning
   */
  async run(): Promise<SyncSummary> {
    const { clock, signal } = this.#deps;
    const begunMs = clock.nowMs();
    if (this.#config.dryRun) await this.#preview();
    else await this.#synchronise();
    return {
      ...this.#tally.summary(),
      bytesFetched: this.#metrics.totals.bytesFetched,
      milliseconds: Math.round(clock.nowMs() - begunMs),
      stopped: signal.aborted,
      dryRun: this.#config.dryRun,
    };
  }

  async #synchronise(): Promise<void> {
    const { clock, addon, signal } = this.#deps;
    const tryLock = addon && ((descriptor: number) => addon.lockFile(descriptor));
    // What is wrong on this machine is said before anybody waits for the network.
    const folder = await SharedFolder.open(this.#config.directory, { clock, tryLock });
    try {
      const plan = await this.#plan();
      if (plan === undefined) return;
      this.#makeMarkers(plan.markers, folder.files);
      const lock = (path: string) => folder.lock(path);
      const bring = this.#bring({ folder: folder.files, state: folder.state, lock });
      const lanes = this.#lanes(plan.files, (file, request) => bring.run(file, request));
      folder.onChange = () => lanes.change();
      await lanes.run();
      if (signal.aborted) return;
      this.#delete(plan, folder);
      const names = plan.files.map(({ name }) => name);
      clearLeftovers(names, this.#config, { folder: folder.files, lock });
    } finally {
      folder.close();
    }
  }

  async #preview(): Promise<void> {
    const folder = SyncFolder.find(this.#config.directory);
    const plan = await this.#plan();
    if (plan === undefined) return;
    if (folder === undefined) {
      await this.#lanes(plan.files, async ({ info }) => wouldFetch(info)).run();
      return;
    }
    const state = SharedFolder.readState(folder);
    const bring = this.#bring({ folder, state, lock: () => undefined });
    await this.#lanes(plan.files, (file, request) => bring.preview(file, request)).run();
    state.close();
    if (this.#deps.signal.aborted || !this.#mayDelete(plan)) return;
    for (const name of findStrays(folder, this.#keeping(plan))) {
      this.#tally.deleted();
      this.#deps.onEvent({ event: 'would-delete', name });
    }
  }

  #bring(place: Pick<BringDeps, 'folder' | 'state' | 'lock'>): Bring {
    const { check, readDeadlineMs } = this.#config;
    const { objectStore } = this.#deps;
    const fetching = fetchDeps(this.#config, { ...this.#deps, metrics: this.#metrics });
    return new Bring({ ...fetching, ...place, objectStore }, { check, silenceMsMax: readDeadlineMs });
  }

  #lanes(files: readonly WantedFile[], see: LanesDeps['see']): Lanes {
    const { clock, signal, onEvent } = this.#deps;
    const fetchedEvent = this.#config.dryRun ? wouldFetchEvent : fetchedFileEvent;
    return new Lanes(files, this.#config.concurrency, {
      clock,
      signal,
      onEvent,
      tally: this.#tally,
      see,
      fetchedEvent,
    });
  }

  /** Undefined when it was ended before. @throws ObjectStoreError */
  async #plan(): Promise<NamePlan | undefined> {
    const { objectStore, signal, platform, onEvent } = this.#deps;
    const { prefix, isWanted } = this.#config;
    try {
      await objectStore.check(prefix, signal);
      const objects = await listAll(objectStore, prefix, signal);
      const plan = planNames(objects, { prefix, platform, isWanted });
      for (const { key, reason } of plan.refused) onEvent({ event: 'refused', key, reason });
      this.#tally.listed(plan.files, plan.refused.length);
      onEvent({ event: 'listed', files: plan.files.length, bytes: bytesOf(plan.files) });
      return plan;
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    }
  }

  /** Directories without a file in them. */
  #makeMarkers(markers: readonly string[], folder: SyncFolder): void {
    for (const name of markers) {
      try {
        folder.makeFolders([...parentsOf(name), name]);
      } catch (error) {
        this.#failed(name, error);
      }
    }
  }

  #delete(plan: NamePlan, folder: SharedFolder): void {
    const { files, state } = folder;
    const lock = (path: string) => folder.lock(path);
    if (!this.#mayDelete(plan)) return;
    const keeping = this.#keeping(plan);
    const deleted: string[] = [];
    for (const name of findStrays(files, keeping)) {
      try {
        if (!deleteStray(name, { folder: files, state, lock })) continue;
        deleted.push(name);
        this.#tally.deleted();
        this.#deps.onEvent({ event: 'deleted', name });
      } catch (error) {
        this.#failed(name, error);
      }
    }
    removeEmptied(files, deleted, keeping.isKept);
  }

  #mayDelete({ files }: NamePlan): boolean {
    const { deletes } = this.#config;
    if (deletes === 'nothing') return false;
    const reason =
      this.#tally.summary().failed > 0
        ? 'not every file could be brought'
        : files.length === 0 && deletes !== 'even all'
          ? 'the bucket shows nothing that should be here'
          : undefined;
    if (reason !== undefined) this.#deps.onEvent({ event: 'not-deleted', reason });
    return reason === undefined;
  }

  #keeping({ files, markers }: NamePlan): Wanted {
    const { platform } = this.#deps;
    const names = [...files.map(({ name }) => name), ...markers];
    const kept = new Set(names.map((name) => folded(name, platform)));
    return { isKept: (name) => kept.has(folded(name, platform)), isWanted: this.#config.isWanted };
  }

  #failed(name: string, error: unknown): void {
    const { code, message } = explainFailure(asError(error));
    this.#tally.failed(1);
    this.#deps.onEvent({ event: 'failed', name, code, message });
  }
}

async function listAll(objectStore: ObjectStore, prefix: string, signal: AbortSignal): Promise<ObjectInfo[]> {
  const objects: ObjectInfo[] = [];
  let continuation: string | undefined;
  do {
    const page = await objectStore.list({ prefix, continuation, signal });
    for (const info of page.objects) objects.push(info);
    ({ continuation } = page);
  } while (continuation !== undefined);
  return objects;
}

function wouldFetch({ size }: ObjectInfo): FileEnd {
  return { kind: 'fetched', bytes: size, resumedBytes: 0, retried: false, checksum: 'unknown' };
}

function wouldFetchEvent({ name, info }: WantedFile): SyncEvent {
  return { event: 'would-fetch', name, bytes: info.size };
}

function fetchedFileEvent({ name }: WantedFile, end: Fetched, milliseconds: number): SyncEvent {
  const { bytes, resumedBytes, checksum } = end;
  return { event: 'fetched', name, bytes, resumedBytes, milliseconds, checksum };
}
