/** The typed side of file-actor.c: a process that opens, maps and reads files as it is told. */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { Deferred } from '../../src/runtime/deferred.js';

const PROGRAM = resolve('dist/test/support/file-actor');

export type ActorAnswer =
  | { readonly kind: 'ok'; readonly bytes: Buffer }
  | { readonly kind: 'errno'; readonly errno: number }
  /** The page could not be had: SIGBUS. */
  | { readonly kind: 'bus' };

export class FileActor {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  #output: Buffer = Buffer.alloc(0);
  #waiting: Deferred<ActorAnswer> | undefined;

  constructor() {
    this.#process = spawn(PROGRAM, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process.stdout.on('data', (chunk: Buffer) => {
      this.#output = Buffer.concat([this.#output, chunk]);
      this.#answer();
    });
    this.#process.once('exit', (code, signal) =>
      this.#waiting?.reject(new Error(`the actor ended with ${code ?? signal}`)),
    );
  }

  /** One command at a time; see file-actor.c. */
  tell(command: string): Promise<ActorAnswer> {
    this.#waiting = new Deferred();
    this.#process.stdin.write(`${command}\n`);
    return this.#waiting.promise;
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #answer(): void {
    const end = this.#output.indexOf(10);
    if (end === -1) return;
    const [verb = '', value = '0'] = this.#output.subarray(0, end).toString().split(' ');
    const bytes = verb === 'ok' ? Number(value) : 0;
    if (this.#output.length < end + 1 + bytes) return;
    const body = Buffer.from(this.#output.subarray(end + 1, end + 1 + bytes));
    this.#output = this.#output.subarray(end + 1 + bytes);
    if (verb === 'ok') this.#waiting?.resolve({ kind: 'ok', bytes: body });
    else if (verb === 'bus') this.#waiting?.resolve({ kind: 'bus' });
    else this.#waiting?.resolve({ kind: 'errno', errno: Number(value) });
  }
}
