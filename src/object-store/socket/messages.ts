/**
 * What the main thread and the transport's worker threads say to each other. Each fetch has a number, unique per
 * worker; the worker answers each with exactly one `ended`, after which it touches neither the file nor the shared memory.
 */
import type { ByteRange } from '../../runtime/range.js';
import type { SharedMemory } from '../../runtime/shared-memory.js';
import type { NativeFileId } from '../../native.js';
import type { ObjectChecksums } from '../object-checksums.js';
import type { Origin } from '../presigned-get.js';

/** What a worker is started with. */
export interface WorkerSettings {
  /** Certificate authorities to trust (PEM); undefined: Node's own default. */
  readonly authorities: readonly string[] | undefined;
  /** Connections are opened ahead up to this, per worker. */
  readonly connectionsMax: number;
  /** An idle connection is closed after so long, or sooner when the server says so. */
  readonly idleTimeoutMs: number;
}

export interface AskMessage {
  /** The request is to be sent; where its answer goes is told later, by `place`, unless it is aborted. */
  readonly kind: 'ask';
  readonly id: number;
  readonly origin: Origin;
  /** The whole request, headers included. */
  readonly request: string;
  readonly range: ByteRange;
  /** Of the version that the answer must be of. */
  readonly etag: string;
  readonly size: number;
  readonly stallTimeoutMs: number;
}

/** Where an answer goes. */
export interface FetchPlace {
  readonly descriptor: number;
  readonly memory: SharedMemory;
  readonly nativeFile: NativeFileId | undefined;
}

/** Both at once. */
export interface FetchMessage extends Omit<AskMessage, 'kind'>, FetchPlace {
  readonly kind: 'fetch';
}

export interface PlaceMessage extends FetchPlace {
  readonly kind: 'place';
  readonly id: number;
}

export type ToWorker =
  | FetchMessage
  | AskMessage
  | PlaceMessage
  | { readonly kind: 'cut'; readonly id: number; readonly end: number }
  | { readonly kind: 'abort'; readonly id: number }
  /** Have at least `count` connections open that are idle or about to be. */
  | { readonly kind: 'expect'; readonly origin: Origin; readonly count: number }
  /** Close idle connections until so many are left, those in use included. */
  | { readonly kind: 'trim'; readonly count: number }
  | { readonly kind: 'close' };

export type FromWorker =
  /** What the server keeps of the object; before any progress. */
  | { readonly kind: 'told'; readonly id: number; readonly checksums: ObjectChecksums }
  /** All bytes from the start of the range to `end` are in the file and published. */
  | { readonly kind: 'advanced'; readonly ends: readonly (readonly [id: number, end: number])[] }
  | { readonly kind: 'ended'; readonly id: number; readonly end: number; readonly outcome: WorkerOutcome };

/** `PartOutcome` as far as a worker can tell, with errors as text. */
export type WorkerOutcome =
  | { readonly kind: 'complete' | 'changed' | 'aborted' }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number | undefined }
  | {
      readonly kind: 'short' | 'broken' | 'unreachable';
      readonly message: string;
      readonly code?: string | undefined;
    }
  /** An answer that is left to the SDK's path to deal with. */
  | { readonly kind: 'unusual'; readonly reason: string; readonly status: number | undefined }
  /** Writing into the local file failed. */
  | { readonly kind: 'local'; readonly message: string; readonly code: string | undefined };
