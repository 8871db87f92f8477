/** One exchange by itself, fed by hand: what it publishes when much arrives at once. */
import t from 'tap';
import { ConnectionPool } from '../../../src/object-store/socket/connection-pool.js';
import { Exchange } from '../../../src/object-store/socket/exchange.js';
import { checksumFunctions } from '../../../src/runtime/checksum-functions.js';
import { systemClock } from '../../../src/runtime/clock.js';
import { attachSharedMemory } from '../../../src/runtime/shared-memory.js';
import { LendingSink } from '../../support/lending-sink.js';
import { useScriptedServer } from '../../support/scripted-server.js';
import { ETAG, headFor, OBJECT, SIZE } from './transport-rig.js';

const KIB = 1024;

t.test(
  'the first bytes of a part are published before the rest of what came with them is written',
  async (t) => {
    const server = await useScriptedServer(t, () => {});
    const pool = new ConnectionPool(systemClock, {
      trust: undefined,
      idleTimeoutMs: 5000,
      connectionsMax: 1,
    });
    t.teardown(() => pool.close());
    const start = 128 * KIB;
    const end = start + 1024 * KIB;
    const sink = new LendingSink(SIZE, start);
    t.teardown(() => sink.dispose());
    const { descriptor, memory } = sink.lend();
    const published: number[] = [];
    const outcomes: string[] = [];
    const request = `GET / HTTP/1.1\r\nRange: bytes=${start}-${end - 1}\r\n\r\n`;
    const exchange = new Exchange(
      {
        kind: 'fetch',
        id: 1,
        origin: { protocol: 'http:', hostname: '127.0.0.1', port: server.port },
        request,
        range: { start, end },
        etag: ETAG,
        size: SIZE,
        descriptor,
        memory,
        nativeFile: 7,
        stallTimeoutMs: 5000,
      },
      attachSharedMemory(memory, undefined),
      {
        clock: systemClock,
        pool,
        filePublished: () => published.push(sink.availability.arrivedBytes),
        checksumFunctions: checksumFunctions(undefined),
        onTold: () => {},
        onAdvanced: () => {},
        onEnded: (_exchange, { kind }) => outcomes.push(kind),
      },
    );
    exchange.start();
    const head = Buffer.from(headFor({ text: request, index: 0, connection: 0, socket: undefined as never }));
    const half = Buffer.concat([head, OBJECT.subarray(start, start + 512 * KIB)]);
    exchange.received(half, 0, half.length);
    t.same(published, [64 * KIB, 512 * KIB]);
    const rest = OBJECT.subarray(start + 512 * KIB, end);
    exchange.received(rest, 0, rest.length);
    t.same(published, [64 * KIB, 512 * KIB, 1024 * KIB], 'what comes later is written as it comes');
    t.same(outcomes, ['complete']);
    sink.lend().advanced(end);
    t.ok(sink.bytes.equals(OBJECT.subarray(start, end)));
  },
);
