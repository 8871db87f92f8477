/**
 * Is the file that lies at a name the object? By its stamp, when it was fetched or compared before and was not touched
 * since; else by reading it and comparing checksums, as far as there are any. Used by bring.ts.
 */
import { utimesSync } from 'node:fs';
import { versionIdentity } from '../object-store/object-store.js';
import type { ObjectVersion } from '../object-store/object-store.js';
import { Availability } from '../runtime/availability.js';
import { BlockChecksummer } from '../runtime/block-checksummer.js';
import { BLOCK_BYTES, BlockChecksums } from '../runtime/block-checksums.js';
import { compare } from './fetch-file.js';
import type { FetchFileDeps } from './fetch-file.js';
import type { FileState } from './file-state.js';
import type { SyncFolder } from './sync-folder.js';
import { TempFile } from './temp-file.js';

export interface LocalCheckDeps extends Pick<FetchFileDeps, 'checksums' | 'logger'> {
  readonly folder: SyncFolder;
  readonly state: Pick<FileState, 'get' | 'record'>;
}

export interface Compared {
  readonly isObject: boolean;
  /** Of all bytes, where it was computed. */
  readonly crc32c: number | undefined;
}

/** A file that is compared. */
interface Candidate {
  readonly file: TempFile;
  readonly blocks: BlockChecksums;
  readonly version: ObjectVersion;
  readonly signal: AbortSignal;
}

export class LocalCheck {
  readonly #deps: LocalCheckDeps;

  constructor(deps: LocalCheckDeps) {
    this.#deps = deps;
  }

  /** It was this version when it was put in place, and was not touched since. */
  hasStamp(name: string, version: ObjectVersion): boolean {
    const known = this.#deps.state.get(name);
    if (known === undefined || known.version !== versionIdentity(version)) return false;
    return this.#deps.folder.stampOf(name)?.stamp === known.stamp;
  }

  /** The file is in place and verified. What cannot be noted is only found out anew. */
  remember(name: string, version: string, crc32c: number | undefined): void {
    const { folder, state, logger } = this.#deps;
    const found = folder.stampOf(name);
    if (found === undefined) return;
    try {
      state.record(name, { version, stamp: found.stamp, crc32c });
    } catch (error) {
      logger.warn({ err: error, name }, 'that the file is in place could not be noted');
    }
  }

  /**
   * Reads the file, when it may be the object by its size: whether it is, by the server's checksum, or where that keeps
   * none by the one that was noted when this version was fetched. Changes nothing.
   * @throws ObjectStoreError, or what the local disk answers
   */
  async compare(name: string, version: ObjectVersion, signal: AbortSignal): Promise<Compared> {
    const { folder } = this.#deps;
    if (folder.stampOf(name)?.size !== version.size) return { isObject: false, crc32c: undefined };
    const file = TempFile.openToRead(folder.pathsOf(name).target);
    const blocks = BlockChecksums.create(version.size);
    try {
      const isObject = await this.#isObject(name, { file, blocks, version, signal });
      const crc32c = blocks.combined('crc32c');
      return { isObject, crc32c: crc32c === undefined ? undefined : Number(crc32c) };
    } finally {
      await file.close();
    }
  }

  /** The file is the object, as `compare` found: it is remembered, with the time of the object. */
  adopt(name: string, version: ObjectVersion, modifiedMs: number, { crc32c }: Compared): void {
    const { target } = this.#deps.folder.pathsOf(name);
    utimesSync(target, modifiedMs / 1000, modifiedMs / 1000);
    this.remember(name, versionIdentity(version), crc32c);
  }

  async #isObject(name: string, { file, blocks, version, signal }: Candidate): Promise<boolean> {
    const availability = Availability.create(version.size);
    availability.publish({ start: 0, end: version.size });
    const comparison = compare({ id: name, version, availability, blocks }, file, this.#deps);
    const onAbort = () => comparison.sums.close();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const result = await comparison.result();
      if (signal.aborted) return false;
      if (result === 'matches' || version.size === 0) return true;
      const known = this.#deps.state.get(name);
      if (result === 'differs' || known?.crc32c === undefined || !this.hasStamp(name, version)) return false;
      await this.#sum(file, blocks, signal);
      return blocks.combined('crc32c') === BigInt(known.crc32c);
    } finally {
      signal.removeEventListener('abort', onAbort);
      comparison.sums.close();
    }
  }

  async #sum(file: TempFile, blocks: BlockChecksums, signal: AbortSignal): Promise<void> {
    const buffer = new Uint8Array(BLOCK_BYTES);
    for (const block of blocks.missingBlocks()) {
      if (signal.aborted) return;
      const { start, end } = blocks.blockRange(block);
      await file.read(buffer.subarray(0, end - start), start);
      new BlockChecksummer(blocks, this.#deps.checksums.functions, start).update(buffer, 0, end - start);
    }
  }
}
