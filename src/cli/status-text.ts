/** One mount's StatusReport as lines for people: pure, so that its look is tested without a mount. */
import type { DriverStatus, ReadStatus, StatusReport, StoreStatus } from '../observability/status-report.js';
import { formatBytes, formatCount, formatDuration } from '../runtime/units.js';
import { printable } from './output.js';

/** A screenful; --json has all. */
const STORES_SHOWN_MAX = 20;
const READS_SHOWN_MAX = 20;
const BAR_CELLS = 20;

export function statusLines(report: StatusReport): string[] {
  return [...summary(report), ...stores(report), ...reads(report)].map(printable);
}

function summary({ driver, rates, totals, cache, memory, filesystem, ...report }: StatusReport): string[] {
  const hidden =
    filesystem.keysHidden === 0 ? '' : `, ${formatCount(filesystem.keysHidden, 'key')} without a file name`;
  return [
    `${report.source} on ${report.mountpoint}`,
    `  daemon   pid ${report.pid}, up ${formatDuration(report.uptimeMs)}, version ${report.version}, memory ${formatBytes(memory.residentBytes)}`,
    `  driver   ${driverLine(driver)}`,
    `  server   ${report.endpoint}`,
    `  now      ${formatBytes(rates.bytesReadPerSecond)}/s read, ${formatBytes(rates.bytesFetchedPerSecond)}/s fetched (last 10 s)`,
    `  so far   ${formatBytes(totals.bytesRead)} in ${formatCount(totals.reads, 'read')} (${totals.readErrors} failed), ${formatBytes(totals.bytesFetched)} fetched in ${formatCount(totals.partRequests, 'request')} (${totals.partRetries} tried again), ${totals.controlRequests} listings and lookups`,
    `  files    ${formatCount(filesystem.nodes, 'name')} known, ${filesystem.handles} open${hidden}`,
    `  cache    ${formatBytes(cache.bytes)} of ${formatBytes(cache.bytesMax)} in ${cache.directory} (${formatCount(cache.storesOpen, 'object')} open, ${cache.storesIdle} idle)`,
    `  opens    ${cacheUse(cache)}`,
    `  log      ${report.logFile ?? 'standard error'}`,
  ];
}

function cacheUse(cache: StatusReport['cache']): string {
  const opens = cache.hits + cache.misses;
  return [
    `${cache.hits} of ${opens} found all in the cache`,
    `${formatBytes(cache.bytesFromCache)} from it and ${formatBytes(cache.bytesFromBucket)} from the bucket`,
    ...(cache.fillMsAverage === null
      ? []
      : [`${formatCount(cache.fills, 'fill')} of ${formatDuration(cache.fillMsAverage)} on average`]),
    ...(cache.retries > 0 ? [`${cache.retries} fetched again`] : []),
    ...(cache.verificationFailures > 0 ? [`${cache.verificationFailures} FOUND WRONG`] : []),
    ...(cache.evictions > 0 ? [`${cache.evictions} evicted (${formatBytes(cache.evictedBytes)})`] : []),
  ].join(', ');
}

function driverLine({ handlesCached, handlesPassthrough, ...driver }: DriverStatus): string {
  const facts = [
    `${driver.name}, reads of up to ${formatBytes(driver.readBytesMax)}`,
    ...(driver.passthrough ? ['passthrough'] : []),
    ...(handlesCached === null || handlesPassthrough === null
      ? []
      : [`${formatCount(handlesCached, 'handle')} cached and ${handlesPassthrough} passed through`]),
    ...(driver.requestsWaiting
      ? [
          `${formatCount(driver.requestsWaiting, 'request')} waiting, the oldest ${formatDuration(driver.oldestRequestMs ?? 0)}`,
        ]
      : []),
  ];
  return facts.join(', ');
}

function stores({ stores, storesOmitted }: StatusReport): string[] {
  if (stores.length === 0) return [];
  const busyFirst = stores.toSorted((a, b) => activity(b) - activity(a));
  const more = stores.length + storesOmitted - STORES_SHOWN_MAX;
  return [
    '  objects',
    ...busyFirst.slice(0, STORES_SHOWN_MAX).map((store) => `    ${storeLine(store)}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
  ];
}

/** What somebody waits for comes first, then what is on its way, then what is open. */
function activity({ readsWaiting, partsInFlight, handles }: StoreStatus): number {
  return (readsWaiting > 0 ? 4 : 0) + (partsInFlight > 0 ? 2 : 0) + (handles > 0 ? 1 : 0);
}

function storeLine(store: StoreStatus): string {
  const share = store.size === 0 ? 1 : store.arrivedBytes / store.size;
  // Rounded down, so that 100 % means all of it.
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const bar = '#'.repeat(Math.floor(share * BAR_CELLS)).padEnd(BAR_CELLS, '-');
  const facts = [
    `${formatBytes(store.arrivedBytes)} of ${formatBytes(store.size)}`,
    store.state,
    ...(store.checksum === 'matches' ? ['checked'] : []),
    ...(store.checksum === 'differs' ? ['CHECKSUM DIFFERS'] : []),
    ...(store.handles > 0 ? [`${store.handles} open`] : []),
    ...(store.partsInFlight > 0 ? [`${formatCount(store.partsInFlight, 'part')} in flight`] : []),
    ...(store.readsWaiting > 0 ? [`${formatCount(store.readsWaiting, 'read')} waiting`] : []),
  ];
  return `${store.id.padEnd(6)} [${bar}] ${percent}  ${store.key}  ${facts.join(', ')}`;
}

function reads({ readsInFlight }: StatusReport): string[] {
  if (readsInFlight.length === 0) return [];
  const oldestFirst = readsInFlight.toSorted((a, b) => b.ageMs - a.ageMs);
  const more = readsInFlight.length - READS_SHOWN_MAX;
  return [
    '  reads in flight',
    ...oldestFirst.slice(0, READS_SHOWN_MAX).map((read) => `    ${readLine(read)}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
  ];
}

function readLine({ id, storeId, key, offset, length, ageMs, waitingFor }: ReadStatus): string {
  const waiting =
    waitingFor === null
      ? 'not waiting for bytes'
      : `waits for bytes ${waitingFor.start} to ${waitingFor.end}`;
  return `${id.padEnd(6)} ${storeId.padEnd(6)} ${formatDuration(ageMs).padStart(8)}  ${key}  ${length} bytes at ${offset}, ${waiting}`;
}
