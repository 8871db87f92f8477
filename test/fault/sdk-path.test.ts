/** Without the socket transport: the SDK's path, which takes whatever that one cannot deal with, survives the same faults. */
import { onEachDriver } from '../support/drivers.js';
import { assertRead, SIZE } from './fault-rig.js';
import { faultsAreSurvived } from './transient-rig.js';

onEachDriver("transient faults, three in a row, on the SDK's path", (t, driver) =>
  faultsAreSurvived(t, driver, (t, path) => assertRead(t, path, 0, SIZE, 'read'), [
    '--transfer-threads',
    '0',
  ]),
);
