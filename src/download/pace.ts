/**
 * How fast requests for object bytes were lately, over all files of a mount: medians of the time to the first byte and
 * of the rate behind it. Fed by every part; whoever decides how much to fetch at once, or what is slow, asks here.
 */

/** A quarter of a second to a few seconds of work: old enough to tell, young enough to follow the network. */
const SAMPLES_MAX = 32;
/** Fewer requests than this say nothing of what is usual. */
const SAMPLES_MIN = 8;
/** What is assumed before anything was measured: a region nearby, and a connection as it is common there. */
const ROUND_TRIP_DEFAULT_MS = 20;
const BYTES_PER_MS_DEFAULT = 64 * 1024;
/** Shorter transfers measure buffers, not the network. */
const TRANSFER_BYTES_MIN = 256 * 1024;

export class Pace {
  readonly #firstByteMs = new RecentSamples();
  readonly #bytesPerMs = new RecentSamples();

  /** The first bytes of a request came `ms` after it was sent. */
  firstByte(ms: number): void {
    this.#firstByteMs.add(ms);
  }

  /** `bytes` came in the `ms` behind the first ones of a request. */
  transferred(bytes: number, ms: number): void {
    if (bytes >= TRANSFER_BYTES_MIN && ms > 0) this.#bytesPerMs.add(bytes / ms);
  }

  /** True once any request brought bytes. */
  get measured(): boolean {
    return this.#firstByteMs.count > 0;
  }

  /** True once there were enough requests to call one of them slow. */
  get known(): boolean {
    return this.#firstByteMs.count >= SAMPLES_MIN;
  }

  /** Median time to the first byte. */
  get roundTripMs(): number {
    return this.#firstByteMs.median ?? ROUND_TRIP_DEFAULT_MS;
  }

  /** Median rate of one connection. */
  get bytesPerMs(): number {
    return this.#bytesPerMs.median ?? BYTES_PER_MS_DEFAULT;
  }
}

/** The last few numbers and their median, computed when it is asked for after a new one came. */
class RecentSamples {
  readonly #values: number[] = [];
  #next = 0;
  #median: number | undefined;

  get count(): number {
    return this.#values.length;
  }

  get median(): number | undefined {
    if (this.#median === undefined && this.#values.length > 0) {
      const sorted = this.#values.toSorted((a, b) => a - b);
      this.#median = sorted[Math.floor(sorted.length / 2)];
    }
    return this.#median;
  }

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % SAMPLES_MAX;
    this.#median = undefined;
  }
}
