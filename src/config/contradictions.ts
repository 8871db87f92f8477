/**
 * Options that are right one by one and wrong together. Each is refused with both places, before anything starts.
 */
import { formatBytes, formatDuration } from '../runtime/units.js';
import { ConfigError } from './config-error.js';
import type { MountConfig } from './mount-config.js';
import { flagOf } from './option-spec.js';
import type { OptionName, OptionValues } from './option-values.js';
import type { ResolvedOptions } from './resolve.js';

/** @throws ConfigError for the first contradiction among the options. */
export function refuseContradictions({ values, origins }: ResolvedOptions): void {
  const where = (name: OptionName) => origins.get(name) ?? `the default of ${flagOf(name)}`;
  refuseAnonymousWith(values, where);
  if (values['prefetch-max'] < values['part-size-max']) {
    const [ahead, part] = [formatBytes(values['prefetch-max']), formatBytes(values['part-size-max'])];
    throw new ConfigError(
      `${where('prefetch-max')}: expected at least ${part} (${where('part-size-max')}), got ${ahead}`,
    );
  }
  const stallMs = values['stall-timeout'];
  if (stallMs !== undefined && stallMs >= values['read-deadline']) {
    const deadline = formatDuration(values['read-deadline']);
    throw new ConfigError(
      `${where('stall-timeout')}: expected less than ${deadline} (${where('read-deadline')}), so that a stalled request can be tried again in time, got ${formatDuration(stallMs)}`,
    );
  }
}

/** An anonymous request carries no identity: nothing that needs one goes with it. */
function refuseAnonymousWith(values: OptionValues, where: (name: OptionName) => string): void {
  if (!values['no-sign-request']) return;
  const rival = (['profile', 'requester-pays'] as const).find(
    (name) => values[name] !== undefined && values[name] !== false,
  );
  if (rival === undefined) return;
  throw new ConfigError(
    `${where('no-sign-request')} and ${where(rival)} contradict each other: anonymous requests have no identity; expected one of the two, got both`,
  );
}

/** Local files below the mount point would be hidden by the mount, or read through it by the daemon itself. */
export function refuseFilesInMount(config: MountConfig): void {
  const files: readonly (readonly [OptionName, string | undefined])[] = [
    ['cache-dir', config.cacheDir],
    ['log-file', config.logFile],
    ['ca-bundle', config.caBundle],
    ['sse-customer-key-file', config.sseCustomerKeyFile],
  ];
  for (const [name, path] of files) {
    if (path === undefined || !`${path}/`.startsWith(`${config.mountpoint.replace(/\/$/, '')}/`)) continue;
    throw new ConfigError(
      `${flagOf(name)}: expected a path outside the mount point ${config.mountpoint}, got ${path}`,
    );
  }
}
