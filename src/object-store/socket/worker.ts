/** A worker thread of the socket transport; started by socket-transport.ts. */
import { createSecureContext } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../runtime/assert.js';
import { systemClock } from '../../runtime/clock.js';
import { nativeAddonIfAny } from '../../native.js';
import { checksumFunctions } from '../../runtime/checksum-functions.js';
import type { ToWorker, WorkerSettings } from './messages.js';
import { WorkerCore } from './worker-core.js';

const { authorities, idleTimeoutMs, connectionsMax } = workerData as WorkerSettings;
assert(parentPort !== null, 'the transport runs in a worker thread');
const port = parentPort;
const addon = nativeAddonIfAny();

const core = new WorkerCore(
  {
    clock: systemClock,
    // Without the addon nobody reads natively, and no file has a number that could be told.
    filePublished: (nativeFile) => addon?.filePublished(nativeFile),
    checksumFunctions: checksumFunctions(addon),
    mapsFiles: addon,
    post: (message) => port.postMessage(message),
  },
  {
    // One context for all connections: parsing some hundred roots takes 10 ms.
    trust: authorities === undefined ? undefined : createSecureContext({ ca: [...authorities] }),
    idleTimeoutMs,
    connectionsMax,
  },
);
port.on('message', (message: ToWorker) => {
  core.handle(message);
  // What was posted before still arrives; then nothing keeps the thread.
  if (message.kind === 'close') port.close();
});
