/**
 * Sends a response's body: reads a piece, applies the faults that concern its bytes, waits for the bandwidth cap and
 * for its turn among all bodies, counts, writes. Two buffers alternate, so that a piece is read while the one before it
 * is on its way, and memory stays bounded however slow the client is. Every wait ends when the client leaves or the
 * server closes, that for a turn by itself.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { sleep, type Clock } from '../runtime/clock.js';
import { Deferred } from '../runtime/deferred.js';
import type { RequestMeter } from './counters.js';
import type { BytePosition, RequestFaults } from './faults.js';
import { pacedPieceBytes, Pacer } from './pacer.js';
import { WriteTurns } from './write-turns.js';

/** Large enough that the system calls do not count: 2 GiB/s were measured with it, 1 GiB/s with 64 KiB. */
const PIECE_BYTES_MAX = 512 * 1024;
/** Idle buffers kept for the next response: fresh memory costs more than the copy into it. */
const IDLE_BUFFERS_MAX = 32;
/** A body up to this size gets a buffer of its own size, and waits for no turn. */
const SMALL_BODY_BYTES_MAX = 64 * 1024;
const CHUNK_BYTES_DEFAULT = 64 * 1024;
/** The client gets this long to read what came before a reset, which otherwise looks to many like a clean end. */
const RESET_DELAY_MS = 10;
const TRICKLE_BYTES_DEFAULT = 1;
const TRICKLE_MS_DEFAULT = 100;

export interface BodyContext {
  readonly clock: Clock;
  readonly faults: RequestFaults;
  readonly meter: RequestMeter;
  readonly signal: AbortSignal;
  /** Cap of the connection; asked again for each piece, since a test may change it on the way. */
  readonly connectionBytesPerSecond: () => number;
  readonly throttle: (bytes: number) => Promise<void>;
}

export interface BodySource {
  readonly sizeBytes: number;
  /** Where the body begins in the object; 0 for documents. */
  readonly objectOffset: number;
  read(target: Buffer): Promise<number>;
}

/** What happens to the connection, and before which byte of the body. */
interface Cut {
  readonly at: number;
  readonly action: 'reset' | 'end' | 'stall';
}

/** Resolves when the body is sent, or cut off by a fault, or the client has left. Headers are set, not yet sent. */
export async function writeBody(
  response: ServerResponse,
  source: BodySource,
  context: BodyContext,
): Promise<void> {
  const cut = firstCut(source, context.faults);
  const end = cut?.at ?? source.sizeBytes;
  if (end === 0) response.flushHeaders();
  await writePieces(response, source, end, context);
  if (context.signal.aborted) return;
  if (cut === undefined) response.end();
  else await cutOff(response, cut.action, context);
}

/** Ends the connection in the way a fault wants, after all that was written has left. */
async function cutOff(
  response: ServerResponse,
  action: Cut['action'],
  { clock, signal }: BodyContext,
): Promise<void> {
  const { socket } = response;
  if (socket === null) return;
  if (action === 'stall') return stallForever(signal);
  await flushed(socket, signal);
  if (action === 'end') {
    socket.destroySoon();
    return;
  }
  await sleep(clock, RESET_DELAY_MS, signal);
  resetConnection(socket);
}

/** Keeps the client waiting until it leaves or the server closes. */
export function stallForever(signal: AbortSignal): Promise<void> {
  return settledOrAborted(new Promise<void>(() => undefined), signal);
}

export function resetConnection(socket: Socket): void {
  // A TLS socket has no reset of its own; destroying it ends the connection without the closing alert.
  if ('encrypted' in socket) socket.destroy();
  else socket.resetAndDestroy();
}

async function writePieces(
  response: ServerResponse,
  source: BodySource,
  end: number,
  context: BodyContext,
): Promise<void> {
  const { signal, faults } = context;
  const ownRate = faults.find('bandwidth')?.bytesPerSecond ?? 0;
  const ownPacer = new Pacer(context.clock);
  const delay = pieceDelay(faults, source);
  const flipped = bodyOffset(faults.find('flipped-byte'), source);
  const slots = [new Slot(end), new Slot(end)] as const;
  const turns = end > SMALL_BODY_BYTES_MAX ? allBodies : undefined;
  for (let at = 0, turn = 0; at < end && !signal.aborted; turn ^= 1) {
    const slot = slots[turn === 0 ? 0 : 1];
    await slot.reusable(signal);
    const isDelayed = at >= delay.fromByte;
    const lengthMax = isDelayed ? delay.chunkBytes : delay.fromByte - at;
    const length = Math.min(end - at, slot.buffer.length, lengthMax);
    const piece = slot.buffer.subarray(0, length);
    if ((await source.read(piece)) < length) throw new Error('the body is shorter than its announced length');
    if (flipped !== undefined && flipped >= at && flipped < at + length)
      piece[flipped - at] = (piece[flipped - at] ?? 0) ^ 1;
    if (isDelayed && delay.ms > 0) await sleep(context.clock, delay.ms, signal);
    const write = (step: Buffer) => slot.write(response, step);
    await writePaced(piece, ownRate, ownPacer, { ...context, turns, write });
    at += length;
  }
  for (const slot of slots) await slot.retire(signal);
}

