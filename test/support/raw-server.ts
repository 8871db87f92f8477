/** An HTTP server that answers as the test says, for answers that no S3 server should give; requests are kept. */
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

export interface RawServer {
  readonly endpoint: string;
  /** Every request, in order. */
  readonly requests: readonly IncomingMessage[];
}

/** Ends with the test, whatever is still open then. */
export async function useRawServer(t: Test, answer: RequestListener): Promise<RawServer> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}
