/** `sluice status`: asks the daemons of this user over their sockets, and shows what they say to people or programs. */
import { currentUser } from '../config/load.js';
import { resolveMountpoint } from '../config/mountpoint.js';
import { queryDaemons } from '../observability/status-client.js';
import type { DaemonStatus } from '../observability/status-client.js';
import { STATUS_SCHEMA } from '../observability/status-report.js';
import type { StatusReport } from '../observability/status-report.js';
import { systemClock } from '../runtime/clock.js';
import { CommandError, EXIT } from './exit-codes.js';
import { printLine } from './output.js';
import { statusLines } from './status-text.js';

/** What --json prints: a stable contract, like the reports in it. */
export interface StatusDocument {
  readonly schema: typeof STATUS_SCHEMA;
  readonly mounts: readonly StatusReport[];
  /** Daemons that live but did not answer in time. */
  readonly notAnswering: readonly { readonly pid: number }[];
}

/** @throws CommandError (7) when a mount point was given and no daemon serves it. */
export async function statusCommand(given: string | undefined, json: boolean): Promise<number> {
  const user = currentUser();
  const mountpoint = given === undefined ? undefined : resolveMountpoint(given, user.workingDir);
  const place = { environment: process.env, uid: user.uid };
  const daemons = await queryDaemons({ place, clock: systemClock, mountpoint });
  const absent = daemons.length === 0 && mountpoint !== undefined;
  if (json) printLine(JSON.stringify(statusDocument(daemons), undefined, 2));
  else if (!absent) humanLines(daemons).forEach(printLine);
  if (!absent) return EXIT.ok;
  throw new CommandError(
    EXIT.notMounted,
    `no mount of yours at ${mountpoint}; "sluice status" lists the ones there are`,
  );
}

function statusDocument(daemons: readonly DaemonStatus[]): StatusDocument {
  return {
    schema: STATUS_SCHEMA,
    mounts: daemons.flatMap((daemon) => (daemon.state === 'answering' ? [daemon.report] : [])),
    notAnswering: daemons.flatMap(({ state, pid }) => (state === 'not_answering' ? [{ pid }] : [])),
  };
}

function humanLines(daemons: readonly DaemonStatus[]): string[] {
  if (daemons.length === 0) return ['Nothing is mounted.'];
  return daemons.flatMap((daemon, at) => [
    ...(at === 0 ? [] : ['']),
    ...(daemon.state === 'answering'
      ? statusLines(daemon.report)
      : [`The daemon with pid ${daemon.pid} lives but does not answer; its log may say why.`]),
  ]);
}
