/** The simulated network: what a request waits for, and in which steps bytes leave. All by a simulated clock. */
import * as http from 'node:http';
import t, { type Test } from 'tap';
import { Connections } from '../../src/s3-server/connections.js';
import { pacedPieceBytes, Pacer } from '../../src/s3-server/pacer.js';
import type { Fault } from '../../src/s3-server/faults.js';
import type { S3Server } from '../../src/s3-server/server.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { BUCKET, setUp } from './harness.js';

const ROUND_TRIP_MS = 20;
const SIZE = 1_000_000;

async function setUpNetwork(t: Test, network: { roundTripMs?: number; connectionBytesPerSecond?: number }) {
  const clock = new SimulatedClock({ wallTimeMs: Date.now() });
  const { server } = await setUp(t, { clock, network, anonymousRead: true });
  await server.putSynthetic(BUCKET, 'k', { size: SIZE, seed: 1 });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  return { clock, server, agent };
}

/** Lets simulated time run until the answer has come; returns how much passed, and how much when it began. */
async function get(clock: SimulatedClock, server: S3Server, agent: http.Agent) {
  const startMs = clock.nowMs();
  let headMs = NaN;
  let bytes = 0;
  let isDone = false;
  http.get(`${server.endpoint}/${BUCKET}/k`, { agent }, (answer) => {
    headMs = clock.nowMs() - startMs;
    answer.on('data', (piece: Buffer) => (bytes += piece.length));
    answer.on('end', () => (isDone = true));
  });
  while (!isDone) {
    if (clock.pendingTimers > 0) clock.advance(1);
    await new Promise(setImmediate);
  }
  return { headMs, endMs: clock.nowMs() - startMs, bytes };
}

t.test('a new connection pays the handshake, a kept one does not', async (t) => {
  const { clock, server, agent } = await setUpNetwork(t, { roundTripMs: ROUND_TRIP_MS });
  t.equal((await get(clock, server, agent)).endMs, 2 * ROUND_TRIP_MS, 'the handshake, then the request');
  t.equal((await get(clock, server, agent)).endMs, ROUND_TRIP_MS, 'the request');
  t.equal(server.counters.connections, 1);
});

t.test('a connection that was opened ahead has paid the handshake, or a part of it', async (t) => {
  const clock = new SimulatedClock();
  const connections = new Connections(clock);
  const socket = {} as Parameters<Connections['opened']>[0];
  connections.opened(socket);
  t.equal(connections.of(socket).delayMs(ROUND_TRIP_MS), 2 * ROUND_TRIP_MS);
  clock.advance(5);
  t.equal(connections.of(socket).delayMs(ROUND_TRIP_MS), 2 * ROUND_TRIP_MS - 5);
  clock.advance(ROUND_TRIP_MS);
  t.equal(connections.of(socket).delayMs(ROUND_TRIP_MS), ROUND_TRIP_MS);
  t.equal(connections.of(socket).delayMs(0), 0, 'no network, no delay');
});

t.test('timers that fire late make the network no slower', async (t) => {
  const lateMs = 1.5;
  const clock = new (class extends SimulatedClock {
    override after(delayMs: number, callback: () => void) {
      return super.after(delayMs + lateMs, callback);
    }
  })();
  const connections = new Connections(clock);
  const socket = {} as Parameters<Connections['opened']>[0];
  connections.opened(socket);
  clock.advance(ROUND_TRIP_MS);
  const { signal } = new AbortController();
  const trips: number[] = [];
  for (let n = 0; n < 60; n += 1) {
    const startMs = clock.nowMs();
    let isOver = false;
    void connections.travel(socket, ROUND_TRIP_MS, signal).then(() => (isOver = true));
    for (; !isOver; await new Promise(setImmediate)) clock.advance(0.1);
    trips.push(Math.round(10 * (clock.nowMs() - startMs)) / 10);
  }
  t.equal(trips[0], ROUND_TRIP_MS + lateMs);
  t.equal(trips.at(-1), ROUND_TRIP_MS);
});

t.test('a cap is held by small steps with next to no burst', async (t) => {
  const clock = new SimulatedClock();
  const pacer = new Pacer(clock);
  const bytesPerSecond = 60 * 1024 * 1024;
  const stepBytes = pacedPieceBytes(bytesPerSecond);
  t.equal(stepBytes, 64 * 1024);
  clock.advance(1000);
  let sent = 0;
  let isDone = false;
  const signal = new AbortController().signal;
  const sending = (async () => {
    while (!isDone) {
      await pacer.take(stepBytes, bytesPerSecond, signal);
      sent += stepBytes;
    }
  })();
  const startMs = clock.nowMs();
  const due = () => ((clock.nowMs() - startMs) / 1000) * bytesPerSecond;
  const settle = () => new Promise(setImmediate);
  await settle();
  t.ok(sent <= 6 * stepBytes, `${sent} bytes at once, after a second of silence`);
  for (let ms = 0; ms < 500; ms += 1) {
    clock.advance(1);
    await settle();
    if (Math.abs(sent - due()) > 7 * stepBytes) t.fail(`${sent} bytes after ${ms} ms, ${due()} are due`);
  }
  t.ok(sent > 29 * 1024 * 1024, `${sent} bytes in half a second`);
  isDone = true;
  clock.advance(1000);
  await sending;
});

t.test('the cap is that of each connection', async (t) => {
  const { clock, server, agent } = await setUpNetwork(t, { connectionBytesPerSecond: SIZE });
  const { endMs, bytes } = await get(clock, server, agent);
  t.equal(bytes, SIZE);
  t.ok(endMs > 900 && endMs <= 1000, `${endMs} ms for a second's worth`);
  const other = new http.Agent();
  const both = await Promise.all([get(clock, server, agent), get(clock, server, other)]);
  for (const one of both) t.ok(one.endMs <= 1010, `${one.endMs} ms beside another connection`);
});

t.test('a trickle may begin at a byte', async (t) => {
  const { clock, server, agent } = await setUpNetwork(t, {});
  const trickled = async (fault: Extract<Fault, { kind: 'trickle' }>) => {
    const remove = server.faults.add({ operation: 'GetObject', fault });
    const { endMs, bytes } = await get(clock, server, agent);
    remove();
    t.equal(bytes, SIZE);
    return endMs;
  };
  const slow = { kind: 'trickle', chunkBytes: 10, everyMs: 7 } as const;
  t.equal(await trickled({ ...slow, from: { atByte: SIZE - 100 } }), 70, 'the last hundred bytes');
  t.equal(await trickled({ ...slow, from: { atByte: SIZE } }), 0, 'never');
  t.equal(await trickled({ ...slow, chunkBytes: 100_000, from: { atByte: 0, of: 'object' } }), 70, 'all');
});

t.test('how many connections were open and busy at once is counted, also after a reset', async (t) => {
  const { clock, server, agent } = await setUpNetwork(t, { roundTripMs: ROUND_TRIP_MS });
  const wide = new http.Agent({ keepAlive: true });
  t.teardown(() => wide.destroy());
  await Promise.all([1, 2, 3].map(() => get(clock, server, wide)));
  t.match(server.counters.snapshot(), { connectionsOpenMax: 3, connectionsBusyMax: 3 });
  server.counters.reset();
  await get(clock, server, wide);
  t.match(server.counters.snapshot(), { connections: 0, connectionsOpenMax: 3, connectionsBusyMax: 1 });
  await get(clock, server, agent);
  t.match(server.counters.snapshot(), { connections: 1, connectionsOpenMax: 4, connectionsBusyMax: 1 });
});
