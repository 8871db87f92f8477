/**
 * One connection between two daemons: lines in, lines out, used by both sides. Its source is asked for what is to be
 * said when the line before was taken by the kernel, so that what becomes outdated while the other side does not read is
 * never piled up: the source keeps states, not messages.
 *
 * Promises: `onMessage` gets each whole line, in order, and must not throw for what the line says; `onEnd` is called once,
 * whoever ended it and why, and nothing is called after it. Who sends a line longer than LINE_BYTES_MAX is cut off.
 */
import type { Socket } from 'node:net';
import { encodeMessages, LINE_BYTES_MAX } from './messages.js';
import type { FollowerMessage, OwnerMessage } from './messages.js';

export interface PeerConnectionUser {
  /** What is to be said now, in order; none when all was said. */
  take(): (FollowerMessage | OwnerMessage)[];
  onMessage(line: string): void;
  /** `isMisbehaviour`: it was cut off. */
  onEnd(reason: string, isMisbehaviour: boolean): void;
}

export class PeerConnection {
  readonly #socket: Socket;
  readonly #user: PeerConnectionUser;
  #isWriting = false;
  #isScheduled = false;
  #hasEnded = false;
  #line = '';

  constructor(socket: Socket, user: PeerConnectionUser) {
    this.#socket = socket;
    this.#user = user;
    socket.setEncoding('utf8');
    socket.on('data', (text) => this.#received(String(text)));
    socket.on('error', (error) => this.end(error.message));
    socket.on('end', () => this.end('the connection ended'));
    socket.on('close', () => this.end('the connection ended'));
  }

  /** There is something to `take`. What is due within one turn goes out together, in its end. */
  due(): void {
    if (this.#isScheduled || this.#isWriting || this.#hasEnded) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#write();
    });
  }

  /** Idempotent. */
  end(reason: string): void {
    this.#finish(reason, false);
  }

  /** Ends it because what the other side does makes no sense. */
  cutOff(reason: string): void {
    this.#finish(reason, true);
  }

  #write(): void {
    if (this.#isWriting || this.#hasEnded) return;
    const messages = this.#user.take();
    if (messages.length === 0) return;
    this.#isWriting = true;
    this.#socket.write(encodeMessages(messages), (error) => {
      // The event of it is on its way.
      if (error) return;
      this.#isWriting = false;
      this.#write();
    });
  }

  #received(text: string): void {
    const [first = '', ...others] = text.split('\n');
    this.#line += first;
    for (const next of others) {
      if (this.#line.length > LINE_BYTES_MAX || this.#hasEnded) break;
      const line = this.#line;
      this.#line = next;
      this.#user.onMessage(line);
    }
    if (this.#line.length > LINE_BYTES_MAX) this.cutOff(`a line of more than ${LINE_BYTES_MAX} bytes`);
  }

  #finish(reason: string, isMisbehaviour: boolean): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#socket.destroy();
    this.#user.onEnd(reason, isMisbehaviour);
  }
}
