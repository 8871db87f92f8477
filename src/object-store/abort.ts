/** Ending work early: an abort controller that follows the caller's signal, and waiting that an abort ends. */

export interface LinkedAbort {
  readonly signal: AbortSignal;
  readonly abort: () => void;
  /** Stops following the parent; to be called once the work is over, or the parent keeps it alive. */
  readonly unlink: () => void;
}

/** Aborts when `parent` does, or by itself. */
export function linkAbort(parent: AbortSignal | undefined): LinkedAbort {
  const controller = new AbortController();
  const abort = () => controller.abort();
  if (parent?.aborted) abort();
  parent?.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    abort,
    unlink: () => parent?.removeEventListener('abort', abort),
  };
}

/** What `untilAborted` rejects with. */
export class AbortedWait extends Error {
  override readonly name = 'AbortedWait';

  constructor() {
    super('aborted');
  }
}

/**
 * Settles as `work` does, but rejects as soon as `signal` aborts; what `work` brings after that goes to `discard`.
 * The SDK looks at a signal only while a request is on the wire, not while it finds credentials.
 */
export function untilAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  discard: (late: T) => void = () => {},
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let over = false;
    const onAbort = () => {
      over = true;
      reject(new AbortedWait());
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    work.then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        if (over) discard(value);
        else resolve(value);
      },
      (error: Error) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}
