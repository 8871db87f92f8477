/**
 * Who serves what was named on the command line: the daemon whose mount a path lies in; for an s3:// URL a daemon that
 * has mounted it, since that has the credentials and the files open, else this process. Used by warm.ts and pin.ts.
 */
import { realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseBucketUrl, parseObjectUrl } from '../config/bucket-url.js';
import { loadTransferConfig } from '../config/load.js';
import type { LoadedTransferConfig } from '../config/load.js';
import type { TransferConfig } from '../config/mount-config.js';
import type { Environment } from '../config/option-source.js';
import type { Flags } from '../config/resolve.js';
import type { User } from '../config/user-folders.js';
import { normaliseEndpoint } from '../object-store/endpoint.js';
import type { DaemonStatus } from '../observability/status-client.js';
import type { StatusReport } from '../observability/status-report.js';
import type { Selection } from '../requests/messages.js';
import { CommandError, EXIT } from './exit-codes.js';

/** As it was written: a path or an s3:// URL. */
export interface Name {
  readonly text: string;
  /** It means itself, whatever characters it has. */
  readonly exact: boolean;
}

export type Target =
  | { readonly kind: 'daemon'; readonly report: StatusReport }
  | { readonly kind: 'engine'; readonly config: TransferConfig };

/** What one target is asked for. */
export interface Job {
  readonly target: Target;
  readonly selections: readonly Selection[];
}

export interface TargetContext {
  readonly daemons: readonly DaemonStatus[];
  readonly flags: Flags;
  readonly environment: Environment;
  readonly user: User;
}

interface Placed {
  /** Equal for names that one target serves. */
  readonly place: string;
  readonly target: () => Target;
  readonly selection: Selection;
}

/** One job for each target, in the order of the names. @throws ConfigError or CommandError for what cannot be served */
export function jobsOf(names: readonly Name[], context: TargetContext): Job[] {
  const finder = new TargetFinder(context);
  const jobs = new Map<string, { readonly target: Target; readonly selections: Selection[] }>();
  for (const name of names) {
    const { place, target, selection } = finder.find(name);
    const job = jobs.get(place) ?? { target: target(), selections: [] };
    jobs.set(place, job);
    job.selections.push(selection);
  }
  return [...jobs.values()];
}

export function isUrl(text: string): boolean {
  return /^s3:\/\//i.test(text);
}

class TargetFinder {
  readonly #context: TargetContext;
  readonly #reports: readonly StatusReport[];
  readonly #configs = new Map<string, LoadedTransferConfig>();

  constructor(context: TargetContext) {
    this.#context = context;
    this.#reports = context.daemons.flatMap((daemon) =>
      daemon.state === 'answering' ? [daemon.report] : [],
    );
  }

  find(name: Name): Placed {
    return isUrl(name.text) ? this.#ofUrl(name) : this.#ofPath(name);
  }

  #ofPath({ text, exact }: Name): Placed {
    const path = resolve(this.#context.user.workingDir, text);
    const report = this.#mountOf(path) ?? this.#mountOf(realPath(path));
    if (report === undefined) throw this.#notMounted(text);
    const { mountpoint, source } = report;
    const below = (isBelow(path, mountpoint) ? path : realPath(path)).slice(mountpoint.length + 1);
    const slash = text.endsWith('/') && below !== '' ? '/' : '';
    const selection = { key: `${parseBucketUrl(source).prefix}${below}${slash}`, exact };
    return { place: `pid ${report.pid}`, target: () => ({ kind: 'daemon', report }), selection };
  }

  #ofUrl({ text, exact }: Name): Placed {
    const { bucket, key } = parseObjectUrl(text);
    const loaded = this.#configOf(bucket);
    const report = this.#daemonWith(bucket, key, loaded);
    const selection = { key, exact };
    if (report !== undefined) {
      return { place: `pid ${report.pid}`, target: () => ({ kind: 'daemon', report }), selection };
    }
    // What the user may list is all that the bucket is tried with.
    const prefix = key.slice(0, key.lastIndexOf('/') + 1);
    const cacheBytesMax = loaded.config.cacheBytesMax ?? this.#budgetOf(loaded.config.cacheDir);
    const config = { ...loaded.config, prefix, cacheBytesMax };
    return { place: `s3://${bucket}`, target: () => ({ kind: 'engine', config }), selection };
  }

  /** What daemons allow the cache that they share with this process: its own default may be less, and would evict. */
  #budgetOf(cacheDir: string): number | undefined {
    const sharing = this.#reports.filter(({ cache }) => cache.directory === cacheDir);
    return sharing.length === 0 ? undefined : Math.max(...sharing.map(({ cache }) => cache.bytesMax));
  }

  /** The innermost one. */
  #mountOf(path: string): StatusReport | undefined {
    return this.#reports
      .filter(({ mountpoint }) => isBelow(path, mountpoint))
      .toSorted((a, b) => b.mountpoint.length - a.mountpoint.length)[0];
  }

  /** @throws CommandError when several could be meant */
  #daemonWith(
    bucket: string,
    key: string,
    { config, given }: LoadedTransferConfig,
  ): StatusReport | undefined {
    const endpoint = given.has('endpoint-url') ? normaliseEndpoint(config.endpointUrl) : undefined;
    const cacheDir = given.has('cache-dir') ? config.cacheDir : undefined;
    const fitting = this.#reports.filter((report) => {
      const mounted = parseBucketUrl(report.source);
      if (mounted.bucket !== bucket || !key.startsWith(mounted.prefix)) return false;
      if (endpoint !== undefined && endpoint !== report.endpoint) return false;
      return cacheDir === undefined || cacheDir === report.cache.directory;
    });
    const [first] = fitting;
    const other = fitting.find(
      ({ endpoint, cache }) => endpoint !== first?.endpoint || cache.directory !== first.cache.directory,
    );
    if (first === undefined || other === undefined) return first;
    const places = [first, other]
      .map(({ mountpoint, endpoint }) => `${mountpoint} (${endpoint})`)
      .join(' and ');
    throw new CommandError(
      EXIT.usage,
      `the bucket ${bucket} is mounted at ${places}, with different servers or caches: name a path in one of them, or give --endpoint-url or --cache-dir`,
    );
  }

  #configOf(bucket: string): LoadedTransferConfig {
    const known = this.#configs.get(bucket);
    if (known !== undefined) return known;
    const { flags, environment, user } = this.#context;
    const { config, given } = loadTransferConfig({ bucket, prefix: '', flags, environment, user });
    // As daemons tell it.
    const cacheDir = realPath(config.cacheDir);
    const loaded = { config: { ...config, cacheDir }, given };
    this.#configs.set(bucket, loaded);
    return loaded;
  }

  #notMounted(text: string): CommandError {
    const silent = this.#context.daemons.flatMap(({ state, pid }) =>
      state === 'not_answering' ? [pid] : [],
    );
    const maybe = silent.length === 0 ? '' : ` (the daemon with pid ${silent.join(', ')} does not answer)`;
    return new CommandError(
      EXIT.notMounted,
      `${text} is not in a mount of yours${maybe}: "sluice status" lists them; without a mount, name s3://BUCKET/KEY`,
    );
  }
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

/** With the links of what there is of it resolved: the rest may be a pattern. */
function realPath(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    const parent = dirname(path);
    return parent === path
      ? path
      : join(realPath(parent), path.slice(parent === '/' ? 1 : parent.length + 1));
  }
}
