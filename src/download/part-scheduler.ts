/**
 * The one queue of requests for object bytes of a mount (the only importer of p-queue): at most `connectionsMax` at
 * once, demand before prefetch, prefetch never on all connections, so that a demand read does not wait for
 * prefetch bodies to end. Within a kind, first come first served: each store queues one turn at a time per
 * connection it may use, which shares the connections fairly between files.
 */
import PQueue from 'p-queue';

/** Decides what to fetch when its turn comes, not when it is queued; must not reject. */
export type Turn = () => Promise<void>;

export interface Scheduler {
  /** Turns of prefetch that one store may have queued or running at a time. */
  readonly prefetchTurnsMax: number;
  demand(turn: Turn): void;
  prefetch(turn: Turn): void;
}

/** A quarter of the connections stays free of prefetch; at least one, unless there is only one. */
const DEMAND_SHARE = 0.25;
const DEMAND_PRIORITY = 1;

export class PartScheduler implements Scheduler {
  readonly prefetchTurnsMax: number;
  readonly #requests: PQueue;
  readonly #prefetch: PQueue;

  /** @param connectionsMax requests at once, ≥ 1. */
  constructor(connectionsMax: number) {
    const reserved = Math.max(1, Math.floor(connectionsMax * DEMAND_SHARE));
    this.prefetchTurnsMax = Math.max(1, connectionsMax - reserved);
    this.#requests = new PQueue({ concurrency: connectionsMax });
    this.#prefetch = new PQueue({ concurrency: this.prefetchTurnsMax });
  }

  /** Requests under way. */
  get running(): number {
    return this.#requests.pending;
  }

  demand(turn: Turn): void {
    void this.#requests.add(turn, { priority: DEMAND_PRIORITY });
  }

  prefetch(turn: Turn): void {
    void this.#prefetch.add(() => this.#requests.add(turn));
  }
}
