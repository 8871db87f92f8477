/** The socket transport with its real threads, on a server that plays a script; and fetches into a local file. */
import type { Test } from 'tap';
import type { FetchOptions, ObjectVersion } from '../../../src/object-store/object-store.js';
import { SocketTransport } from '../../../src/object-store/socket/socket-transport.js';
import type { SocketTransportOptions } from '../../../src/object-store/socket/socket-transport.js';
import { silentLogger } from '../../../src/observability/logger.js';
import { systemClock } from '../../../src/runtime/clock.js';
import type { Clock } from '../../../src/runtime/clock.js';
import { fillPattern } from '../../../src/runtime/pattern.js';
import { LendingSink } from '../../support/lending-sink.js';
import type { LendingSinkHooks } from '../../support/lending-sink.js';
import type { ScriptedRequest, ScriptedServer } from '../../support/scripted-server.js';

export const SIZE = 3_000_000;
export const OBJECT = Buffer.from(fillPattern(new Uint8Array(SIZE), 5, 0));
export const ETAG = '"e1"';
export const START = 4096;
export const END = 200_000;

interface FetchSettings extends Partial<FetchOptions>, LendingSinkHooks {
  readonly start?: number;
  readonly end?: number;
}

export function useTransport(
  t: Test,
  server: ScriptedServer,
  given: Partial<SocketTransportOptions> = {},
  clock: Clock = systemClock,
) {
  const options = { threads: 1, idleTimeoutMs: 5000, authorities: undefined, connectionsMax: 8, ...given };
  const transport = new SocketTransport(options, { clock, logger: silentLogger });
  t.teardown(() => transport.close());
  const origin = { protocol: 'http:', hostname: '127.0.0.1', port: server.port } as const;
  const request = {
    origin,
    hostHeader: 'bucket.example',
    target: '/x?signed=1',
    headers: [['X-Extra', 'y']] as const,
  };
  const version: ObjectVersion = { endpoint: 'e', bucket: 'b', key: 'x', etag: ETAG, size: SIZE };
  const fetch = async (settings: FetchSettings = {}) => {
    const { start = START, end = END } = settings;
    const sink = new LendingSink(SIZE, start, settings);
    t.teardown(() => sink.dispose());
    const place = sink.lend();
    const options = { signal: new AbortController().signal, stallTimeoutMs: 5000, ...settings };
    try {
      const outcome = await transport.fetch({ request, version, range: { start, end }, place, options });
      const right = sink.bytes.equals(OBJECT.subarray(start, start + sink.received));
      const { received, checksums, told } = sink;
      return { kind: outcome.kind, outcome, received, right, checksums, told };
    } finally {
      place.release();
    }
  };
  /** Of the range that `fetch` asks for unless it is told. Resolves with what became of it. */
  const ask = (range = { start: START, end: END }) =>
    new Promise<boolean | 'refused'>((resolve) => {
      const isSent = transport.ask({ request, version, range, stallTimeoutMs: 5000 }, resolve);
      if (!isSent) resolve('refused');
    });
  return { transport, origin, fetch, ask };
}

/** All of it, when no range is asked for. */
export function rangeOf({ text }: ScriptedRequest): readonly [number, number] {
  const match = /\r\nRange: bytes=(\d+)-(\d+)(\r\n|$)/.exec(text);
  return match === null ? [0, SIZE] : [Number(match[1]), Number(match[2]) + 1];
}

export function headFor(request: ScriptedRequest, more = ''): string {
  const [start, end] = rangeOf(request);
  const length = `ETag: ${ETAG}\r\nContent-Length: ${end - start}\r\n${more}\r\n`;
  if (end - start === SIZE) return `HTTP/1.1 200 OK\r\n${length}`;
  return `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes ${start}-${end - 1}/${SIZE}\r\n${length}`;
}

export function answerRightly(request: ScriptedRequest, more = ''): void {
  request.socket.write(
    Buffer.concat([Buffer.from(headFor(request, more)), OBJECT.subarray(...rangeOf(request))]),
  );
}

export const turn = () => new Promise((resolve) => setImmediate(resolve));

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}
