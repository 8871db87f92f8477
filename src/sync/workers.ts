/**
 * The workers on one directory: who is there, and the word from one to the others that it has given up a file, or is
 * gone. With the addon any number share the work, each alive while it holds the kernel's lock on `workers/ID`; each has a
 * socket there, and a pair of workers one connection, whose end tells that the other one ended, however it did. Without
 * the addon there is one worker, and a second is refused.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../runtime/clock.js';
import { isProcessAlive, processStartedAt } from '../runtime/process-identity.js';
import { lockPath } from './kernel-lock.js';
import type { HeldLock, TryLock } from './kernel-lock.js';

/** Another worker is on the directory, and the work cannot be shared with it. */
export class WorkersError extends Error {
  override readonly name = 'WorkersError';
}

export interface WorkersDeps {
  readonly clock: Clock;
  /** The addon's, where there is one. */
  readonly tryLock: TryLock | undefined;
  /** A file that another worker had may be free now. */
  readonly onChange: () => void;
}

/** In which one that cannot share notes its process. */
const ALONE = 'alone';
const SOCKET = '.sock';
const WORKER = /^[0-9a-f]{16}$/;
/** The kernel may close the connection of a killed process a little before it gives up its locks. */
const LOOK_AGAIN_MS: readonly number[] = [50, 500, 5000];
/** Only where no word comes from others: they are on other hosts, or the file system knows no sockets. */
const UNREACHABLE_LOOK_MS = 1000;
/** A worker on another host, that came later, may not have been able to say that it is there. */
const LINKED_LOOK_MS = 30_000;
const ANYTHING = '\n';

export class Workers {
  readonly #folder: string;
  readonly #deps: WorkersDeps;
  readonly #links = new Set<Socket>();
  #held: HeldLock | undefined;
  #server: Server | undefined;
  /** Keeps the short path to the socket valid, which has to fit into 108 bytes. */
  #descriptor: number | undefined;
  /** There are workers that cannot tell of anything, or that cannot be told. */
  #hasUnreachable = false;
  #willLook = false;
  #closed = false;

  private constructor(folder: string, deps: WorkersDeps) {
    this.#folder = folder;
    this.#deps = deps;
  }

  /** @throws WorkersError */
  static async join(folder: string, deps: WorkersDeps): Promise<Workers> {
    const workers = new Workers(folder, deps);
    try {
      if (deps.tryLock === undefined) await workers.#beAlone();
      else await workers.#joinOthers(deps.tryLock);
      return workers;
    } catch (error) {
      workers.close();
      throw error;
    }
  }

  /** A file was given up: those who wait for it look again. */
  announce(): void {
    for (const link of this.#links) link.write(ANYTHING);
  }

  /** Another worker has a lock that is wanted here: there will be an `onChange` when it may be free. */
  refused(): void {
    if (this.#willLook) return;
    this.#willLook = true;
    const isWordExpected = this.#links.size > 0 && !this.#hasUnreachable;
    this.#deps.clock.after(isWordExpected ? LINKED_LOOK_MS : UNREACHABLE_LOOK_MS, () => {
      this.#willLook = false;
      this.#deps.onChange();
    });
  }

