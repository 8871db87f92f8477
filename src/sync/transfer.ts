/**
 * Fetches what is missing of one object into its file: the DownloadTarget of a Downloader that is asked for all of the
 * object at once. Made by fetch-file.ts for each attempt. Promise: `run` settles once, by all bytes, a final failure, a
 * silence of the server, or an abort; what arrived stays in the file and in the availability.
 */
import type { DownloadTarget, PartFailure, PartTarget } from '../download/target.js';
import { PartWriter } from '../file/part-writer.js';
import type { PlaceOfPart } from '../file/part-writer.js';
import type { LocalPlace, ObjectVersion } from '../object-store/object-store.js';
import { asError, unreachable } from '../runtime/assert.js';
import type { Availability } from '../runtime/availability.js';
import { BlockChecksummer } from '../runtime/block-checksummer.js';
import type { BlockChecksums } from '../runtime/block-checksums.js';
import type { ChecksumFunctions } from '../runtime/checksum-functions.js';
import type { Clock } from '../runtime/clock.js';
import { Deferred } from '../runtime/deferred.js';
import type { ByteRange } from '../runtime/range.js';
import { sharedMemoryOf } from '../runtime/shared-memory.js';
import type { TempFile } from './temp-file.js';

/** What is needed of a downloader. */
export interface Fetcher {
  demand(range: ByteRange): void;
  stop(): void;
}

export interface TransferDeps {
  readonly clock: Clock;
  readonly functions: ChecksumFunctions;
  readonly createFetcher: (target: DownloadTarget) => Fetcher;
  readonly told: LocalPlace['told'];
  /** The bytes are in the file. What it throws ends the transfer. */
  readonly onPublished: (range: ByteRange) => void;
}

export interface TransferOptions {
  /** For the log. */
  readonly id: string;
  /**
   * It ends when its requests have failed for so long, and not a page came. A request that hangs fails, too; one that
   * waits for its turn behind those of other files does not: that is no silence of the server.
   */
  readonly silenceMsMax: number;
}

export type TransferEnd =
  | { readonly kind: 'complete' }
  /** The object is no longer this version. */
  | { readonly kind: 'expired'; readonly reason: string }
  /** The server forbids it, or the local disk failed. */
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'silent'; readonly reason: string }
  | { readonly kind: 'aborted' };

export class Transfer implements DownloadTarget {
  readonly id: string;
  readonly version: ObjectVersion;
  readonly isWindow = false;
  readonly #file: TempFile;
  readonly #availability: Availability;
  readonly #checksums: BlockChecksums;
  readonly #deps: TransferDeps;
  readonly #silenceMsMax: number;
  readonly #end = new Deferred<TransferEnd>();
  #isOver = false;
  #retries = 0;
  /** Begins with the first request that fails after bytes came. */
  #silence: { readonly sinceMs: number; readonly arrivedBytes: number } | undefined;

  constructor(
    version: ObjectVersion,
    local: {
      readonly file: TempFile;
      readonly availability: Availability;
      readonly checksums: BlockChecksums;
    },
    deps: TransferDeps,
    options: TransferOptions,
  ) {
    this.id = options.id;
    this.version = version;
    this.#file = local.file;
    this.#availability = local.availability;
    this.#checksums = local.checksums;
    this.#deps = deps;
    this.#silenceMsMax = options.silenceMsMax;
  }

  /** Requests that failed and were tried again. */
  get retries(): number {
    return this.#retries;
  }

  /** To be called once. Never rejects. */
  async run(signal: AbortSignal): Promise<TransferEnd> {
    if (this.#availability.complete) return { kind: 'complete' };
    const fetcher = this.#deps.createFetcher(this);
    const onAbort = () => this.#finish({ kind: 'aborted' });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else fetcher.demand({ start: 0, end: this.version.size });
    const end = await this.#end.promise;
    signal.removeEventListener('abort', onAbort);
    fetcher.stop();
    return end;
  }

  // What the downloader calls (DownloadTarget).

  get pageBytes(): number {
    return this.#availability.pageBytes;
  }

  firstMissing(range: ByteRange): ByteRange | undefined {
    return this.#availability.firstMissing(range);
  }

  hasRoom(): boolean {
    return true;
  }

  missing(range: ByteRange): ByteRange[] {
    return this.#availability.missing(range);
  }

  /** All that is missing is waited for. */
  wanted(range: ByteRange): boolean {
    return !this.#isOver && !this.#availability.has(range);
  }

  async peek({ start, end }: ByteRange): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - start);
    await this.#file.read(bytes, start);
    return bytes;
  }

  beginPart(range: ByteRange): PartTarget {
    let publishedPages = range.start;
    const publish = (end: number) => {
      this.#publish({ start: publishedPages, end });
      publishedPages = Math.max(publishedPages, Math.floor(end / this.pageBytes) * this.pageBytes);
    };
    return new SummedPart(
      this.#file,
      range.start,
      publish,
      () => this.#lend(),
      (at) => new BlockChecksummer(this.#checksums, this.#deps.functions, at),
    );
  }

  delayed(reason: string): void {
    this.#retries += 1;
    const { arrivedBytes } = this.#availability;
    const nowMs = this.#deps.clock.nowMs();
    if (this.#silence?.arrivedBytes !== arrivedBytes) this.#silence = { sinceMs: nowMs, arrivedBytes };
    if (nowMs - this.#silence.sinceMs >= this.#silenceMsMax) this.#finish({ kind: 'silent', reason });
  }

  partFailed(_range: ByteRange, failure: PartFailure): void {
    switch (failure.kind) {
      case 'denied':
      case 'threw':
        this.#finish({ kind: 'failed', error: failure.error });
        return;
      default:
        unreachable(failure);
    }
  }

  expired(reason: string): void {
    this.#finish({ kind: 'expired', reason });
  }

  #lend(): PlaceOfPart {
    const borrowed = this.#file.borrow();
    return {
      descriptor: borrowed.descriptor,
      release: () => borrowed.release(),
      failed: (error) => {
        throw error;
      },
      nativeFile: undefined,
      told: this.#deps.told,
      memory: sharedMemoryOf({ availability: this.#availability, checksums: this.#checksums }),
    };
  }

  #publish(range: ByteRange): void {
    this.#availability.publish(range);
    try {
      this.#deps.onPublished(range);
    } catch (error) {
      this.#finish({ kind: 'failed', error: asError(error) });
    }
    if (this.#availability.complete) this.#finish({ kind: 'complete' });
  }

  #finish(end: TransferEnd): void {
    this.#isOver = true;
    this.#end.resolve(end);
  }
}

/** Sums what JavaScript writes, as the transport that borrows the file does by itself. */
class SummedPart extends PartWriter {
  readonly #createSum: (at: number) => BlockChecksummer;
  #sum: BlockChecksummer | undefined;
  #summedTo = -1;

  constructor(
    file: TempFile,
    start: number,
    publish: (end: number) => void,
    borrow: () => PlaceOfPart,
    createSum: (at: number) => BlockChecksummer,
  ) {
    super(file, start, publish, borrow);
    this.#createSum = createSum;
  }

  override write(chunk: Uint8Array): void | Promise<void> {
    // Another transport may have brought what lies between.
    if (this.#sum === undefined || this.#summedTo !== this.position)
      this.#sum = this.#createSum(this.position);
    this.#sum.update(chunk, 0, chunk.length);
    this.#summedTo = this.position + chunk.length;
    return super.write(chunk);
  }
}
