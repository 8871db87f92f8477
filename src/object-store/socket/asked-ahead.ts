/**
 * Requests that were sent before anybody fetches what they ask for, while its local file is still being opened. The first
 * fetch of that version takes the one that asks for just its range; any other says that the guess was wrong. Used by
 * socket-transport.ts, which sends and aborts them.
 */
import type { CancelTimer, Clock } from '../../runtime/clock.js';
import type { ByteRange } from '../../runtime/range.js';
import { versionIdentity } from '../object-store.js';
import type { ObjectVersion } from '../object-store.js';
import type { Origin } from '../presigned-get.js';

export interface Asked<Lane> {
  /** Of the request, for its lane. */
  readonly id: number;
  readonly lane: Lane;
  readonly range: ByteRange;
  readonly origin: Origin;
  readonly sentMs: number;
  /** Called once, when it was taken or given up. */
  readonly onEnd: (isTaken: boolean) => void;
}

/** Whoever opened a file reads it by then, or later. */
const ASKED_MS_MAX = 3000;
/** Files that are opened and not read hold no more connections than this. */
const ASKED_MAX = 8;

export class AskedAhead<Lane> {
  readonly #clock: Clock;
  readonly #giveUp: (asked: Asked<Lane>) => void;
  readonly #asked = new Map<string, Asked<Lane> & { readonly cancelTimer: CancelTimer }>();

  /** @param giveUp ends the request */
  constructor(clock: Clock, giveUp: (asked: Asked<Lane>) => void) {
    this.#clock = clock;
    this.#giveUp = giveUp;
  }

  hasRoomFor(version: ObjectVersion): boolean {
    return this.#asked.size < ASKED_MAX && !this.#asked.has(versionIdentity(version));
  }

  /** There is room. */
  add(version: ObjectVersion, asked: Asked<Lane>): void {
    const identity = versionIdentity(version);
    const cancelTimer = this.#clock.after(ASKED_MS_MAX, () => this.#end(identity, false));
    this.#asked.set(identity, { ...asked, cancelTimer });
  }

  /** The request that is under way for just this. */
  take(version: ObjectVersion, { start, end }: ByteRange): Asked<Lane> | undefined {
    if (this.#asked.size === 0) return undefined;
    const identity = versionIdentity(version);
    const asked = this.#asked.get(identity);
    const isIt = asked?.range.start === start && asked.range.end === end;
    this.#end(identity, isIt);
    return isIt ? asked : undefined;
  }

  giveUpOne(): void {
    for (const identity of this.#asked.keys()) return this.#end(identity, false);
  }

  /** None of them comes any more. */
  lost(lane: Lane): void {
    for (const [identity, asked] of this.#asked) if (asked.lane === lane) this.#end(identity, false);
  }

  #end(identity: string, isTaken: boolean): void {
    const asked = this.#asked.get(identity);
    if (asked === undefined) return;
    this.#asked.delete(identity);
    asked.cancelTimer();
    if (!isTaken) this.#giveUp(asked);
    asked.onEnd(isTaken);
  }
}
