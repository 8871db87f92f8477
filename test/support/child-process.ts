/** A forked child that answers each message with one, for tests whose mount is served by another process. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class AnsweringChild<Command extends object, Answer extends object> {
  readonly #process: ChildProcess;
  readonly exit: Promise<ChildExit>;
  /** Questions are put one at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(script: string, args: readonly string[]) {
    this.#process = fork(script, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.exit = once(this.#process, 'exit').then(([code, signal]) => ({ code, signal }));
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The child's next message that no `ask` waits for. Rejects when the child ends without one. */
  async next(): Promise<Answer> {
    const message = once(this.#process, 'message').then(([answer]) => answer as Answer);
    const ended = this.exit.then(({ code, signal }) => {
      throw new Error(`the child ended without an answer (code ${code}, signal ${signal})`);
    });
    return Promise.race([message, ended]);
  }

  ask(command: Command): Promise<Answer> {
    const answer = this.#last.then(() => {
      const next = this.next();
      this.#process.send(command);
      return next;
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }
}
