/**
 * The background process of `sluice mount`: gets its configuration over the IPC channel, tells how the start went,
 * and lets go of the channel. If the starter goes away before that, nobody knows of the mount, and it is given up.
 */
import type { StatusReport } from '../observability/status-report.js';
import { asError } from '../runtime/assert.js';
import type { OutcomeMessage, StartMessage } from './daemon-messages.js';
import { runDaemon } from './daemon.js';
import type { MountBucket } from './daemon.js';
import { CommandError, EXIT, exitCodeOf } from './exit-codes.js';
import { StopRequests } from './stop-requests.js';

/** `mountBucket` is given by tests only. */
export async function daemonCommand(mountBucket?: MountBucket): Promise<number> {
  if (process.send === undefined) {
    throw new CommandError(EXIT.usage, 'this command is run by "sluice mount" itself; expected sluice mount');
  }
  const stopRequests = new StopRequests();
  const starterGone = () =>
    stopRequests.request({ reason: 'the starter went away', exitCode: EXIT.unexpected });
  process.once('disconnect', starterGone);
  const start = await Promise.race([startMessage(), stopRequests.first]);
  if (!('config' in start)) return start.exitCode;
  let isReady = false;
  const announce = (report: StatusReport) => {
    isReady = true;
    process.off('disconnect', starterGone);
    void send({ type: 'ready', report }).then(() => {
      if (process.connected) process.disconnect();
    });
  };
  try {
    const given = mountBucket === undefined ? {} : { mountBucket };
    const exitCode = await runDaemon(start.config, { background: true, stopRequests, announce, ...given });
    if (!isReady) await send({ type: 'failed', message: 'stopped before the mount was there', exitCode });
    return exitCode;
  } catch (error) {
    const exitCode = exitCodeOf(error);
    await send({ type: 'failed', message: asError(error).message, exitCode });
    return exitCode;
  }
}

function startMessage(): Promise<StartMessage> {
  return new Promise((resolve) => {
    process.once('message', (message) => resolve(message as StartMessage));
  });
}

/** Resolves when the message is on its way, or cannot be sent because the starter is gone. */
function send(message: OutcomeMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve();
    process.send(message, undefined, undefined, () => resolve());
  });
}
