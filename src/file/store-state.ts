/**
 * The states of a TempFileStore, how its filling ends, and the errors its readers see, with their wording. Pure.
 */
import type { ObjectVersion } from '../object-store/object-store.js';
import { unreachable } from '../runtime/assert.js';
import type { ByteRange } from '../runtime/range.js';
import { ContentError } from './content.js';

export type StoreState =
  /** Bytes may be missing; a downloader may be at work. */
  | { readonly kind: 'filling' }
  | { readonly kind: 'complete' }
  /** The object was replaced or deleted: what is local stays readable, the rest answers `error`. */
  | { readonly kind: 'stale'; readonly error: ContentError }
  /** The local file failed: the same. */
  | { readonly kind: 'failed'; readonly error: ContentError }
  /** The copy is not the object, by its checksum: every read answers `error`. */
  | { readonly kind: 'corrupt'; readonly error: ContentError }
  | { readonly kind: 'closed' };

/** How filling ended. */
export type StoreOutcome =
  | { readonly kind: 'completed' }
  | { readonly kind: 'failed'; readonly error: ContentError }
  | { readonly kind: 'closed' };

/** How filling has ended in this state; undefined while it goes on. */
export function outcomeOf(state: StoreState): StoreOutcome | undefined {
  switch (state.kind) {
    case 'filling':
      return undefined;
    case 'complete':
      return { kind: 'completed' };
    case 'stale':
    case 'failed':
    case 'corrupt':
      return { kind: 'failed', error: state.error };
    case 'closed':
      return { kind: 'closed' };
    default:
      return unreachable(state);
  }
}

/** Why nothing that is missing can be waited for; undefined when it can. */
export function refusalOf(state: StoreState, signals: readonly AbortSignal[]): ContentError | undefined {
  if (signals.some(({ aborted }) => aborted)) return abortedError();
  const outcome = outcomeOf(state);
  if (outcome?.kind === 'failed') return outcome.error;
  return outcome?.kind === 'closed' ? closedError() : undefined;
}

export function abortedError(): ContentError {
  return new ContentError('aborted', 'the reader went away');
}

export function closedError(): ContentError {
  return new ContentError('closed', 'the file was closed while it was read');
}

export function staleError(version: ObjectVersion, reason: string): ContentError {
  const message = `${version.key} changed while it was open (${reason}); open it again to read the new object`;
  return new ContentError('stale', message);
}

export function corruptError({ key }: ObjectVersion): ContentError {
  const message = `what arrived of ${key} is not the object: its checksum differs; open it again to fetch it anew`;
  return new ContentError('corrupt', message);
}

/** @param reason why the last attempt failed, when one did */
export function deadlineError(
  version: ObjectVersion,
  { start, end }: ByteRange,
  deadlineMs: number,
  reason = 'no answer yet',
): ContentError {
  const what = `bytes ${start}-${end - 1} of ${version.key}`;
  return new ContentError('deadline', `${what} did not arrive within ${deadlineMs} ms (${reason})`);
}

/** Of filling the cache with all of it. */
export function noRoomError({ key, size }: ObjectVersion): ContentError {
  const message = `the cache has no room for ${key} (${size} bytes): raise --cache-bytes-max, or unpin or evict something`;
  return new ContentError('no_space', message);
}

/** Of filling the cache with all of it. */
export function idleError({ key }: ObjectVersion, idleMs: number, reason: string): ContentError {
  return new ContentError('deadline', `nothing of ${key} arrived for ${idleMs} ms (${reason})`);
}

/** `no_space` for a full disk or quota, `disk_failed` for the rest. */
export function diskError(version: ObjectVersion, cause: Error): ContentError {
  const message = `the local copy of ${version.key} cannot be written: ${cause.message}`;
  return new ContentError(isNoSpace(cause) ? 'no_space' : 'disk_failed', message, cause);
}

export function isNoSpace(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

/** Not the disk's fault: a bug on the way to it. The store is given up all the same, since its state is unknown. */
export function internalError(version: ObjectVersion, cause: Error): ContentError {
  return new ContentError('disk_failed', `fetching ${version.key} failed by a bug: ${cause.message}`, cause);
}