interface PacedContext extends BodyContext {
  readonly turns: WriteTurns | undefined;
  readonly write: (step: Buffer) => void;
}

/** One piece that was read, in the steps of its caps: small reads would cost more than small writes do. */
async function writePaced(
  piece: Buffer,
  ownRate: number,
  ownPacer: Pacer,
  context: PacedContext,
): Promise<void> {
  for (let done = 0; done < piece.length;) {
    const stepMax = Math.min(pacedPieceBytes(context.connectionBytesPerSecond()), pacedPieceBytes(ownRate));
    const step = piece.subarray(done, done + stepMax);
    await ownPacer.take(step.length, ownRate, context.signal);
    await context.throttle(step.length);
    await context.turns?.take(step.length);
    if (context.signal.aborted) return;
    context.meter.sent(step.length);
    context.write(step);
    done += step.length;
  }
}

/** One buffer and whether the socket still needs it. */
class Slot {
  readonly buffer: Buffer;
  #written = new Deferred<void>();

  constructor(bodyBytes: number) {
    const small = bodyBytes <= SMALL_BODY_BYTES_MAX;
    this.buffer = small
      ? Buffer.allocUnsafe(bodyBytes)
      : (idleBuffers.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES_MAX));
    this.#written.resolve();
  }

  /** Resolves when the buffer may be overwritten, or when the signal aborts: then it must be left alone. */
  async reusable(signal: AbortSignal): Promise<void> {
    await settledOrAborted(this.#written.promise, signal);
  }

  /** All or a part of the buffer. The socket takes what is written in order: the last is the one to wait for. */
  write(response: ServerResponse, piece: Buffer): void {
    const written = new Deferred<void>();
    this.#written = written;
    response.write(piece, () => written.resolve());
  }

  /** Gives the buffer back, unless the socket may still read from it. */
  async retire(signal: AbortSignal): Promise<void> {
    await this.reusable(signal);
    const isPooled = this.buffer.length === PIECE_BYTES_MAX;
    if (isPooled && !signal.aborted && idleBuffers.length < IDLE_BUFFERS_MAX) idleBuffers.push(this.buffer);
  }
}

const idleBuffers: Buffer[] = [];
/** Of this thread's event loop, whichever server they are of. */
const allBodies = new WriteTurns();

interface PieceDelay {
  readonly ms: number;
  readonly chunkBytes: number;
  /** From this byte of the body on. */
  readonly fromByte: number;
}

function pieceDelay(faults: RequestFaults, source: BodySource): PieceDelay {
  const trickle = faults.find('trickle');
  if (trickle !== undefined) {
    const {
      everyMs = TRICKLE_MS_DEFAULT,
      chunkBytes = TRICKLE_BYTES_DEFAULT,
      from = { atByte: 0 },
    } = trickle;
    const fromByte = from.of === 'object' ? Math.max(0, from.atByte - source.objectOffset) : from.atByte;
    return { ms: everyMs, chunkBytes, fromByte };
  }
  const { ms = 0, chunkBytes = CHUNK_BYTES_DEFAULT } = faults.find('chunk-latency') ?? {
    chunkBytes: Infinity,
  };
  return { ms, chunkBytes, fromByte: 0 };
}

/** The first cut within the body, if any. */
function firstCut(source: BodySource, faults: RequestFaults): Cut | undefined {
  const cuts: Cut[] = [];
  for (const fault of faults.all) {
    if (fault.kind === 'early-end') addCut(cuts, 'end', bodyOffset(fault, source));
    if (fault.kind === 'stall' && typeof fault.at === 'object')
      addCut(cuts, 'stall', bodyOffset(fault.at, source));
    if (fault.kind === 'reset' && typeof fault.at === 'object')
      addCut(cuts, 'reset', bodyOffset(fault.at, source));
    if (fault.kind === 'reset' && fault.at === 'after-headers') addCut(cuts, 'reset', 0);
  }
  return cuts.sort((a, b) => a.at - b.at)[0];
}

function addCut(cuts: Cut[], action: Cut['action'], at: number | undefined): void {
  if (at !== undefined) cuts.push({ at, action });
}

/** The offset in this body, or undefined when the body does not include the position. */
function bodyOffset(position: BytePosition | undefined, source: BodySource): number | undefined {
  if (position === undefined) return undefined;
  const offset = position.of === 'object' ? position.atByte - source.objectOffset : position.atByte;
  return offset >= 0 && offset < source.sizeBytes ? offset : undefined;
}

/** Resolves when everything written to the socket before was taken by the kernel. */
async function flushed(socket: Socket, signal: AbortSignal): Promise<void> {
  const written = new Deferred<void>();
  socket.write('', () => written.resolve());
  await settledOrAborted(written.promise, signal);
}

function settledOrAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const finish = () => {
      signal.removeEventListener('abort', finish);
      resolve();
    };
    signal.addEventListener('abort', finish, { once: true });
    void promise.then(finish);
  });
}
