/** `sluice mount`: reads the configuration, then is the daemon (--foreground) or starts one and waits until it answers. */
import { currentUser, loadMountConfig } from '../config/load.js';
import type { Flags } from '../config/resolve.js';
import { announcement } from './announcement.js';
import { startInBackground } from './background.js';
import { EXIT } from './exit-codes.js';
import { printLine } from './output.js';

export interface MountArguments {
  readonly source: string;
  readonly mountpoint: string;
  readonly flags: Flags;
}

export async function mountCommand(given: MountArguments): Promise<number> {
  const { config, foreground } = loadMountConfig({ ...given, environment: process.env, user: currentUser() });
  if (foreground) {
    const { runDaemon } = await import('./daemon.js');
    return runDaemon(config, {
      background: false,
      announce: (report) => announcement(config, report).forEach(printLine),
    });
  }
  const report = await startInBackground(config);
  announcement(config, report).forEach(printLine);
  return EXIT.ok;
}
