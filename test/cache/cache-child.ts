/**
 * A process that uses a cache directory and ends when the test says: by a message, or by being killed. Commands come as
 * messages: acquire and bring bytes of objects, complete them, release them; each is answered. Argument: the directory.
 */
import type { Cache } from '../../src/cache/cache.js';
import type { LocalCopy } from '../../src/cache/local-copy.js';
import { bring, fill, firstLie, openCache, version } from './cache-rig.js';

export type ChildCommand =
  | { readonly do: 'open'; readonly directory: string; readonly bytesMax?: number }
  | { readonly do: 'acquire' | 'fill' | 'release'; readonly key: string; readonly size?: number }
  | { readonly do: 'bring'; readonly key: string; readonly end: number; readonly size?: number }
  | { readonly do: 'close' };

export interface ChildAnswer {
  readonly role?: string;
  readonly trust?: string;
  readonly lie?: number | undefined;
  readonly error?: string;
}

const copies = new Map<string, LocalCopy>();
let cache: Cache | undefined;

async function answer(command: ChildCommand): Promise<ChildAnswer> {
  if (command.do === 'open') {
    cache = await openCache(command.directory, { bytesMax: command.bytesMax ?? 1024 ** 3 });
    return {};
  }
  if (command.do === 'close') {
    cache?.close();
    return {};
  }
  const object = version(command.key, command.size);
  const copy = copies.get(command.key) ?? cache?.acquire(object);
  if (copy === undefined) throw new Error('no cache is open');
  copies.set(command.key, copy);
  const { role, trust } = copy;
  if (command.do === 'bring') bring(copy, object, 0, command.end);
  if (command.do === 'fill') fill(copy, object);
  const lie = firstLie(copy, object);
  if (command.do === 'release') {
    copy.release();
    copies.delete(command.key);
  }
  return { role, trust, lie };
}

process.on('message', (command: ChildCommand) => {
  answer(command).then(
    (said) => process.send?.(said),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
