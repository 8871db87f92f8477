/**
 * The one queue of requests for object bytes of a mount (the only importer of p-queue). Demand goes first; then what
 * is fetched ahead of readers, on fewer connections (ConnectionLimits), so that a demand read does not wait for
 * prefetch bodies to end; then what is fetched gently, where nothing else wants the connection.
 *
 * Fair between files: each has a lane. A free connection goes to the lane with the fewest that nobody waits for, among equals to
 * the one that was given the fewest bytes so far, so a file with many parts starves no other and files that are read side
 * by side end together. What to fetch ahead is asked of the lane at the moment in which a connection is free, never
 * queued before.
 */
import PQueue from 'p-queue';
import type { Clock } from '../runtime/clock.js';
import { ConnectionLimits } from './connection-limits.js';
import { Pace } from './pace.js';

/**
 * One request, from its turn to its end; must not reject. It calls `ending` when less is left to come than arrives in a
 * round trip: the next request may be sent then, so that the wire is never idle between the two.
 */
export type Turn = (ending: () => void) => Promise<void>;

export interface Prefetch {
  readonly bytes: number;
  readonly turn: Turn;
}

/** What of a file may be fetched though nobody waits for it. Undefined: nothing now, ask again after an `offer`. */
export interface LaneSource {
  nextPrefetch(): Prefetch | undefined;
  nextGentle(): Prefetch | undefined;
  /** True while somebody waits for a byte of the file, or has it filled. */
  readonly readersWait: boolean;
}

/** The requests of one file. */
export interface Lane {
  /** Somebody waits for what this turn brings. */
  demand(turn: Turn): void;
  /** There may be something to fetch ahead, or gently. */
  offer(): void;
  /** Connections that fetching ahead may expect to have for this file, ≥ 1. */
  readonly connections: number;
}

export interface Scheduler {
  /** How fast requests were lately. */
  readonly pace: Pace;
  openLane(source: LaneSource): Lane;
  /** Bytes of some request arrived. */
  arrived(bytes: number): void;
  /** A request ended with all its bytes. */
  succeeded(): void;
  /** The server asked to slow down. */
  throttled(): void;
}

/** Of the connections that are reserved for demand, so many may carry the last bytes of prefetch parts. */
const ENDING_SHARE = 0.5;
/**
 * So many of them stay free of prefetch though demand has all the others: what the next reader waits for is sent at once,
 * not when one of twenty bodies of several MiB has ended.
 */
const SPARE_SHARE = 1 / 3;
/** With such a part a connection mostly waits for the round trip: that many are under way where half as many large ones are. */
const SMALL_PART_BYTES = 1024 * 1024;
const SMALL_PART_LOAD = 0.5;
/** Of the connections of prefetch, gentle fetching takes no more than half: a load that begins finds some free. */
const GENTLE_SHARE = 0.5;

interface NextTurn {
  readonly lane: OpenLane;
  readonly prefetch: Prefetch;
  readonly isGentle: boolean;
}

class OpenLane implements Lane {
  readonly source: LaneSource;
  readonly #scheduler: PartScheduler;
  /** Demand queued and under way. */
  demands = 0;
  prefetches = 0;
  /** Bytes given to it, counted from those of the lane that had the fewest when this one began. */
  givenBytes = 0;
  offersPrefetch = false;
  offersGentle = false;

  constructor(source: LaneSource, scheduler: PartScheduler) {
    this.source = source;
    this.#scheduler = scheduler;
  }

  get connections(): number {
    return this.#scheduler.connectionsPerLane;
  }

  demand(turn: Turn): void {
    this.#scheduler.demand(this, turn);
  }

  offer(): void {
    this.#scheduler.offer(this);
  }
}

export class PartScheduler implements Scheduler {
  readonly pace = new Pace();
  readonly #limits: ConnectionLimits;
  readonly #requests: PQueue;
  /** Lanes that have requests, or offered some. */
  readonly #lanes = new Set<OpenLane>();
  #demands = 0;
  /** Without those that are ending. */
  #prefetches = 0;
  /** What they count as, small ones less. */
  #prefetchLoad = 0;
  #endings = 0;
  #gentle = 0;

  /** @param connectionsMax requests at once, ≥ 1. */
  constructor({ clock }: { readonly clock: Clock }, { connectionsMax }: { readonly connectionsMax: number }) {
    this.#limits = new ConnectionLimits(clock, this.pace, connectionsMax);
    this.#requests = new PQueue({ concurrency: connectionsMax });
  }

  /** Requests under way. */
  get running(): number {
    return this.#requests.pending;
  }

