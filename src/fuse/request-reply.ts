/**
 * One request of the native session, answered exactly once. The body of a success lies in the shared buffer already
 * (fuse-replies.ts). Used by native-operations.ts.
 *
 * A reply that the addon refuses (it does not fit the operation, by a bug here) has told the kernel nothing: its caller
 * gets EIO instead of waiting for ever, and the bug is thrown.
 */
import { constants } from 'node:os';
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
    return this.#orFail(() => this.#session.reply(this.#slot, 0, bytes));
  }

  /** Answers an OPEN of a file that the addon reads by itself. MODE_GONE as `send`'s false. */
  open(handle: number, file: NativeFileId, flags: number): NativeOpenMode {
    this.#once();
    return this.#orFail(() => this.#session.replyOpen(this.#slot, handle, file, flags));
  }

  /** @param errno positive */
  fail(errno: number): void {
    this.#once();
    this.#session.reply(this.#slot, errno, 0);
  }

  #orFail<Result>(reply: () => Result): Result {
    try {
      return reply();
    } catch (error) {
      try {
        this.#session.reply(this.#slot, constants.errno.EIO, 0);
      } catch {
        // Answered after all: the first error says what went wrong.
      }
      throw error;
    }
  }

  #once(): void {
    assert(!this.#isAnswered, `request ${this.#slot} is answered once`);
    this.#isAnswered = true;
  }
}
