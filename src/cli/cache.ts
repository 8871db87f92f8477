/**
 * `sluice cache ls|stats|verify|evict|clear`: a cache directory from outside, whether daemons use it or not. What they
 * have open is theirs: it is listed and verified, and not removed.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Cache } from '../cache/cache.js';
import type { CachedObject } from '../cache/cached-object.js';
import { parseObjectUrl } from '../config/bucket-url.js';
import { ConfigError, shown } from '../config/config-error.js';
import { currentUser, loadTransferConfig } from '../config/load.js';
import type { TransferConfig } from '../config/mount-config.js';
import type { Flags } from '../config/resolve.js';
import { nativeAddonIfAny } from '../native.js';
import { CacheCounters } from '../observability/cache-metrics.js';
import { createLogger } from '../observability/logger.js';
import { standardError } from '../observability/log-destination.js';
import { queryDaemons } from '../observability/status-client.js';
import { selects } from '../requests/select.js';
import { unreachable } from '../runtime/assert.js';
import { systemClock } from '../runtime/clock.js';
import { formatBytes, parseSize } from '../runtime/units.js';
import { CACHE_SCHEMA, copyDocument, listLines, statsDocument, statsLines, urlOf } from './cache-text.js';
import type { CacheUser } from './cache-text.js';
import { CommandError, EXIT } from './exit-codes.js';
import { printable, printLine } from './output.js';
import { isUrl } from './request-targets.js';
import { objects } from './warm.js';

export interface CacheArguments {
  readonly verb: 'ls' | 'stats' | 'verify' | 'evict' | 'clear';
  /** URLs, keys and patterns of keys; none for all. */
  readonly names: readonly string[];
  readonly flags: Flags;
  readonly json?: true | undefined;
  /** Of `evict`. */
  readonly bytes?: string | undefined;
  readonly pinned?: true | undefined;
  /** Of `verify`. */
  readonly full?: true | undefined;
}

/** @throws ConfigError, CommandError or CacheDirectoryError */
export async function cacheCommand(given: CacheArguments): Promise<number> {
  const user = currentUser();
  const { config } = loadTransferConfig({
    bucket: '',
    prefix: '',
    flags: given.flags,
    environment: process.env,
    user,
  });
  const cache = await openCache(config);
  try {
    return await run(cache, config, given);
  } finally {
    cache.close();
  }
}

/** Those who fill a cache say how large it may be: here nothing is evicted that was not named. */
async function openCache({ cacheDir, logLevel }: TransferConfig): Promise<Cache> {
  if (!existsSync(join(cacheDir, 'format'))) {
    throw new CommandError(EXIT.usage, `there is no cache in ${cacheDir}: give its directory by --cache-dir`);
  }
  const level = logLevel === 'info' ? 'warn' : logLevel;
  return Cache.open(
    cacheDir,
    { bytesMax: Number.MAX_SAFE_INTEGER, freeBytesMin: 0, fillsNothing: true },
    {
      clock: systemClock,
      logger: createLogger(level, standardError()),
      metrics: new CacheCounters(),
      addon: nativeAddonIfAny(),
    },
  );
}

async function run(cache: Cache, config: TransferConfig, given: CacheArguments): Promise<number> {
  const isNamed = namedBy(given.names);
  switch (given.verb) {
    case 'ls':
      return list(cache.list().filter(isNamed), cache, given);
    case 'stats':
      return stats(cache, given);
    case 'evict':
      return evict(cache, isNamed, given);
    case 'clear':
      return clear(cache, given);
    case 'verify': {
      const { verifyCache } = await import('./cache-verify.js');
      const complete = cache.list({ state: 'complete' }).filter(isNamed);
      return verifyCache(complete, cache, { config, json: given.json === true, full: given.full === true });
    }
    default:
      return unreachable(given.verb);
  }
}

type IsNamed = (copy: CachedObject) => boolean;

