/**
 * The life of a daemon: log, mount, status socket, serve, end. The same in the foreground and in the background;
 * run by mount.ts and background-daemon.ts. It ends when anybody removes the mount, or when it is asked to stop, and
 * resolves to the exit code of the process.
 */
import type { MountConfig } from '../config/mount-config.js';
import type { MountedBucket } from '../mount.js';
import type { ControlCall } from '../observability/control.js';
import { openLogFile, standardError } from '../observability/log-destination.js';
import type { LogDestination } from '../observability/log-destination.js';
import { createLogger } from '../observability/logger.js';
import type { Logger } from '../observability/logger.js';
import type { StatusReport } from '../observability/status-report.js';
import { startStatusServer } from '../observability/status-server.js';
import type { Message } from '../requests/messages.js';
import { asError } from '../runtime/assert.js';
import { sleep, systemClock } from '../runtime/clock.js';
import type { Clock } from '../runtime/clock.js';
import { EXIT, exitCodeOf } from './exit-codes.js';
import { printError } from './output.js';
import { StopRequests } from './stop-requests.js';
import type { StopReason } from './stop-requests.js';

/** Transfers are aborted and reads in flight answered in much less; what takes longer hangs. */
const END_MS_MAX = 5000;

export interface DaemonOptions {
  readonly background: boolean;
  /** Called once, when the mount answers and its status can be asked. */
  readonly announce: (report: StatusReport) => void;
  readonly stopRequests?: StopRequests;
  /** The composition root, unless a test brings its own. */
  readonly mountBucket?: MountBucket;
}

export type MountBucket = (
  config: MountConfig,
  deps: { readonly clock: Clock; readonly logger: Logger; readonly signal: AbortSignal },
) => Promise<MountedBucket>;

/** @throws MountError, ObjectStoreError, LogFileError or StatusSocketError when it does not come to serve. */
export async function runDaemon(config: MountConfig, options: DaemonOptions): Promise<number> {
  const logger = createLogger(config.logLevel, await logDestination(config));
  const stopRequests = options.stopRequests ?? new StopRequests();
  stopRequests.listenToSignals(options);
  const crashed = endOnUncaught(logger, options);
  try {
    return await serve(config, { ...options, stopRequests, logger, onMount: crashed });
  } catch (error) {
    // Who starts the daemon shows the message; the log, where that is another place, keeps the causes too.
    if (config.logFile !== undefined) logger.error({ err: asError(error) }, 'the mount failed');
    throw error;
  }
}

interface ServeOptions extends DaemonOptions {
  readonly stopRequests: StopRequests;
  readonly logger: Logger;
  readonly onMount: (mounted: MountedBucket) => void;
}

async function serve(config: MountConfig, options: ServeOptions): Promise<number> {
  const { logger, stopRequests } = options;
  const mountBucket = options.mountBucket ?? (await import('../mount.js')).mountBucket;
  const aborter = new AbortController();
  const mounting = mountBucket(config, { clock: systemClock, logger, signal: aborter.signal });
  const mounted = await Promise.race([mounting, stopRequests.first]);
  if (!('unmount' in mounted)) {
    aborter.abort();
    return abandon(mounting, mounted, options);
  }
  options.onMount(mounted);

  const statusServer = await startStatus(config, mounted);
  options.announce(mounted.status());
  const stop = await Promise.race([mounted.ended, stopRequests.first]);
  if (stop !== undefined) logger.info({ reason: stop.reason }, 'stopping');
  const ended = stop === undefined || (await unmountAtLast(mounted, stopRequests, logger));
  await statusServer.close();
  logger.info({ mountpoint: config.mountpoint, clean: ended }, 'daemon ends');
  return ended ? EXIT.ok : EXIT.unexpected;
}

async function logDestination({ logFile }: MountConfig): Promise<LogDestination> {
  if (logFile !== undefined) return openLogFile(logFile, systemClock);
  if (!process.stderr.isTTY) return standardError();
  const { prettyLines } = await import('../observability/log-format.js');
  return prettyLines(standardError(), process.stderr.hasColors());
}

/**
 * Asked to stop before there is a mount: the mounting gets its time to end (a mount that came about is removed), and
 * none after a second request. Resolves to the exit code.
 */
async function abandon(
  mounting: Promise<MountedBucket>,
  { exitCode, reason }: StopReason,
  { logger, stopRequests }: ServeOptions,
): Promise<number> {
  logger.info({ reason }, 'stopped before the mount was there');
  const removed = mounting.then(
    (mounted) => mounted.unmount({ force: true }),
    (error: unknown) => logger.info({ err: asError(error) }, 'and it failed, too'),
  );
  await Promise.race([removed, stopRequests.second, sleep(systemClock, END_MS_MAX)]);
  return exitCode;
}

/** A mount that nobody can look into is a trap at the first hang: no socket, no mount. */
async function startStatus(config: MountConfig, mounted: MountedBucket) {
  try {
    return await startStatusServer({
      mountpoint: config.mountpoint,
      pid: process.pid,
      place: { environment: process.env, uid: process.getuid?.() ?? 0 },
      report: () => mounted.status(),
      handle: (request, call) => handle(mounted, request, call),
    });
  } catch (error) {
    await mounted.unmount({ force: true });
    throw error;
  }
}

/** What goes wrong is for the one who asked. Never rejects. */
async function handle(mounted: MountedBucket, request: unknown, call: ControlCall): Promise<void> {
  try {
    await mounted.handle(request, call);
  } catch (error) {
    const refused: Message = {
      event: 'refused',
      message: asError(error).message,
      exitCode: exitCodeOf(error),
    };
    await call.send(refused);
  }
}

/** False when the mount is not gone within END_MS_MAX of the last request: the process then ends without it. */
async function unmountAtLast(
  mounted: MountedBucket,
  stopRequests: StopRequests,
  logger: Logger,
): Promise<boolean> {
  const end = async (force: boolean) => {
    await mounted.unmount({ force });
    await mounted.ended;
    return true;
  };
  const clean = withinLimit(end(false), logger);
  const forced = stopRequests.second.then(({ reason }) => {
    logger.warn({ reason }, 'asked again: ending by force');
    return withinLimit(end(true), logger);
  });
  return (await Promise.race([clean, forced])) || withinLimit(end(true), logger);
}

async function withinLimit(end: Promise<boolean>, logger: Logger): Promise<boolean> {
  try {
    return await Promise.race([end, sleep(systemClock, END_MS_MAX).then(() => false)]);
  } catch (error) {
    logger.error({ err: asError(error) }, 'the mount could not be removed');
    return false;
  }
}

/** A bug that nobody caught leaves unknown state: log it, take the mount away, end. Returns what to tell the mount to. */
function endOnUncaught(logger: Logger, { background }: DaemonOptions): (mounted: MountedBucket) => void {
  let mounted: MountedBucket | undefined;
  const end = async () => {
    const unmounted = mounted?.unmount({ force: true }).catch(() => {});
    await Promise.race([unmounted, sleep(systemClock, END_MS_MAX)]);
    process.exit(EXIT.unexpected);
  };
  process.once('uncaughtException', (error) => {
    // Also when the loop runs dry while the mount is being removed.
    process.exitCode = EXIT.unexpected;
    logger.fatal({ err: error }, 'uncaught exception: the daemon ends');
    if (!background) printError(`unexpected: ${error.message}; the log has the details`);
    process.once('uncaughtException', () => process.exit(EXIT.unexpected));
    void end();
  });
  return (value) => {
    mounted = value;
  };
}
