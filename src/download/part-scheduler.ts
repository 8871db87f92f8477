/**
 * The one queue of requests for object bytes of a mount (the only importer of p-queue). Demand goes first; then what
 * is fetched ahead of readers, on fewer connections (ConnectionLimits), so that a demand read does not wait for
 * prefetch bodies to end; then what is fetched gently, where nothing else wants the connection.
 *
 * Fair between files: each has a lane. A free connection goes to the lane with the fewest requests, among equals to the
 * one served least recently, so a file with many parts starves no other. What to fetch ahead is asked of the lane at
 * the moment in which a connection is free, never queued before.
 */
import PQueue from 'p-queue';
import type { Clock } from '../runtime/clock.js';
import { ConnectionLimits } from './connection-limits.js';
import { Pace } from './pace.js';

/** One request, from its turn to its end; must not reject. */
export type Turn = () => Promise<void>;

/** What of a file may be fetched though nobody waits for it. Undefined: nothing now, ask again after an `offer`. */
export interface LaneSource {
  nextPrefetch(): Turn | undefined;
  nextGentle(): Turn | undefined;
  /** True while somebody waits for a byte of the file. */
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

/** Of the connections of prefetch, gentle fetching takes no more than half: a load that begins finds some free. */
const GENTLE_SHARE = 0.5;

class OpenLane implements Lane {
  readonly source: LaneSource;
  readonly #scheduler: PartScheduler;
  /** Demand queued and under way. */
  demands = 0;
  prefetches = 0;
  servedAt = 0;
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
  #prefetches = 0;
  #gentle = 0;
  #turns = 0;

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
    if (this.#limits.arrived(bytes, { prefetchRunning: this.#prefetches, readersWait })) this.#pump();
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
    this.#lanes.add(lane);
    lane.demands += 1;
    this.#demands += 1;
    // The second request of a file queues behind the first ones of the others.
    const priority = -lane.demands;
    const run = async () => {
      await turn();
      lane.demands -= 1;
      this.#demands -= 1;
      this.#ended(lane);
    };
    void this.#requests.add(run, { priority });
  }

  offer(lane: OpenLane): void {
    this.#lanes.add(lane);
    lane.offersPrefetch = true;
    lane.offersGentle = true;
    this.#pump();
  }

  /** Gives free connections away. All that is queued in #requests is demand: what is added here starts at once. */
  #pump(): void {
    while (this.#prefetches < this.#limits.prefetch && this.#prefetches + this.#demands < this.#limits.total) {
      const next = this.#nextPrefetch() ?? this.#nextGentle();
      if (next === undefined) return;
      const { lane, turn, isGentle } = next;
      this.#turns += 1;
      lane.servedAt = this.#turns;
      lane.prefetches += 1;
      this.#prefetches += 1;
      if (isGentle) this.#gentle += 1;
      const run = async () => {
        await turn();
        lane.prefetches -= 1;
        this.#prefetches -= 1;
        if (isGentle) this.#gentle -= 1;
        this.#ended(lane);
      };
      void this.#requests.add(run);
    }
  }

  #ended(lane: OpenLane): void {
    this.#forgetIfQuiet(lane);
    // What p-queue has queued (demand) takes the connection first: it counts already.
    this.#pump();
  }

  #nextPrefetch() {
    for (;;) {
      const lane = this.#mostEntitled((candidate) => candidate.offersPrefetch);
      if (lane === undefined) return undefined;
      const turn = lane.source.nextPrefetch();
      if (turn !== undefined) return { lane, turn, isGentle: false };
      lane.offersPrefetch = false;
    }
  }

  #nextGentle() {
    if (this.#gentle >= Math.max(1, Math.floor(this.#limits.prefetch * GENTLE_SHARE))) return undefined;
    for (;;) {
      const lane = this.#mostEntitled((candidate) => candidate.offersGentle);
      if (lane === undefined) return undefined;
      const turn = lane.source.nextGentle();
      if (turn !== undefined) return { lane, turn, isGentle: true };
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
  const byCount = a.demands + a.prefetches - (b.demands + b.prefetches);
  return byCount !== 0 ? byCount < 0 : a.servedAt < b.servedAt;
}
