/** A PeerHost and a CopyLinkListener that remember what they were told, for the tests of the peers. */
import type {
  CopyFill,
  CopyLinkListener,
  PeerHost,
  PeerStore,
  PeerStoreListener,
} from '../../../src/cache/peers/peers.js';
import type { ObjectVersion } from '../../../src/object-store/object-store.js';
import type { ByteRange } from '../../../src/runtime/range.js';

export const MIB = 1024 * 1024;

/** What is followed when the test does not say otherwise. */
export const SIZE = 8192 * MIB;

export function versionOf(key: string, size = SIZE): ObjectVersion {
  return { endpoint: 'http://127.0.0.1:9', bucket: 'bucket', key, etag: '"1"', size };
}

/** What one follower has open, or had. Like a store it knows no bytes beyond the object. */
export class HostedCopy implements PeerStore {
  readonly observed: ByteRange[] = [];
  readonly demanded: ByteRange[] = [];
  readonly fills: CopyFill[] = [];
  isOpen = true;

  constructor(
    readonly version: ObjectVersion,
    readonly listener: PeerStoreListener,
    readonly onDemand: (copy: HostedCopy, range: ByteRange) => void,
  ) {}

  observe(range: ByteRange): void {
    this.#assertWithin(range);
    this.observed.push(range);
  }

  demand(range: ByteRange): void {
    this.#assertWithin(range);
    this.demanded.push(range);
    this.onDemand(this, range);
  }

  fill(kind: CopyFill): void {
    this.fills.push(kind);
  }

  close(): void {
    this.isOpen = false;
  }

  #assertWithin({ start, end }: ByteRange): void {
    const { size } = this.version;
    if (end > size) throw new RangeError(`[${start}, ${end}) of an object of ${size} bytes`);
  }
}

export class RecordingHost implements PeerHost {
  readonly copies: HostedCopy[] = [];
  /** Called with each demand; by default its bytes are there at once. */
  onDemand = (copy: HostedCopy, range: ByteRange): void => copy.listener.arrived(range);
  fills = (_version: ObjectVersion): boolean => true;

  open(version: ObjectVersion, listener: PeerStoreListener): PeerStore | undefined {
    if (!this.fills(version)) return undefined;
    const copy = new HostedCopy(version, listener, (copy, range) => this.onDemand(copy, range));
    this.copies.push(copy);
    return copy;
  }

  get openCount(): number {
    return this.copies.filter(({ isOpen }) => isOpen).length;
  }
}

export type Heard =
  | { readonly kind: 'advanced' | 'unresponsive' }
  | { readonly kind: 'arrived'; readonly range: ByteRange }
  | { readonly kind: 'failed'; readonly range: ByteRange; readonly code: string; readonly message: string }
  | { readonly kind: 'unfilled'; readonly code: string; readonly message: string }
  | { readonly kind: 'ended'; readonly end: string; readonly message: string }
  | { readonly kind: 'lost'; readonly reason: string };

/** `next` waits for what is heard next, in order, each once. */
export class RecordingListener implements CopyLinkListener {
  readonly all: Heard[] = [];
  #taken = 0;
  #wake = () => {};

  advanced(): void {
    this.#hear({ kind: 'advanced' });
  }

  arrived(range: ByteRange): void {
    this.#hear({ kind: 'arrived', range });
  }

  failed(range: ByteRange, code: string, message: string): void {
    this.#hear({ kind: 'failed', range, code, message });
  }

  unfilled(code: string, message: string): void {
    this.#hear({ kind: 'unfilled', code, message });
  }

  ended(end: string, message: string): void {
    this.#hear({ kind: 'ended', end, message });
  }

  lost(reason: string): void {
    this.#hear({ kind: 'lost', reason });
  }

  unresponsive(): void {
    this.#hear({ kind: 'unresponsive' });
  }

  async next(): Promise<Heard> {
    for (;;) {
      const heard = this.all[this.#taken];
      if (heard !== undefined) {
        this.#taken += 1;
        return heard;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Waits until something of this kind is heard, past the rest. */
  async nextOf<Kind extends Heard['kind']>(kind: Kind): Promise<Extract<Heard, { kind: Kind }>> {
    for (;;) {
      const heard = await this.next();
      if (heard.kind === kind) return heard as Extract<Heard, { kind: Kind }>;
    }
  }

  #hear(heard: Heard): void {
    this.all.push(heard);
    this.#wake();
  }
}
