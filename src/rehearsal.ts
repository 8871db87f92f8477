/**
 * Runs the first read of a mount a few times for nothing, in the background as soon as the mount answers: V8 compiles a
 * function when it first runs, and that costs the first reader of a mount some 8 ms, a third of a round trip. Started by
 * mount.ts, which builds the layers a second time for it, over a store of made-up objects and without a kernel.
 *
 * Promise: it delays nobody for longer than one read takes, asks nothing of the bucket, and leaves nothing behind: no
 * file, no connection, no line in the log but at debug level. What goes wrong in it harms nothing but the rehearsal.
 */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import type { Session } from './fuse/session.js';
import type { ObjectStore } from './object-store/object-store.js';
import type { Logger } from './observability/logger.js';

/** The layers of a mount, as far as they are rehearsed. */
export interface RehearsedLayers {
  readonly session: Pick<Session, 'rehearse'>;
  readonly filesystem: { close(): void };
  readonly engine: { close(): Promise<void> };
}

export interface RehearsalDeps {
  /** Undefined when there is nothing to rehearse with. */
  readonly openStore: () => Promise<ObjectStore | undefined>;
  /** Over a cache that keeps nothing. */
  readonly buildLayers: (store: ObjectStore) => RehearsedLayers;
  readonly logger: Logger;
}

/** Measured: more gain nothing. Without the flag below it takes twenty. */
const READS = 4;

export class Rehearsal {
  /** Settles when it is over and cleaned up. Never rejects. */
  readonly done: Promise<void>;
  readonly #deps: RehearsalDeps;
  #closed = false;
  #cleanUp: (() => void)[] = [];

  constructor(deps: RehearsalDeps) {
    this.#deps = deps;
    this.done = this.#run();
  }

  /** Ends it, with nothing left when this returns. Idempotent. */
  close(): void {
    this.#closed = true;
    const steps = this.#cleanUp;
    this.#cleanUp = [];
    for (const step of steps.toReversed()) step();
  }

  async #run(): Promise<void> {
    try {
      const store = await this.#deps.openStore();
      if (store !== undefined) await this.#rehearse(store);
    } catch (error) {
      this.#deps.logger.debug({ err: error }, 'the first read could not be rehearsed');
    } finally {
      this.close();
    }
  }

  async #rehearse(store: ObjectStore): Promise<void> {
    this.#cleanUp.push(() => store.close());
    if (this.#closed) return;
    const { session, filesystem, engine } = this.#deps.buildLayers(store);
    this.#cleanUp.push(() => void engine.close());
    this.#cleanUp.push(() => filesystem.close());
    // What a function has learned about its operands is kept from its first run on, instead of from about its eighth.
    setFlagsFromString('--no-lazy-feedback-allocation');
    this.#cleanUp.push(() => setFlagsFromString('--lazy-feedback-allocation'));
    for (let read = 0; read < READS && !this.#closed; read += 1) {
      // Whoever uses the mount already comes first.
      await setImmediate();
      await session.rehearse(`${read}`);
    }
    this.#deps.logger.debug('the first read was rehearsed');
  }
}
