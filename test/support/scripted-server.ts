/**
 * A TCP server that plays a script on each connection, for what no HTTP server would send. A request is over with its
 * blank line; the script gets it as text and the connection to answer on.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Test } from 'tap';

export interface ScriptedRequest {
  readonly text: string;
  /** Counted from 0, over all connections. */
  readonly index: number;
  readonly connection: number;
  readonly socket: Socket;
}

export interface ScriptedServer {
  readonly port: number;
  readonly requests: readonly ScriptedRequest[];
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Connections that are open. */
  readonly open: number;
}

export async function useScriptedServer(
  t: Test,
  answer: (request: ScriptedRequest) => void | Promise<void>,
): Promise<ScriptedServer> {
  const requests: ScriptedRequest[] = [];
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = accepted++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const request = { text: text.slice(0, end), index: requests.length, connection, socket };
      text = text.slice(end + 4);
      requests.push(request);
      void answer(request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size;
    },
  };
}
