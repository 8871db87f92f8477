/**
 * Tells whether the readers of one object are loading all of it, and what its format wants first. A load is reading in
 * order for a while (by one reader, or by several together), or a read of the data of an object whose format is known:
 * loaders of such a file go on. Only hints come of it: what is fetched when, never what a read returns.
 */
import type { FormatProbe } from '../formats/load-plan.js';
import type { ByteRange } from '../runtime/range.js';
import { subtractRanges } from '../runtime/range.js';
import type { ReadStreams } from './read-streams.js';
import type { DownloadTarget } from './target.js';

/** In-order reading of this much, or of three largest parts, is a load. */
const LOAD_BYTES = 24 * 1024 * 1024;
const LOAD_PARTS = 3;
/** Many short sequences side by side come to much together, and are none: on average each has to go on for so long. */
const LOAD_BYTES_EACH = 4 * 1024 * 1024;
/** How far the kernel may read ahead of whoever looks at a header, or a directory, only. */
const READ_AHEAD_BYTES = 1024 * 1024;

export interface LoadRecognitionOptions {
  readonly partBytesMax: number;
  /** Objects above this are never loaded as a whole. */
  readonly fillBytesMax: number;
}

type LoadedTarget = Pick<DownloadTarget, 'version' | 'isWindow' | 'firstMissing' | 'peek'>;

export class LoadRecognition {
  readonly #target: LoadedTarget;
  readonly #options: LoadRecognitionOptions;
  #probe: FormatProbe | undefined;
  #isLooking = false;
  #isLoad = false;

  constructor(target: LoadedTarget, probe: FormatProbe, options: LoadRecognitionOptions) {
    this.#target = target;
    this.#probe = probe;
    this.#options = options;
  }

  /** All of the object is wanted, and may lie on disk. */
  get fills(): boolean {
    const { version, isWindow } = this.#target;
    return this.#isLoad && !isWindow && version.size <= this.#options.fillBytesMax;
  }

  /** What the format asks for first, where that stays until it is read. */
  get first(): readonly ByteRange[] {
    return this.#target.isWindow ? [] : (this.#probe?.plan?.first ?? []);
  }

  /** Notes a read, which `streams` observed before. */
  observe(read: ByteRange, streams: ReadStreams): void {
    if (this.#isLoad) return;
    const loadBytes = Math.min(LOAD_BYTES, LOAD_PARTS * this.#options.partBytesMax);
    const jointBytes = Math.max(loadBytes, LOAD_BYTES_EACH * streams.loading);
    this.#isLoad =
      streams.longestRunBytes >= loadBytes || streams.loadedBytes >= jointBytes || this.#isOfData(read);
  }

  /** Looks at what of the format's marks has arrived, and tells `onNews` when that told something. */
  async look(onNews: () => void): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      // Once all is there, nothing is left to be fetched in some order.
      if (this.#arrivedWants === undefined || this.#isHere) return;
      for (let wants = this.#arrivedWants; wants !== undefined; wants = this.#arrivedWants) {
        this.#probe?.look(await this.#target.peek(wants));
        onNews();
      }
    } catch {
      // The local copy was closed, or its disk fails: readers are told of that, a hint is not worth it.
      this.#probe = undefined;
    } finally {
      this.#isLooking = false;
    }
  }

  get #isHere(): boolean {
    return this.#target.firstMissing({ start: 0, end: this.#target.version.size }) === undefined;
  }

  /** What the probe wants to see next, if it is there. */
  get #arrivedWants(): ByteRange | undefined {
    const wants = this.#probe?.wants;
    return wants === undefined || this.#target.firstMissing(wants) !== undefined ? undefined : wants;
  }

  /** Nobody reads any more. What is known of the format stays. */
  reset(): void {
    this.#isLoad = false;
  }

  /** A read of the data, and not just of what the kernel read ahead of somebody who looked at what comes first. */
  #isOfData(read: ByteRange): boolean {
    const plan = this.#probe?.plan;
    if (plan === undefined || read.end <= plan.dataStart + READ_AHEAD_BYTES) return false;
    const lookedAt = plan.first.map(({ start, end }) => ({
      start: start - READ_AHEAD_BYTES,
      end: end + READ_AHEAD_BYTES,
    }));
    return subtractRanges(read, lookedAt).length > 0;
  }
}
