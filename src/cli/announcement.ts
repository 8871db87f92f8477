/** What `sluice mount` says when the mount answers: where, how, who may use it, where the log is, how it ends. */
import type { MountConfig } from '../config/mount-config.js';
import type { StatusReport } from '../observability/status-report.js';
import { formatBytes } from '../runtime/units.js';
import { printable } from './output.js';

export function announcement(config: MountConfig, report: StatusReport): string[] {
  const { driver, cache } = report;
  return [
    `Mounted ${report.source} at ${report.mountpoint} (pid ${report.pid})`,
    `  driver  ${driver.name}, reads of up to ${formatBytes(driver.readBytesMax)}${driver.passthrough ? ', passthrough' : ''}`,
    ...(driver.note === null ? [] : [`          slower than need be: ${driver.note}`]),
    `  access  ${access(config)}`,
    `  cache   ${cache.directory}, at most ${formatBytes(cache.bytesMax)}`,
    `  log     ${report.logFile ?? 'standard error'}`,
    `To end it: sluice unmount ${report.mountpoint}`,
  ].map(printable);
}

function access({ allowOther, uid }: MountConfig): string {
  return allowOther
    ? 'all users, as the permission bits allow (--no-allow-other: only the one who mounts)'
    : `only the user who mounted (owner of the files: ${uid}); --allow-other lets others in`;
}
