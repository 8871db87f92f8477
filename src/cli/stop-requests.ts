/**
 * The wishes that a daemon should end: SIGTERM and SIGINT, a terminal that hangs up, a starter that went away. The
 * first asks for a clean end, the second for one by force.
 */
import { Deferred } from '../runtime/deferred.js';

export interface StopReason {
  /** For the log. */
  readonly reason: string;
  /** 128 + signal: the exit code when there was nothing to unmount yet. */
  readonly exitCode: number;
}

export class StopRequests {
  readonly #first = new Deferred<StopReason>();
  readonly #second = new Deferred<StopReason>();
  #count = 0;

  /** Never reject, and settle at most once. */
  readonly first = this.#first.promise;
  readonly second = this.#second.promise;

  request(stop: StopReason): void {
    this.#count += 1;
    (this.#count === 1 ? this.#first : this.#second).resolve(stop);
  }

  /** A background daemon outlives its terminal; one in the foreground ends with it. */
  listenToSignals({ background }: { readonly background: boolean }): void {
    process.on('SIGTERM', () => this.request({ reason: 'SIGTERM', exitCode: 128 + 15 }));
    process.on('SIGINT', () => this.request({ reason: 'SIGINT', exitCode: 128 + 2 }));
    process.on('SIGHUP', () => {
      if (!background) this.request({ reason: 'SIGHUP', exitCode: 128 + 1 });
    });
  }
}
