/**
 * `sluice sync`: brings a prefix into a plain directory, shows how far it has come, and says in the end what became of the
 * files. The exit code is 0 only when all of them are there.
 */
import { resolve } from 'node:path';
import { parseBucketUrl, formatBucketUrl } from '../config/bucket-url.js';
import { ConfigError, shown } from '../config/config-error.js';
import { currentUser, loadTransferConfig } from '../config/load.js';
import type { TransferConfig } from '../config/mount-config.js';
import type { Flags } from '../config/resolve.js';
import { nativeAddonIfAny } from '../native.js';
import { createS3ObjectStore } from '../object-store/s3-object-store.js';
import { openLogFile } from '../observability/log-destination.js';
import { createLogger, silentLogger } from '../observability/logger.js';
import type { Logger } from '../observability/logger.js';
import { createAborter } from '../runtime/aborter.js';
import { systemClock } from '../runtime/clock.js';
import { globMatcher } from '../runtime/glob.js';
import { SyncFolderError } from '../sync/sync-folder.js';
import { Sync } from '../sync/sync.js';
import type { SyncConfig } from '../sync/sync.js';
import { WorkersError } from '../sync/workers.js';
import { CommandError, EXIT } from './exit-codes.js';
import { parseFilesAtOnce } from './files-at-once.js';
import { Progress, progressStyle } from './progress.js';
import { StopRequests } from './stop-requests.js';
import { eventWords, summaryLines } from './sync-text.js';

/** As program.ts reads them. */
export interface SyncArguments {
  readonly source: string;
  readonly directory: string;
  readonly flags: Flags;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly check: string;
  readonly concurrency: string;
  readonly delete?: true;
  readonly forceDelete?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

export async function syncCommand(given: SyncArguments): Promise<number> {
  const config = syncConfig(given);
  const source = formatBucketUrl(config);
  const logger = loggerOf(config);
  const stopRequests = new StopRequests();
  stopRequests.listenToSignals({ background: false });
  const aborter = createAborter();
  void stopRequests.first.then(() => aborter.abort());
  const objectStore = await createS3ObjectStore(config, { clock: systemClock, logger });
  const style = progressStyle({ json: given.json === true, isTerminal: process.stdout.isTTY });
  const sync: Sync = new Sync(config, {
    clock: systemClock,
    logger,
    objectStore,
    addon: nativeAddonIfAny(),
    platform: process.platform === 'darwin' ? 'darwin' : 'linux',
    signal: aborter.signal,
    onEvent: (event) => progress.event(event, eventWords(event, source)),
  });
  const progress = new Progress({ clock: systemClock, output: process.stdout }, style, () => sync.view());
  progress.start();
  try {
    const summary = await Promise.race([sync.run(), stopRequests.second]);
    // Asked to end for the second time: without a word.
    if ('exitCode' in summary) return summary.exitCode;
    progress.stop();
    const lines = summaryLines(summary, { source, directory: config.directory });
    for (const [at, line] of lines.entries()) {
      if (style !== 'json') progress.event({ event: 'summary' }, { line });
      else if (at === 0) progress.event({ event: 'summary', ...summary });
    }
    if (summary.stopped) return (await stopRequests.first).exitCode;
    return summary.failed === 0 ? EXIT.ok : EXIT.incomplete;
  } catch (error) {
    if (error instanceof SyncFolderError) throw new CommandError(EXIT.mount, error.message);
    if (error instanceof WorkersError) throw new CommandError(EXIT.busy, error.message);
    throw error;
  } finally {
    progress.stop();
    objectStore.close();
  }
}

/** @throws ConfigError */
function syncConfig(given: SyncArguments): SyncConfig {
  const user = currentUser();
  const url = parseBucketUrl(given.source);
  const { config } = loadTransferConfig({ ...url, flags: given.flags, environment: process.env, user });
  const { check } = given;
  if (check !== 'stamp' && check !== 'checksum')
    throw new ConfigError(`--check: expected stamp or checksum, got ${shown(check)}`);
  if (given.forceDelete && !given.delete)
    throw new ConfigError('--force-delete: expected --delete beside it, got it alone');
  return {
    ...config,
    check,
    directory: resolve(user.workingDir, given.directory),
    concurrency: parseFilesAtOnce(given.concurrency),
    isWanted: filterOf(given.include ?? [], given.exclude ?? []),
    deletes: given.forceDelete ? 'even all' : given.delete ? 'strays' : 'nothing',
    dryRun: given.dryRun === true,
  };
}

/** A pattern without a slash is compared with the last part of the name, at any depth. */
function filterOf(include: readonly string[], exclude: readonly string[]): (name: string) => boolean {
  const matcher = (pattern: string) => {
    const matches = globMatcher(pattern);
    return pattern.includes('/') ? matches : (name: string) => matches(name.slice(name.lastIndexOf('/') + 1));
  };
  const included = include.map(matcher);
  const excluded = exclude.map(matcher);
  return (name) =>
    (included.length === 0 || included.some((matches) => matches(name))) &&
    !excluded.some((matches) => matches(name));
}

/** What matters is told on the way; the log is for those who ask for one. */
function loggerOf({ logFile, logLevel }: TransferConfig): Logger {
  return logFile === undefined ? silentLogger : createLogger(logLevel, openLogFile(logFile, systemClock));
}
