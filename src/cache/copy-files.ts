/**
 * The files of one copy while it is being acquired: judged and, for a claim, put into the state that others may follow,
 * all within the index's transaction (FilesOfCopy in index/claims.ts). What is not certain is not believed: the
 * availability is cleared before anybody sees it.
 */
import { assert } from '../runtime/assert.js';
import type { CacheDirectory } from './cache-directory.js';
import { createAnew, isMissing } from './file-operations.js';
import type { FileOperations } from './file-operations.js';
import type { ClaimedHow, FilesOfCopy } from './index/claims.js';
import type { CopyRow } from './index/copy-row.js';
import type { CopyTrust } from './local-copy.js';
import { MapFile } from './map-file.js';
import type { MapFileDeps } from './map-file.js';
import { stampOf } from './stamp.js';

export interface CopyFilesDeps extends MapFileDeps {
  readonly directory: CacheDirectory;
  readonly files: FileOperations;
  readonly boot: string | undefined;
}

export class CopyFiles implements FilesOfCopy {
  readonly #deps: CopyFilesDeps;
  #map: MapFile | undefined;
  readonly #created: string[] = [];
  #trust: CopyTrust = 'fresh';

  constructor(deps: CopyFilesDeps) {
    this.#deps = deps;
  }

  /** Of what was acquired. */
  get trust(): CopyTrust {
    return this.#trust;
  }

  /** Of what was acquired; the caller closes it. */
  get map(): MapFile {
    assert(this.#map !== undefined, 'a copy that was acquired has a map');
    return this.#map;
  }

  isWhole(row: CopyRow): boolean {
    const { directory, files, boot } = this.#deps;
    const stamp = stampOf(boot, [files.stat(directory.fileOf(row.name, 'complete'))]);
    if (stamp === undefined || stamp !== row.stamp) return false;
    const map = this.#openMap(row);
    if (map?.availability.complete) {
      this.#keep(map, 'complete');
      return true;
    }
    map?.close();
    return false;
  }

  claimed(row: CopyRow, found: ClaimedHow): void {
    if (found === 'new') return this.create(row);
    const { directory, files, boot } = this.#deps;
    const path = this.#dataPath(row);
    const data = files.stat(path);
    // Before the map is opened, which may be a change to it.
    const stamp = stampOf(boot, [data, files.stat(directory.fileOf(row.name, 'map'))]);
    const map = this.#openMap(row);
    if (map !== undefined) this.#keep(map, 'partial');
    if (map === undefined || data?.size !== BigInt(row.size)) return this.#beginAnew(row, found);
    if (found === 'idle' && (stamp === undefined || stamp !== row.stamp)) {
      if (!isAnyKnown(map)) return this.#beginAnew(row, found);
      // Nothing is there any more; what is known of the blocks may bring some of it back.
      map.availability.clear({ start: 0, end: row.size });
      this.#trust = 'unverified';
    }
    const part = directory.fileOf(row.name, 'part');
    if (path !== part) files.rename(path, part);
  }

  /** Of a copy that another process fills. False when there is nothing to follow. */
  follow(row: CopyRow): boolean {
    const map = this.#openMap(row);
    if (map === undefined) return false;
    this.#keep(map, 'partial');
    return true;
  }

  /** Begins anew. */
  create(row: CopyRow): void {
    try {
      this.#createFiles(row);
    } catch (error) {
      if (!isMissing(error)) throw error;
      // The first copy of its folder, or somebody removed that.
      this.#deps.directory.makeFolderOf(row.name);
      this.#createFiles(row);
    }
  }

  /** It was not acquired, as the index did not take it. */
  abandon(): void {
    try {
      this.#map?.close();
    } finally {
      for (const path of this.#created) this.#deps.files.unlink(path);
    }
  }

  /** Where the data file lies: a daemon may have been killed between renaming it and saying so. */
  #dataPath({ name }: CopyRow): string {
    const { directory, files } = this.#deps;
    const part = directory.fileOf(name, 'part');
    return files.stat(part) === undefined ? directory.fileOf(name, 'complete') : part;
  }

  /** Of what is there nothing can be used, or nothing is there. */
  #beginAnew(row: CopyRow, found: ClaimedHow): void {
    const { directory, files } = this.#deps;
    const open = found === 'open' ? this.#map : undefined;
    if (found === 'open' && open?.availability.arrivedBytes !== 0) {
      throw new Error(`the files of ${row.key}, which others read, were changed from outside`);
    }
    for (const file of ['part', 'complete'] as const) files.unlink(directory.fileOf(row.name, file));
    // What others have mapped stays: its owner was killed before it wrote anything.
    if (open === undefined) return this.create(row);
    this.#createData(row);
    this.#trust = 'fresh';
  }

  #createFiles(row: CopyRow): void {
    const path = this.#deps.directory.fileOf(row.name, 'map');
    this.#keep(MapFile.create(path, row.size, this.#deps), 'fresh');
    this.#created.push(path);
    this.#createData(row);
  }

  /** With its size and without bytes: whoever follows the copy opens it before its owner has written anything. */
  #createData({ name, size }: CopyRow): void {
    const { directory, files } = this.#deps;
    const path = directory.fileOf(name, 'part');
    const descriptor = createAnew(files, path);
    this.#created.push(path);
    try {
      files.resize(descriptor, size);
    } finally {
      files.close(descriptor);
    }
  }

  #openMap({ name, size }: CopyRow): MapFile | undefined {
    return MapFile.open(this.#deps.directory.fileOf(name, 'map'), size, this.#deps);
  }

  #keep(map: MapFile, trust: CopyTrust): void {
    this.#map?.close();
    this.#map = map;
    this.#trust = trust;
  }
}

function isAnyKnown({ checksums }: MapFile): boolean {
  for (let block = 0; block < checksums.blocks; block++) {
    if (checksums.crc32c(block) !== undefined) return true;
  }
  return false;
}
