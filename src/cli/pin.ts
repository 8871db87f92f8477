/** `sluice pin` and `sluice unpin`: what is never evicted from the cache, and what may be again. */
import { notFound, objects, warmSummary } from './warm.js';
import { parseFilesAtOnce } from './files-at-once.js';
import { jobsOfNamed } from './named-objects.js';
import type { NamedObjects } from './named-objects.js';
import { runJobs } from './request-run.js';

export interface PinArguments extends NamedObjects {
  readonly concurrency: string;
  readonly fill: boolean;
  readonly json: boolean;
}

/** @throws ConfigError, CommandError, ObjectStoreError */
export async function pinCommand(given: PinArguments): Promise<number> {
  const filesAtOnceMax = parseFilesAtOnce(given.concurrency);
  const { fill } = given;
  const { jobs, place } = await jobsOfNamed(given);
  return runJobs(jobs, {
    place,
    json: given.json,
    makeRequest: (selections) => ({ verb: 'pin', selections, filesAtOnceMax, fill }),
    summarise: (summary) => `${objects(summary.pinned)} pinned${fill ? `; ${warmSummary(summary)}` : ''}`,
    notFound,
  });
}

export interface UnpinArguments extends NamedObjects {
  readonly json: boolean;
}

/** @throws ConfigError, CommandError, ObjectStoreError */
export async function unpinCommand(given: UnpinArguments): Promise<number> {
  const { jobs, place } = await jobsOfNamed(given);
  return runJobs(jobs, {
    place,
    json: given.json,
    makeRequest: (selections) => ({ verb: 'unpin', selections }),
    summarise: ({ unpinned }) => `${objects(unpinned)} not pinned any more`,
    notFound: (key) =>
      key === '' ? 'nothing is pinned' : `${key}: nothing that is pinned has that name, or matches`,
  });
}
