/**
 * The other end of status-server.ts: asks the daemons of this user what they do. Used by `sluice status` and by
 * `sluice unmount`, which must know the process to wait for. Sockets of dead daemons are removed on the way.
 */
import { existsSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import type { Clock } from '../runtime/clock.js';
import { STATUS_SCHEMA } from './status-report.js';
import type { StatusReport } from './status-report.js';
import { findSockets } from './status-socket.js';
import type { SocketPlace, StatusSocket } from './status-socket.js';

/** A busy daemon answers between two of its tasks; one that needs longer is in trouble, and said to be. */
const ANSWER_MS_MAX = 5000;

export type DaemonStatus =
  | { readonly state: 'answering'; readonly pid: number; readonly report: StatusReport }
  /** The process lives, but does not answer in time, or not in this version's language. */
  | { readonly state: 'not_answering'; readonly pid: number };

export interface StatusQuery {
  readonly place: SocketPlace;
  readonly clock: Clock;
  /** Only this mount; all mounts of the user when left out. */
  readonly mountpoint?: string | undefined;
  readonly answerMsMax?: number;
}

/** All daemons at once, by mount point; a daemon that ends meanwhile is left out. */
export async function queryDaemons(query: StatusQuery): Promise<DaemonStatus[]> {
  const sockets = findSockets(query.place, query.mountpoint);
  const answers = await Promise.all(sockets.map((socket) => ask(socket, query)));
  return answers.filter((answer) => answer !== undefined).toSorted(byMountpoint);
}

async function ask(socket: StatusSocket, query: StatusQuery): Promise<DaemonStatus | undefined> {
  const { pid } = socket;
  try {
    const text = await exchange(socket.path, query);
    if (text === '') return turnedAway(socket);
    const report = parseReport(text);
    return report === undefined ? { state: 'not_answering', pid } : { state: 'answering', pid, report };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED') rmSync(socket.path, { force: true });
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return undefined;
    return turnedAway(socket);
  }
}

/** A daemon that ends removes its socket first; one that still has it has no answer for other reasons. */
function turnedAway({ path, pid }: StatusSocket): DaemonStatus | undefined {
  return existsSync(path) ? { state: 'not_answering', pid } : undefined;
}

/** What the daemon says until it closes. Rejects with the system's error, or after `answerMsMax`. */
function exchange(path: string, { clock, answerMsMax = ANSWER_MS_MAX }: StatusQuery): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path);
    const cancelTimer = clock.after(answerMsMax, () => socket.destroy(new Error('no answer in time')));
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write('status\n'));
    socket.on('data', (chunk: string) => (text += chunk));
    socket.once('end', () => resolve(text));
    socket.once('error', reject);
    socket.once('close', () => {
      cancelTimer();
      resolve(text);
    });
  });
}

function parseReport(text: string): StatusReport | undefined {
  try {
    const report = JSON.parse(text) as StatusReport;
    return report.schema === STATUS_SCHEMA ? report : undefined;
  } catch {
    return undefined;
  }
}

function byMountpoint(a: DaemonStatus, b: DaemonStatus): number {
  const [left, right] = [a, b].map((status) =>
    status.state === 'answering' ? status.report.mountpoint : '',
  );
  return left === right ? a.pid - b.pid : (left ?? '') < (right ?? '') ? -1 : 1;
}
