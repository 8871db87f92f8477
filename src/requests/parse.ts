/** A request as it came over the socket, checked: it was written by another process, maybe of another version. */
import { FILES_AT_ONCE_MAX, RequestError } from './messages.js';
import type { BucketRequest, Selection } from './messages.js';

/** @param prefix of the mount: nothing above it is served. @throws RequestError */
export function parseRequest(value: unknown, prefix: string): BucketRequest {
  if (!isRecord(value)) throw new RequestError('expected a request');
  const { verb } = value;
  switch (verb) {
    case 'warm':
      return { verb, selections: selectionsOf(value, prefix), filesAtOnceMax: filesAtOnceOf(value) };
    case 'pin': {
      const fill = value['fill'] !== false;
      return { verb, selections: selectionsOf(value, prefix), filesAtOnceMax: filesAtOnceOf(value), fill };
    }
    case 'unpin':
      return { verb, selections: selectionsOf(value, prefix) };
    default:
      throw new RequestError(
        `the daemon knows the requests warm, pin and unpin, and was asked for ${JSON.stringify(verb)}; is it of another version?`,
      );
  }
}

function selectionsOf({ selections }: Record<string, unknown>, prefix: string): Selection[] {
  if (!Array.isArray(selections)) throw new RequestError('expected a list of selections');
  return selections.map((selection: unknown) => {
    if (!isRecord(selection) || typeof selection['key'] !== 'string') {
      throw new RequestError('expected a selection with a key');
    }
    const { key, exact } = selection;
    if (!key.startsWith(prefix)) {
      throw new RequestError(`${key} is outside of what is mounted: expected a key below ${prefix}`);
    }
    return { key, exact: exact === true };
  });
}

function filesAtOnceOf({ filesAtOnceMax: number }: Record<string, unknown>): number {
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1 || number > FILES_AT_ONCE_MAX) {
    throw new RequestError(`expected 1 to ${FILES_AT_ONCE_MAX} files at once, got ${String(number)}`);
  }
  return number;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
