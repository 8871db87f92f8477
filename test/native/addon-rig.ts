/** A session of the addon whose kernel is a socket. */
import { Deferred } from '../../src/runtime/deferred.js';
import type { NativeAddon, NativeSession, NativeSessionOptions } from '../../src/native.js';
import { SocketKernel } from './socket-kernel.js';

export interface SocketSession {
  readonly kernel: SocketKernel;
  readonly session: NativeSession;
  readonly events: Buffer;
  readonly replies: Buffer;
  /** The next record of `kind`, from its kind on. */
  readonly next: (kind: number) => Promise<Buffer>;
}

export const EVENT = { request: 1, entered: 3, waiting: 4, readEnded: 5, negotiated: 8, ended: 10 } as const;

export function startOverSocket(
  addon: NativeAddon,
  options: Partial<NativeSessionOptions> = {},
): SocketSession {
  const [ours, theirs] = addon.socketPair();
  const events = Buffer.alloc(2 * 1024 * 1024);
  const replies = Buffer.alloc(1024 * 1024);
  const come: Buffer[] = [];
  let wanted: { readonly kind: number; readonly record: Deferred<Buffer> } | undefined;

  const give = () => {
    const at = come.findIndex((record) => record.readUInt32LE(4) === wanted?.kind);
    if (at === -1 || wanted === undefined) return;
    wanted.record.resolve(come.splice(at, 1)[0]!);
    wanted = undefined;
  };
  const onEvents = (bytes: number) => {
    for (let at = 0; at < bytes;) {
      const length = events.readUInt32LE(at);
      come.push(Buffer.from(events.subarray(at, at + length)));
      at += length;
    }
    give();
  };
  const session = addon.startSession({
    descriptor: theirs,
    threads: 2,
    cloneDescriptors: false,
    readBytesMax: 1024 * 1024,
    readDeadlineMs: 60_000,
    passthrough: false,
    traceReads: false,
    events,
    replies,
    onEvents,
    ...options,
  });
  const next = (kind: number) => {
    const record = new Deferred<Buffer>();
    wanted = { kind, record };
    give();
    return record.promise;
  };
  return { kernel: new SocketKernel(ours), session, events, replies, next };
}
