/**
 * Uses a few copies of a shared directory at random, as one of several processes, and looks whether anything that is said
 * to be there is wrong. Kills itself in the middle when told to. Arguments: directory, seed, rounds, keys, killed at.
 */
import type { LocalCopy } from '../../src/cache/local-copy.js';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { bring, firstLie, openCache, version } from './cache-rig.js';
import { BYTES_MAX } from './life-of-copies.js';

const [directory = '', seed = '', rounds = '', keys = '', killedAt = ''] = process.argv.slice(2);
const clock = new SimulatedClock({ seed: Number(seed) });
const cache = await openCache(directory, { bytesMax: BYTES_MAX });
const open = new Map<string, { readonly copy: LocalCopy; readonly object: ObjectVersion }>();
const roles: Record<string, number> = {};

/** Brings some of what is missing, as far as there is room. */
function fetchSome(copy: LocalCopy, object: ObjectVersion): void {
  if (copy.role === 'follower') {
    if (clock.random() < 0.5) copy.takeOver();
    return;
  }
  const { availability } = copy.memory;
  const gap = availability.firstMissing({ start: 0, end: object.size });
  if (gap !== undefined) {
    const end = Math.min(gap.start + 64 * 4096, gap.end);
    if (!bring(copy, object, gap.start, end)) copy.detach();
  } else if (copy.trust !== 'complete') copy.filled('matches');
}

for (let round = 0; round < Number(rounds); round++) {
  if (round === Number(killedAt)) process.kill(process.pid, 'SIGKILL');
  const key = `k${Math.floor(clock.random() * Number(keys))}`;
  const object = version(key, 200_000 + key.length * 70_000 + Number(key.slice(1)) * 50_000);
  const held = open.get(key) ?? { copy: cache.acquire(object), object };
  open.set(key, held);
  roles[held.copy.role] = (roles[held.copy.role] ?? 0) + 1;
  const lie = firstLie(held.copy, object);
  if (lie !== undefined) throw new Error(`${key} is wrong at ${lie} (${held.copy.role}, ${held.copy.trust})`);
  for (let part = 0; part < 3; part++) fetchSome(held.copy, object);
  if (clock.random() < 0.05) held.copy.condemn();
  if (clock.random() < 0.6) {
    held.copy.release();
    open.delete(key);
  }
}
cache.close();
process.send?.(roles);
