/**
 * From what a user named to objects: a name stands for the object of that name and for all that lies below it, whatever
 * characters it has; only a name that nothing has is taken as a pattern (runtime/glob.ts). Used by the runs of warm, pin
 * and unpin.
 */
import type { ObjectInfo, ObjectStore } from '../object-store/object-store.js';
import { globBase, globMatcher, isGlob } from '../runtime/glob.js';
import type { Selection } from './messages.js';

/** A whole page takes a tenth of a second to read: what comes first of it is worked on meanwhile. */
const FIRST_PAGE_ENTRIES = 100;

export type Bucket = Pick<ObjectStore, 'endpoint' | 'bucket' | 'list' | 'head'>;

/** Objects, without the markers of directories. @throws ObjectStoreError */
export async function* select(
  { key, exact }: Selection,
  bucket: Bucket,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo> {
  if (exact) yield* named(key, bucket, signal);
  else if (isDirectory(key)) yield* listed(key, bucket, signal);
  else yield* nameOrPattern(key, bucket, signal);
}

async function* nameOrPattern(key: string, bucket: Bucket, signal: AbortSignal): AsyncGenerator<ObjectInfo> {
  let found = false;
  for (const objects of [named(key, bucket, signal), listed(`${key}/`, bucket, signal)]) {
    for await (const object of objects) {
      found = true;
      yield object;
    }
  }
  if (!found && isGlob(key)) yield* matching(key, bucket, signal);
}

/** Whether `select` may give an object of `key` for this selection: where keys are known without asking the bucket. */
export function selects({ key: name, exact }: Selection): (key: string) => boolean {
  if (exact) return (key) => key === name;
  if (isDirectory(name)) return (key) => key.startsWith(name);
  const matches = isGlob(name) ? globMatcher(name) : () => false;
  return (key) => key === name || key.startsWith(`${name}/`) || matches(key);
}

function isDirectory(key: string): boolean {
  return key === '' || key.endsWith('/');
}

async function* named(key: string, bucket: Bucket, signal: AbortSignal): AsyncGenerator<ObjectInfo> {
  const object = await bucket.head(key, signal);
  if (object !== undefined) yield object;
}

async function* matching(pattern: string, bucket: Bucket, signal: AbortSignal): AsyncGenerator<ObjectInfo> {
  const isMatch = globMatcher(pattern);
  for await (const object of listed(globBase(pattern), bucket, signal)) {
    if (isMatch(object.key)) yield object;
  }
}

async function* listed(prefix: string, bucket: Bucket, signal: AbortSignal): AsyncGenerator<ObjectInfo> {
  let continuation: string | undefined;
  let entriesMax: number | undefined = FIRST_PAGE_ENTRIES;
  do {
    const page = await bucket.list({ prefix, continuation, entriesMax, signal });
    entriesMax = undefined;
    yield* page.objects.filter(({ key }) => !key.endsWith('/'));
    continuation = page.continuation;
  } while (continuation !== undefined);
}