  /** Requests at once, all together and for prefetch, as of now. */
  get limits(): { readonly total: number; readonly prefetch: number } {
    return { total: this.#limits.total, prefetch: this.#limits.prefetch };
  }

  openLane(source: LaneSource): Lane {
    return new OpenLane(source, this);
  }

  arrived(bytes: number): void {
    const readersWait = () => [...this.#lanes].some(({ source }) => source.readersWait);
    const use = { running: this.running, prefetchRunning: this.#prefetchLoad, readersWait };
    if (this.#limits.arrived(bytes, use)) this.#pump();
  }

  succeeded(): void {
    this.#limits.succeeded();
    this.#requests.concurrency = this.#limits.total;
    this.#pump();
  }

  throttled(): void {
    this.#limits.throttled();
    this.#requests.concurrency = this.#limits.total;
  }

  // What lanes call.

  get connectionsPerLane(): number {
    let busy = 0;
    for (const { prefetches, offersPrefetch } of this.#lanes) if (offersPrefetch || prefetches > 0) busy += 1;
    return Math.max(1, Math.round(this.#limits.prefetch / Math.max(1, busy)));
  }

  demand(lane: OpenLane, turn: Turn): void {
    this.#join(lane);
    lane.demands += 1;
    this.#demands += 1;
    // The second request of a file queues behind the first ones of the others.
    const priority = -lane.demands;
    const run = async () => {
      await turn(() => {});
      lane.demands -= 1;
      this.#demands -= 1;
      this.#ended(lane);
    };
    void this.#requests.add(run, { priority });
  }

  offer(lane: OpenLane): void {
    this.#join(lane);
    lane.offersPrefetch = true;
    lane.offersGentle = true;
    this.#pump();
  }

  #join(lane: OpenLane): void {
    if (this.#lanes.has(lane)) return;
    let fewest = Number.POSITIVE_INFINITY;
    for (const { givenBytes } of this.#lanes) fewest = Math.min(fewest, givenBytes);
    lane.givenBytes = Number.isFinite(fewest) ? fewest : 0;
    this.#lanes.add(lane);
  }

  /** Gives free connections away. All that is queued in #requests is demand: what is added here starts at once. */
  #pump(): void {
    while (this.#mayPrefetch) {
      const next = this.#nextPrefetch() ?? this.#nextGentle();
      if (next === undefined) return;
      this.#start(next);
    }
  }

  get #mayPrefetch(): boolean {
    const { total, prefetch, reserved } = this.#limits;
    const spare = Math.floor(reserved * SPARE_SHARE);
    const running = this.#prefetches + this.#endings + this.#demands;
    return this.#prefetchLoad < prefetch && this.#prefetches < total - reserved && running < total - spare;
  }

  #start({ lane, prefetch: { bytes, turn }, isGentle }: NextTurn): void {
    lane.givenBytes += bytes;
    const load = bytes <= SMALL_PART_BYTES ? SMALL_PART_LOAD : 1;
    lane.prefetches += 1;
    this.#prefetches += 1;
    this.#prefetchLoad += load;
    if (isGentle) this.#gentle += 1;
    let isEnding = false;
    const leave = () => {
      lane.prefetches -= 1;
      this.#prefetches -= 1;
      this.#prefetchLoad -= load;
    };
    const ending = () => {
      const { total, prefetch } = this.#limits;
      if (isEnding || this.#endings >= (total - prefetch) * ENDING_SHARE) return;
      isEnding = true;
      leave();
      this.#endings += 1;
      this.#pump();
    };
    const run = async () => {
      await turn(ending);
      if (isEnding) this.#endings -= 1;
      else leave();
      if (isGentle) this.#gentle -= 1;
      this.#ended(lane);
    };
    void this.#requests.add(run);
  }

  #ended(lane: OpenLane): void {
    this.#forgetIfQuiet(lane);
    // What p-queue has queued (demand) takes the connection first: it counts already.
    this.#pump();
  }

  #nextPrefetch(): NextTurn | undefined {
    for (;;) {
      const lane = this.#mostEntitled((candidate) => candidate.offersPrefetch);
      if (lane === undefined) return undefined;
      const prefetch = lane.source.nextPrefetch();
      if (prefetch !== undefined) return { lane, prefetch, isGentle: false };
      lane.offersPrefetch = false;
    }
  }

  #nextGentle(): NextTurn | undefined {
    if (this.#gentle >= Math.max(1, Math.floor(this.#limits.prefetch * GENTLE_SHARE))) return undefined;
    for (;;) {
      const lane = this.#mostEntitled((candidate) => candidate.offersGentle);
      if (lane === undefined) return undefined;
      const prefetch = lane.source.nextGentle();
      if (prefetch !== undefined) return { lane, prefetch, isGentle: true };
      lane.offersGentle = false;
      this.#forgetIfQuiet(lane);
    }
  }

  #mostEntitled(isWilling: (lane: OpenLane) => boolean): OpenLane | undefined {
    let best: OpenLane | undefined;
    for (const lane of this.#lanes) {
      if (isWilling(lane) && (best === undefined || isBefore(lane, best))) best = lane;
    }
    return best;
  }

  #forgetIfQuiet(lane: OpenLane): void {
    const { demands, prefetches, offersPrefetch, offersGentle } = lane;
    if (demands + prefetches === 0 && !offersPrefetch && !offersGentle) this.#lanes.delete(lane);
  }
}

function isBefore(a: OpenLane, b: OpenLane): boolean {
  const byCount = a.prefetches - b.prefetches;
  return byCount !== 0 ? byCount < 0 : a.givenBytes < b.givenBytes;
}
