/**
 * The files with object bodies. A blob is written once, under a temporary name, and published by rename under a
 * random name that has nothing to do with any key. storage.ts counts the references of each blob and body
 * readers pin it while they read: the file goes when both are zero.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '../runtime/assert.js';
import type { Segment } from './model.js';

interface BlobUse {
  references: number;
  pins: number;
}

export class BlobStore {
  readonly #blobsDir: string;
  readonly #temporaryDir: string;
  readonly #uses = new Map<string, BlobUse>();
  readonly #removals = new Set<Promise<void>>();

  constructor(dir: string) {
    this.#blobsDir = join(dir, 'blobs');
    this.#temporaryDir = join(dir, 'tmp');
    fs.rmSync(this.#temporaryDir, { recursive: true, force: true });
    fs.mkdirSync(this.#temporaryDir, { recursive: true });
    fs.mkdirSync(this.#blobsDir, { recursive: true });
  }

  /** A blob that is being written. `publish` or `discard` ends it. */
  async create(): Promise<BlobWriter> {
    const blobId = randomBytes(16).toString('hex');
    const temporaryPath = join(this.#temporaryDir, blobId);
    return new BlobWriter(blobId, temporaryPath, this.#path(blobId), await open(temporaryPath, 'wx', 0o600));
  }

  reference(blobId: string): void {
    this.#use(blobId).references++;
  }

  release(blobId: string): void {
    const use = this.#use(blobId);
    assert(use.references > 0, `blob ${blobId} is released as often as it is referenced`);
    use.references--;
    this.#removeIfUnused(blobId, use);
  }

  /**
   * Keeps the files of these segments until the returned function is called (once), whatever is deleted
   * meanwhile. Unpinning a published blob that nothing came to refer to removes it.
   */
  pin(segments: readonly Segment[]): () => void {
    const blobIds = segments.flatMap((segment) => (segment.kind === 'blob' ? [segment.blobId] : []));
    for (const blobId of blobIds) this.#use(blobId).pins++;
    let pinned = true;
    return () => {
      assert(pinned, 'a pin is taken back once');
      pinned = false;
      for (const blobId of blobIds) {
        const use = this.#use(blobId);
        use.pins--;
        this.#removeIfUnused(blobId, use);
      }
    };
  }

  /** Opens a pinned blob for reading. */
  async open(blobId: string): Promise<FileHandle> {
    return open(this.#path(blobId), 'r');
  }

  /** The same while the event loop waits. Returns a descriptor, which the caller closes. */
  openNow(blobId: string): number {
    return fs.openSync(this.#path(blobId), 'r');
  }

  /** Deletes the files that nothing refers to: what a crash between publishing and the journal leaves. */
  sweep(): void {
    for (const shard of fs.readdirSync(this.#blobsDir)) {
      for (const blobId of fs.readdirSync(join(this.#blobsDir, shard))) {
        if (!this.#uses.has(blobId)) fs.rmSync(join(this.#blobsDir, shard, blobId), { force: true });
      }
    }
  }

  /** Resolves when all removals under way are done. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals);
  }

  #use(blobId: string): BlobUse {
    let use = this.#uses.get(blobId);
    if (use === undefined) this.#uses.set(blobId, (use = { references: 0, pins: 0 }));
    return use;
  }

  #removeIfUnused(blobId: string, use: BlobUse): void {
    if (use.references > 0 || use.pins > 0) return;
    this.#uses.delete(blobId);
    // A file that cannot be removed now is swept at the next start.
    const removal = rm(this.#path(blobId), { force: true }).catch(() => undefined);
    this.#removals.add(removal);
    void removal.then(() => this.#removals.delete(removal));
  }

  /** 256 folders, so that none grows beyond what every file system handles well. */
  #path(blobId: string): string {
    return join(this.#blobsDir, blobId.slice(0, 2), blobId);
  }
}

export class BlobWriter {
  readonly blobId: string;
  readonly #temporaryPath: string;
  readonly #finalPath: string;
  readonly #handle: FileHandle;
  #sizeBytes = 0;

  constructor(blobId: string, temporaryPath: string, finalPath: string, handle: FileHandle) {
    this.blobId = blobId;
    this.#temporaryPath = temporaryPath;
    this.#finalPath = finalPath;
    this.#handle = handle;
  }

  /** All bytes written so far. */
  get segments(): Segment[] {
    return [{ kind: 'blob', blobId: this.blobId, offset: 0, length: this.#sizeBytes }];
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#sizeBytes);
      done += bytesWritten;
      this.#sizeBytes += bytesWritten;
    }
  }

  async publish(): Promise<void> {
    await this.#handle.close();
    fs.mkdirSync(join(this.#finalPath, '..'), { recursive: true });
    await rename(this.#temporaryPath, this.#finalPath);
  }

  async discard(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await rm(this.#temporaryPath, { force: true });
  }
}
