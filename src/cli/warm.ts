/** `sluice warm`: has objects in the cache before anybody opens them. */
import type { RunSummary } from '../requests/messages.js';
import { formatBytes } from '../runtime/units.js';
import { parseFilesAtOnce } from './files-at-once.js';
import { jobsOfNamed } from './named-objects.js';
import type { NamedObjects } from './named-objects.js';
import { runJobs } from './request-run.js';

export interface WarmArguments extends NamedObjects {
  readonly concurrency: string;
  readonly json: boolean;
}

/** Exit code 0 only when all of it is there. @throws ConfigError, CommandError, ObjectStoreError */
export async function warmCommand(given: WarmArguments): Promise<number> {
  const filesAtOnceMax = parseFilesAtOnce(given.concurrency);
  const { jobs, place } = await jobsOfNamed(given);
  return runJobs(jobs, {
    place,
    json: given.json,
    makeRequest: (selections) => ({ verb: 'warm', selections, filesAtOnceMax }),
    summarise: warmSummary,
    notFound,
  });
}

export function notFound(key: string): string {
  return key === '' ? 'the bucket has no objects' : `${key}: there is no such object, directory or match`;
}

/** `1000 objects, 1.00 GiB: 600 MiB fetched, 400 MiB were in the cache` */
export function warmSummary(summary: RunSummary): string {
  const { fetched, cached, bytesFetched, bytesCached, failed, unmatched, lost } = summary;
  const there = fetched + cached;
  return [
    `${objects(there)} in the cache, ${formatBytes(bytesFetched + bytesCached)}: ${formatBytes(bytesFetched)} fetched, ${formatBytes(bytesCached)} were there`,
    ...(failed === 0 ? [] : [`${failed} FAILED`]),
    ...(unmatched === 0 ? [] : [`${unmatched} named in vain`]),
    ...(lost === 0
      ? []
      : [`${objects(lost)} NOT KEPT: the cache has no room for all of them, or failed; the log says which`]),
  ].join('; ');
}

export function objects(count: number): string {
  return `${count} object${count === 1 ? '' : 's'}`;
}
