/** Serves a request about a bucket in this process: by an engine on the cache directory, without a mount. */
import type { TransferConfig } from '../config/mount-config.js';
import { openEngine } from '../open-engine.js';
import { openLogFile, standardError } from '../observability/log-destination.js';
import { createLogger } from '../observability/logger.js';
import type { BucketRequest } from '../requests/messages.js';
import { serveRequest } from '../requests/serve.js';
import type { ServedCall } from '../requests/serve.js';
import { systemClock } from '../runtime/clock.js';

/** @throws RequestError, ObjectStoreError or CacheDirectoryError */
export async function serveHere(
  request: BucketRequest,
  config: TransferConfig,
  call: ServedCall,
): Promise<void> {
  const logger = loggerOf(config);
  const engine = await openEngine(config, { clock: systemClock, logger }, call.signal);
  try {
    const { objectStore, stores, cache } = engine;
    const fill: typeof stores.fill = (version, options) => stores.fill(version, options);
    await serveRequest(request, { bucket: objectStore, fill, cache, clock: systemClock }, call);
  } finally {
    await engine.close();
  }
}

/** What fails is said as progress: lines of a log are for a file, or for those who asked for more of them. */
function loggerOf({ logFile, logLevel }: TransferConfig) {
  if (logFile !== undefined) return createLogger(logLevel, openLogFile(logFile, systemClock));
  return createLogger(logLevel === 'info' ? 'error' : logLevel, standardError());
}
