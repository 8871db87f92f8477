/**
 * AbortControllers as they are used here: their signals go to any number of operations, and they are aborted for nearly
 * every object, so that it must cost little.
 */
import { setMaxListeners } from 'node:events';

/** What AbortController would make anew, with a stack, each time. */
const REASON = new DOMException('This operation was aborted', 'AbortError');

/** An AbortController whose signal any number of operations may share without Node warning of a leak. */
export function createAborter(): AbortController {
  const aborter = new AbortController();
  setMaxListeners(0, aborter.signal);
  return aborter;
}

/** Aborts as AbortController.abort does. */
export function abort(aborter: AbortController): void {
  aborter.abort(REASON);
}

/** Signals for work that may be ended and begun again: `end` aborts those that were given so far. */
export class AbortScope {
  #aborter: AbortController | undefined;

  get signal(): AbortSignal {
    this.#aborter ??= createAborter();
    return this.#aborter.signal;
  }

  end(): void {
    if (this.#aborter === undefined) return;
    abort(this.#aborter);
    this.#aborter = undefined;
  }
}