  /** Idempotent. All locks are to be given up before. */
  close(): void {
    this.#closed = true;
    this.#server?.close();
    for (const link of this.#links) link.destroy();
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    if (this.#held === undefined) return;
    this.#held.release();
    this.#held = undefined;
    const { tryLock } = this.#deps;
    try {
      if (tryLock !== undefined) this.#sweep(tryLock);
    } catch {
      // The folder may be gone; the next worker sees to it.
    }
  }

  async #joinOthers(tryLock: TryLock): Promise<void> {
    const id = this.#register(tryLock);
    const alone = readProcess(join(this.#folder, ALONE));
    if (alone !== undefined && isProcessAlive(alone.pid, alone.startedAt)) throw refusal(alone.pid);
    if (process.platform === 'linux') this.#descriptor = openSync(this.#folder, 'r');
    await this.#listen(`${id}${SOCKET}`);
    for (const other of this.#sweep(tryLock, id)) await this.#link(`${other}${SOCKET}`);
  }

  /** The ids of the others that are alive; of those that are not, the traces are removed. */
  #sweep(tryLock: TryLock, id?: string): string[] {
    const others = readdirSync(this.#folder).filter((name) => WORKER.test(name) && name !== id);
    return others.filter((other) => {
      const abandoned = lockPath(join(this.#folder, other), tryLock);
      if (abandoned === undefined) return true;
      rmSync(join(this.#folder, `${other}${SOCKET}`), { force: true });
      abandoned.release();
      return false;
    });
  }

  /** Not at the first try when another worker takes the file for an abandoned one before it is locked. */
  #register(tryLock: TryLock): string {
    for (;;) {
      const id = randomBytes(8).toString('hex');
      this.#held = lockPath(join(this.#folder, id), tryLock);
      if (this.#held !== undefined) return id;
    }
  }

  #socketPath(name: string): string {
    return this.#descriptor === undefined
      ? join(this.#folder, name)
      : `/proc/self/fd/${this.#descriptor}/${name}`;
  }

  /** Resolves when others can connect, or never will. */
  async #listen(name: string): Promise<void> {
    const server = createServer((socket) => this.#use(socket));
    this.#server = server;
    await new Promise<void>((resolve) => {
      server.once('error', () => {
        this.#hasUnreachable = true;
        resolve();
      });
      server.listen(this.#socketPath(name), resolve);
    });
    server.unref();
  }

  async #link(name: string): Promise<void> {
    const socket = await connectTo(this.#socketPath(name));
    if (socket !== undefined) this.#use(socket);
    else this.#hasUnreachable = true;
  }

  #use(socket: Socket): void {
    this.#links.add(socket);
    socket.unref();
    socket.on('data', () => this.#deps.onChange());
    // The end says it all.
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#links.delete(socket);
      if (this.#closed) return;
      this.#deps.onChange();
      for (const delayMs of LOOK_AGAIN_MS) this.#deps.clock.after(delayMs, this.#deps.onChange);
    });
  }

  async #beAlone(): Promise<void> {
    const path = join(this.#folder, ALONE);
    const self = { pid: process.pid, startedAt: processStartedAt(process.pid) };
    while (!writeNew(path, JSON.stringify(self))) {
      const other = readProcess(path);
      if (other !== undefined && isProcessAlive(other.pid, other.startedAt)) throw refusal(other.pid);
      rmSync(path, { force: true });
    }
    this.#held = { release: () => rmSync(path, { force: true }) };
    if (process.platform === 'linux') this.#descriptor = openSync(this.#folder, 'r');
    for (const name of readdirSync(this.#folder)) {
      if (!name.endsWith(SOCKET)) continue;
      const socket = await connectTo(this.#socketPath(name));
      socket?.destroy();
      if (socket !== undefined) throw refusal(undefined);
    }
  }
}

/** Undefined when nobody listens there. */
function connectTo(path: string): Promise<Socket | undefined> {
  const socket = createConnection(path);
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}

function refusal(pid: number | undefined): WorkersError {
  const who = pid === undefined ? 'other workers' : `process ${pid}`;
  return new WorkersError(
    `${who} already synchronises into this directory, and the work cannot be shared without the native addon: wait until it is done, or build the addon ("make build" in the source)`,
  );
}

/** False when it exists already. */
function writeNew(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readProcess(
  path: string,
): { readonly pid: number; readonly startedAt: string | undefined } | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const { pid, startedAt } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    if (typeof pid !== 'number') return undefined;
    return { pid, startedAt: typeof startedAt === 'string' ? startedAt : undefined };
  } catch {
    return undefined;
  }
}
