/**
 * What a server that is busy says of when to come again, in a header: read here for both transports, the SDK's and the
 * sockets'. S3 servers say seconds, proxies before them a date as well.
 */
import type { Clock } from '../runtime/clock.js';

/** From now on, 0 for what has passed; undefined when nothing, or nonsense, was said. */
export function retryAfterMs(header: string | undefined, clock: Clock): number | undefined {
  if (header === undefined) return undefined;
  const delayMs = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - clock.wallTimeMs();
  return Number.isFinite(delayMs) ? Math.max(0, delayMs) : undefined;
}
