/** An HTTP proxy that opens tunnels (CONNECT) and keeps a record of them. */
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Test } from 'tap';

export interface ConnectProxy {
  readonly port: number;
  /** `host:port` of every tunnel asked for. */
  readonly targets: readonly string[];
}

export interface ConnectProxyOptions {
  /** Where all tunnels lead, whatever they ask for; left out: where they ask for. */
  readonly destinationPort?: number | undefined;
  /** `user:password` that a tunnel needs. */
  readonly login?: string | undefined;
}

/** Ends with the test, tunnels included. */
export async function useConnectProxy(t: Test, options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
  const targets: string[] = [];
  const sockets = new Set<Duplex>();
  const server = createServer((_request, response) => response.writeHead(405).end());
  server.on('connect', (request, client: Socket) => {
    targets.push(request.url ?? '');
    const login = options.login && `Basic ${Buffer.from(options.login).toString('base64')}`;
    if (login && request.headers['proxy-authorization'] !== login) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const target = new URL(`http://${request.url}`);
    const upstream = connect(options.destinationPort ?? Number(target.port || 80), '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => other.destroy());
    }
    upstream.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(upstream).pipe(client);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, targets };
}
