/**
 * One request of the native session, answered exactly once. The body of a success lies in the shared buffer already
 * (fuse-replies.ts). Used by native-operations.ts.
 */
import type { NativeFileId, NativeOpenMode, NativeSession } from '../native.js';
import { assert } from '../runtime/assert.js';

export class RequestReply {
  readonly #session: Pick<NativeSession, 'reply' | 'replyOpen'>;
  readonly #slot: number;
  #isAnswered = false;

  constructor(session: Pick<NativeSession, 'reply' | 'replyOpen'>, slot: number) {
    this.#session = session;
    this.#slot = slot;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** False when the kernel was not told: whatever the reply would have promised is to be undone. */
  send(bytes: number): boolean {
    this.#once();
    return this.#session.reply(this.#slot, 0, bytes);
  }

  /** Answers an OPEN of a file that the addon reads by itself. MODE_GONE as `send`'s false. */
  open(handle: number, file: NativeFileId, flags: number): NativeOpenMode {
    this.#once();
    return this.#session.replyOpen(this.#slot, handle, file, flags);
  }

  /** @param errno positive */
  fail(errno: number): void {
    this.#once();
    this.#session.reply(this.#slot, errno, 0);
  }

  #once(): void {
    assert(!this.#isAnswered, `request ${this.#slot} is answered once`);
    this.#isAnswered = true;
  }
}