function namedBy(names: readonly string[]): IsNamed {
  if (names.length === 0) return () => true;
  const tests = names.map((name): IsNamed => {
    if (!isUrl(name)) {
      const isSelected = selects({ key: name, exact: false });
      return ({ version }) => isSelected(version.key);
    }
    const { bucket, key } = parseObjectUrl(name);
    const isSelected = selects({ key, exact: false });
    return ({ version }) => version.bucket === bucket && isSelected(version.key);
  });
  return (copy) => tests.some((test) => test(copy));
}

function list(copies: readonly CachedObject[], cache: Cache, { json, names }: CacheArguments): number {
  if (json) {
    const document = { schema: CACHE_SCHEMA, directory: cache.path, copies: copies.map(copyDocument) };
    printLine(JSON.stringify(document, undefined, 2));
  } else listLines(copies).forEach(printLine);
  return copies.length === 0 && names.length > 0 ? EXIT.incomplete : EXIT.ok;
}

async function stats(cache: Cache, { json }: CacheArguments): Promise<number> {
  const users = await usersOf(cache.path);
  const now = cache.stats();
  if (json) printLine(JSON.stringify(statsDocument(now, users), undefined, 2));
  else statsLines(now, users).forEach(printLine);
  return EXIT.ok;
}

async function usersOf(directory: string): Promise<CacheUser[]> {
  const place = { environment: process.env, uid: currentUser().uid };
  const daemons = await queryDaemons({ place, clock: systemClock });
  return daemons.flatMap((daemon) => {
    if (daemon.state !== 'answering' || daemon.report.cache.directory !== directory) return [];
    const { pid, mountpoint, cache } = daemon.report;
    return [{ pid, mountpoint, bytesMax: cache.bytesMax }];
  });
}

function evict(cache: Cache, isNamed: IsNamed, given: CacheArguments): number {
  if (given.names.length === 0 && given.bytes === undefined) {
    throw new ConfigError(
      'expected which copies to remove, or --bytes SIZE; "sluice cache clear" removes all',
    );
  }
  const pinned = given.pinned === true;
  const bytesWanted = given.bytes === undefined ? Infinity : sizeOf(given.bytes);
  const candidates = cache
    .list()
    .filter((copy) => isNamed(copy) && copy.openCount === 0 && (pinned || !copy.pinned))
    .toSorted((a, b) => (a.usedAtMs ?? 0) - (b.usedAtMs ?? 0));
  const chosen = new Set<number>();
  let sum = 0;
  for (const { id, bytes } of candidates) {
    if (sum >= bytesWanted) break;
    sum += bytes;
    chosen.add(id);
  }
  const gone = cache.evict({}, { pinned, only: ({ id }) => chosen.has(id) });
  // Who wanted more than could go is told why; who got it misses nothing.
  const kept = bytesOf(gone) >= bytesWanted ? [] : cache.list().filter(isNamed);
  if (!given.json) for (const copy of gone) printLine(printable(`removed ${urlOf(copy)}`));
  return tellRemoved(gone, kept.length, cache, given);
}

function clear(cache: Cache, given: CacheArguments): number {
  const gone = cache.evict({}, { pinned: true });
  return tellRemoved(gone, cache.list().length, cache, given);
}

/** @param kept how many should have gone, and are open or pinned */
function tellRemoved(
  copies: readonly CachedObject[],
  kept: number,
  { path }: Cache,
  { json }: CacheArguments,
): number {
  const bytes = bytesOf(copies);
  if (json) {
    const removed = copies.map(copyDocument);
    const document = { schema: CACHE_SCHEMA, directory: path, removed, bytes, kept };
    printLine(JSON.stringify(document, undefined, 2));
  } else {
    const left = kept === 0 ? '' : `; ${kept} kept, open or pinned`;
    printLine(`${objects(copies.length)} removed, ${formatBytes(bytes)}${left}`);
  }
  return EXIT.ok;
}

function bytesOf(copies: readonly CachedObject[]): number {
  return copies.reduce((sum, { bytes }) => sum + bytes, 0);
}

function sizeOf(text: string): number {
  const size = parseSize(text);
  if (size !== undefined && size > 0) return size;
  throw new ConfigError(`--bytes: expected a size such as 50GiB, got ${shown(text)}`);
}
