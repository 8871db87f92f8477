/** The native request handlers over a session without a kernel: asks as the kernel does, and sees what it would. */
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import type { Filesystem } from '../../src/filesystem/filesystem.js';
import { OPCODE } from '../../src/fuse/fuse-protocol.js';
import type { Operation } from '../../src/fuse/fuse-protocol.js';
import { decodeEvents } from '../../src/fuse/native-events.js';
import type { NativeEvents } from '../../src/fuse/native-events.js';
import { NativeOperations } from '../../src/fuse/native-operations.js';
import { createLogger } from '../../src/observability/logger.js';
import { FakeSession } from '../support/fake-addon.js';
import { packed } from '../support/packed.js';

interface LogLine {
  readonly level: number;
  readonly operation: string;
  readonly node: number;
}

export function startOn(filesystem: Filesystem, { passthrough = true } = {}) {
  const lines: LogLine[] = [];
  const logger = createLogger('debug', { write: (line) => void lines.push(JSON.parse(line) as LogLine) });
  const events = Buffer.alloc(65_536);
  const replies = Buffer.alloc(65_536);
  const session = new FakeSession({
    descriptor: -1,
    threads: 1,
    cloneDescriptors: false,
    readBytesMax: 65_536,
    readDeadlineMs: 1000,
    passthrough,
    traceReads: false,
    events,
    replies,
    onEvents: (bytes) => decodeEvents(events, bytes, { request } as NativeEvents, unexpected),
  });
  const operations = new NativeOperations({ filesystem, logger, session, replies }, { passthrough });
  const request: NativeEvents['request'] = (given) => operations.handle(given);
  /** The errno, or the body when that is 0. */
  const ask = async (operation: Operation, node: number, body?: Uint8Array): Promise<number | Buffer> => {
    const reply = await session.answered(session.request(OPCODE[operation], node, body));
    if (!('errno' in reply)) throw new Error('answered as an open');
    return reply.errno === 0 ? reply.body : reply.errno;
  };
  return { session, ask, lines };
}

function unexpected(error: unknown): void {
  throw error;
}

export const named = (name: string) => Buffer.from(`${name}\0`);
export const readBody = (handle: number, offset: number, size: number) =>
  packed(['u64', handle], ['u64', offset], ['u32', size], ['u32', 0], ['u64', 0], ['u64', 0]);
export const handleBody = (handle: number) => packed(['u64', handle], ['u64', 0], ['u64', 0]);
export const openBody = (flags: number) => packed(['u32', flags], ['u32', 0]);

/** A number of 8 bytes in a reply. */
export function u64(body: number | Buffer, at: number): number {
  if (typeof body === 'number') throw new Error(`answered with errno ${body}`);
  return Number(body.readBigUInt64LE(at));
}

/** Looks a path up; returns its node. */
export async function nodeOf({ ask }: ReturnType<typeof startOn>, path: string): Promise<number> {
  let node = ROOT_NODE;
  for (const name of path.split('/')) node = u64(await ask('lookup', node, named(name)), 0);
  return node;
}
