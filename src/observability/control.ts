/**
 * What a daemon can be asked for besides its status, over the same socket: one line of JSON asks, lines of JSON tell how
 * it goes, the end of the connection ends it, whoever ends it. What the lines say is agreed between who asks and who
 * serves (requests/). The daemon's side is called by status-server.ts, the other by the commands.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createAborter } from '../runtime/aborter.js';

/** One request as its handler sees it. */
export interface ControlCall {
  /** Aborted when the client has gone: nobody wants the rest. */
  readonly signal: AbortSignal;
  /** Sends one line; resolves when the next one may be sent: a client that reads slowly slows the work down. */
  readonly send: (message: object) => Promise<void>;
}

/** Resolves when there is nothing more to say; the connection is ended then. Must not reject. */
export type ControlHandler = (request: unknown, call: ControlCall) => Promise<void>;

/** The daemon cannot be asked, or does not know of requests. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
}

/** A list of some hundred thousand keys. */
export const REQUEST_BYTES_MAX = 64 * 1024 * 1024;

/** Serves the request that the client sent, and ends the connection. Never rejects. */
export async function serveCall(client: Socket, line: string, handler: ControlHandler): Promise<void> {
  const aborter = createAborter();
  client.once('close', () => aborter.abort());
  // A request may take hours, and its client says nothing more.
  client.setTimeout(0);
  const send = (message: object) => sendLine(client, message, aborter.signal);
  const request = parsed(line);
  if (request === undefined) await send({ error: 'expected the request "status" or a line of JSON' });
  else await handler(request, { signal: aborter.signal, send });
  client.end();
}

function sendLine(client: Socket, message: object, signal: AbortSignal): Promise<void> {
  if (signal.aborted || client.write(`${JSON.stringify(message)}\n`)) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      client.off('drain', settle);
      signal.removeEventListener('abort', settle);
      resolve();
    };
    client.once('drain', settle);
    signal.addEventListener('abort', settle, { once: true });
  });
}

export interface ControlOptions {
  readonly onMessage: (message: Readonly<Record<string, unknown>>) => void;
  /** Takes the request back. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks the daemon at `path` and resolves when it has said all, or the request was taken back. Whether it came to its end
 * is for the last message to say: a daemon that dies ends the connection as well.
 * @throws ControlError
 */
export function callDaemon(path: string, request: object, options: ControlOptions): Promise<void> {
  const { onMessage, signal } = options;
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const onAbort = () => socket.destroy();
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    const lines = new Lines((line) => {
      const message = parsed(line);
      if (message === undefined || typeof message['error'] === 'string') {
        const said = message === undefined ? 'nonsense' : `"${String(message['error'])}"`;
        socket.destroy(new ControlError(`the daemon answers ${said}: is it of another version?`));
        return;
      }
      onMessage(message);
    });
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('data', (text: string) => lines.add(text));
    socket.once('error', (error) => {
      const message = `the daemon cannot be asked (${error.message})`;
      reject(error instanceof ControlError ? error : new ControlError(message, { cause: error }));
    });
    socket.once('close', () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}

class Lines {
  readonly #onLine: (line: string) => void;
  #rest = '';

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(text: string): void {
    const lines = text.split('\n');
    lines[0] = `${this.#rest}${lines[0]}`;
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#onLine(line);
  }
}

function parsed(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
