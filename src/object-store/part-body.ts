/**
 * Carries a response body into a sink. Chunks are passed on as they come, uncopied; only a sink that returns a
 * promise makes it wait. Whatever happens, the body is read to its end or destroyed: an open one holds a connection.
 */
import type { Readable } from 'node:stream';
import type { PartSink } from './object-store.js';
import type { StallTimer } from './stall-timer.js';

export interface BodyTransfer {
  readonly body: Readable;
  /** Bytes to deliver: no more reach the sink, and a body that ends before is an error. */
  readonly length: number;
  /** The server announced this length, so that the message ends with the last byte and frees its connection. */
  readonly lengthAnnounced: boolean;
  readonly sink: PartSink;
  /** Paused while the sink is the one that is waited for. */
  readonly stallTimer: StallTimer;
  /** Destroys the body; the transfer then ends with an error. */
  readonly signal: AbortSignal;
}

export type BodyEnd =
  | { readonly kind: 'complete' }
  | { readonly kind: 'failed'; readonly cause: Error }
  /** The sink threw. */
  | { readonly kind: 'refused'; readonly reason: unknown };

/** Resolves when all is delivered or no more will be, and no `sink.write` is under way. */
export function transferBody(transfer: BodyTransfer): Promise<BodyEnd> {
  return new Promise((resolve) => new Transfer(transfer, resolve).start());
}

class Transfer {
  readonly #transfer: BodyTransfer;
  readonly #resolve: (end: BodyEnd) => void;
  #left: number;
  #writing = false;
  #end: BodyEnd | undefined;

  constructor(transfer: BodyTransfer, resolve: (end: BodyEnd) => void) {
    this.#transfer = transfer;
    this.#resolve = resolve;
    this.#left = transfer.length;
  }

  start(): void {
    const { body, signal } = this.#transfer;
    // Errors of a body that is no longer wanted, and of one destroyed here, have to be listened to as well.
    body.on('error', (error) => this.#finish({ kind: 'failed', cause: error }));
    body.on('end', () => this.#finish(this.#bodyEnd()));
    body.on('close', () => this.#finish(this.#bodyEnd()));
    if (signal.aborted) return this.#onAbort();
    signal.addEventListener('abort', this.#onAbort, { once: true });
    body.on('data', this.#onData);
  }

  readonly #onAbort = (): void => this.#finish({ kind: 'failed', cause: new Error('aborted') });

  readonly #onData = (chunk: Buffer): void => {
    const { sink, stallTimer, body } = this.#transfer;
    stallTimer.progress(chunk.length);
    const wanted = chunk.length <= this.#left ? chunk : chunk.subarray(0, this.#left);
    this.#left -= wanted.length;
    // From before the call: the sink may abort the transfer while it is in it.
    this.#writing = true;
    try {
      const written = sink.write(wanted);
      if (!written) return this.#onWritten();
      body.pause();
      stallTimer.pause();
      written.then(
        () => this.#onWritten(),
        (reason: unknown) => this.#onRefused(reason),
      );
    } catch (reason) {
      this.#onRefused(reason);
    }
  };

  #onRefused(reason: unknown): void {
    this.#writing = false;
    // The caller has to hear of this, even if the transfer has ended otherwise meanwhile.
    this.#end = undefined;
    this.#finish({ kind: 'refused', reason });
  }

  #onWritten(): void {
    this.#writing = false;
    if (this.#end) return this.#settle(this.#end);
    if (this.#left === 0) return this.#finish({ kind: 'complete' });
    if (!this.#transfer.body.isPaused()) return;
    this.#transfer.stallTimer.resume();
    this.#transfer.body.resume();
  }

  /** The first end counts; it is reported once the sink is at rest. */
  #finish(end: BodyEnd): void {
    if (this.#end) return;
    this.#end = end;
    const { body, signal, lengthAnnounced } = this.#transfer;
    signal.removeEventListener('abort', this.#onAbort);
    body.off('data', this.#onData);
    if (end.kind === 'complete' && lengthAnnounced) body.resume();
    else body.destroy();
    if (!this.#writing) this.#settle(end);
  }

  #settle(end: BodyEnd): void {
    this.#transfer.stallTimer.pause();
    this.#resolve(end);
  }

  /** A body may well end while the sink still holds its last chunk. */
  #bodyEnd(): BodyEnd {
    if (this.#left === 0) return { kind: 'complete' };
    return { kind: 'failed', cause: new Error(`the body ended ${this.#left} bytes early`) };
  }
}
